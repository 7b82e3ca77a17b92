"""LOUD: a TARGET run from the command line: a playbook, or an agent function, recorded whatever becomes of it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from opentelemetry import context as otel_context

from spanreel.exceptions import ApprovalPending, BadInput, SpanreelError
from spanreel.instrument import activate, codec, invocation, recorder, responder, runs
from spanreel.instrument.binding import rebound
from spanreel.instrument.responder import ModelAnswer, ModelRequest, ToolAnswer, ToolRequest
from spanreel.location import resolve_store
from spanreel.replay import entry, project, stubs
from spanreel.replay.playbooks.asks import Stopped
from spanreel.replay.playbooks.body import Body, Limits
from spanreel.replay.playbooks.engine.asking import dry as dry_model
from spanreel.replay.playbooks.entry import Execution, Wanted
from spanreel.replay.playbooks.result import PlaybookResult, TargetRun
from spanreel.wire import attributes as names

SETTINGS: Final = "playbooks"


@dataclass(frozen=True, slots=True)
class About:
    """What a run says of itself. alias: a name of its own for it."""

    alias: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    experiment: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def facts(self) -> dict[str, Any]:
        """As attributes of the run's root."""
        found: dict[str, Any] = {}
        for prefix, values in (
            (names.TAG, self.tags), (names.METADATA, self.metadata), (names.EXPERIMENT, self.experiment),
        ):  # fmt: skip
            found |= {f"{prefix}{key}": runs._attribute(value) for key, value in values.items()}
        return found


def tool_modules(given: Sequence[str] = ()) -> list[str]:
    """Modules that register tools: those of `[tool.spanreel.playbooks]` ``tools = […]``, and those that are given; imported.

    Raises:
        BadInput: one cannot be imported, or the project's setting is no list of names.
    """
    from spanreel.replay.playbooks.formats.target import modules

    said: Any = project.settings(SETTINGS).get("tools", [])
    if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
        raise BadInput(
            "[tool.spanreel.playbooks] tools is no list of names of modules", 'such as tools = ["shop.tools"]'
        )
    found = list(dict.fromkeys([*said, *given]))
    modules(found)
    return found


def places(modules: Sequence[str]) -> list[Any]:
    """The same modules as an execution is told of them, which imports them again in another process."""
    return [
        {"module": Path(one).stem, "file": str(Path(one).resolve())} if one.endswith(".py") else one
        for one in modules
    ]


def tool_places(given: Sequence[str] = ()) -> list[Any]:
    """`tool_modules`, as `places`."""
    return places(tool_modules(given))


def limited(body: Body, limits: Limits) -> Body:
    """The body with a budget that is at most as wide as both say."""
    found: dict[str, Any] = {}
    for name in Limits.model_fields:
        values = [one for one in (getattr(body.budget, name), getattr(limits, name)) if one is not None]
        found[name] = min(values, default=None)
    return body.model_copy(update={"budget": Limits(**found)})


def run_playbook(
    body: Body, wanted: Wanted, about: About, *, store: Any = None, dry: bool = False
) -> PlaybookResult:
    """Run a playbook, recorded.

    Args:
        body: which one.
        wanted: what it is given.
        about: what its run says of itself.
        store: where it is recorded and looked up; default: the project's.
        dry: models are not asked, and tools that write are not run: both give placeholders.

    Raises:
        SpanreelError: its tools cannot be found.
    """
    from spanreel.replay.playbooks.engine.finding import loader

    if dry:
        wanted = replace(wanted, model=dry_model)
    wanted = replace(wanted, facts=about.facts(), alias=about.alias, load=loader(store), store=store)
    with _recorded(store), _dry(dry):
        execution = Execution(body, wanted)
        try:
            return execution.result(execution.walked())
        except Stopped as stopped:
            return execution.result(stopped)
        except ApprovalPending as pending:
            return execution.paused(pending)


def run_function(
    function: Callable[..., Any],
    inputs: Mapping[str, Any],
    about: About,
    *,
    store: Any = None,
    dry: bool = False,
) -> TargetRun:
    """Run an agent function, recorded as a run of its own; sync, async, or a generator.

    Args:
        function: as its module has it, marked with `@spanreel.agent` or not.
        inputs: its arguments by name.
        about: what its run says of itself.
        store: where it is recorded; default: the project's.
        dry: models are not asked, and tools that write are not run: both give placeholders.

    Raises:
        SpanreelError: it takes other arguments.
    """
    marked: Any = getattr(function, "__spanreel__", None)
    name = marked["agent"] if isinstance(marked, dict) else function.__name__
    body = getattr(function, "__wrapped__", function) if isinstance(marked, dict) else function
    try:
        args, kwargs = rebound(body, inputs)
    except SpanreelError as error:
        raise SpanreelError(
            f"{name} cannot be called like that: {error.args[0]}", "give its arguments: --input NAME=VALUE"
        ) from None
    with _recorded(store), _dry(dry):
        facts = {**runs._entry(function), **about.facts()}
        begun = invocation.begin(
            invocation.AGENT, name, facts, inputs=dict(inputs), alias=about.alias, code=body
        )
        assert begun is not None
        token = otel_context.attach(begun.context)
        error: BaseException | None = None
        output: Any = invocation.ABSENT
        try:
            output = entry.finished(body(*args, **kwargs))
        except BaseException as raised:  # noqa: BLE001 - it ends the run, and is told below
            error = raised
        finally:
            otel_context.detach(token)
        try:
            begun.end(output, error)
        except ApprovalPending as pending:
            error = pending
        return _told(name, begun.span.run_id, output, error)


def _told(name: str, run_id: str | None, output: Any, error: BaseException | None) -> TargetRun:
    if isinstance(error, ApprovalPending):
        return TargetRun(status="paused", run_id=run_id, name=name, waits_for=error.approval_id)
    if error is not None and not isinstance(error, Exception):
        raise error
    if error is not None:
        said = f"{type(error).__name__}: {error}".rstrip(": ")
        return TargetRun(status="failed", run_id=run_id, name=name, error=said)
    return TargetRun(status="completed", run_id=run_id, name=name, output=codec.plain(output))


@contextmanager
def _recorded(store: Any) -> Generator[None]:
    if recorder.current() is not None:
        yield
        return
    recording = activate.instrument(store=resolve_store(store))
    if recorder.current() is None:
        raise SpanreelError("a run is recorded, which OTEL_SDK_DISABLED keeps off", "unset it")
    try:
        yield
    finally:
        recording.uninstrument()


class _Dry(responder.Live):
    """No model is asked, and no tool that is not `read` is run."""

    def model(self, request: ModelRequest) -> ModelAnswer:
        return stubs.model(request, stubs.PLACEHOLDER)

    def tool(self, request: ToolRequest) -> ToolAnswer | None:
        return None if request.safety == "read" else ToolAnswer(stubs.tool(None), source="stub")


@contextmanager
def _dry(on: bool) -> Generator[None]:
    if not on:
        yield
        return
    before = responder.install(_Dry())
    try:
        yield
    finally:
        responder.install(before)


# inputs


def inputs_of(given: Sequence[str], text: str | None) -> dict[str, Any]:
    """The inputs of a run: a JSON object, and single values over it: ``order.id=W1``, a value being JSON or else a text.

    Args:
        given: such as ``a.b=v``.
        text: JSON, ``@file`` or ``@-``.

    Raises:
        BadInput: it is no object, or a value has no name.
    """
    found: Any = json_of(text, "--inputs-json") if text is not None else {}
    for one in given:
        path, equals, value = one.partition("=")
        if not equals or not all(path.split(".")):
            raise BadInput(f"{one!r} gives no value a name", "such as --input order.id=W1")
        *outer, last = path.split(".")
        place = found
        for part in outer:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise BadInput(f"{one!r}: {part} is no object", "give each value one place")
        try:
            place[last] = json.loads(value)
        except ValueError:
            place[last] = value
    return found


def json_of(text: str, option: str) -> dict[str, Any]:
    """A JSON object as an option gives it: its text, ``@file``, or ``@-`` for standard input.

    Raises:
        BadInput: it is none, or the file cannot be read.
    """
    try:
        if text == "@-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(os.path.expanduser(text[1:])).read_text("utf-8")
        found = json.loads(text)
    except OSError as error:
        raise BadInput(f"{option}: {text[1:]} cannot be read ({error.strerror})", "mind the path") from error
    except ValueError as error:
        raise BadInput(f"{option} is no JSON ({error})", "mind the quotes of the shell") from error
    if not isinstance(found, dict):
        raise BadInput(f"{option} is no JSON object", 'such as {"order_id": "W1"}')
    return found


def typed(body: Body, params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters from a command line, where a text may look like a number: as the declarations want them."""
    found = dict(params)
    for name, value in params.items():
        declared = body.params.get(name)
        if declared is not None and declared.type == "string" and not isinstance(value, str):
            found[name] = json.dumps(value) if not isinstance(value, float) else str(value)
    return found
