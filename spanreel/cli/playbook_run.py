"""`spanreel playbook run`, and what `spanreel run TARGET` does: parse, call one function, say what came of it."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from spanreel.cli.options import Json, Store
from spanreel.cli.terminal import note, say, say_json
from spanreel.exceptions import BadInput, SpanreelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from spanreel.replay.playbooks.body import Body
    from spanreel.replay.playbooks.result import PlaybookResult, TargetRun


class Mode(StrEnum):
    """How a playbook is run."""

    STRICT = "strict"
    GUIDED = "guided"


Tools: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--tools", metavar="MODULE", help="A module that registers tools.", show_default=False),
]
Model: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="PROVIDER/NAME", help="For model states that name none.", show_default=False),
]
Modes: TypeAlias = Annotated[
    Mode, typer.Option("--mode", help="guided: a state that fails is mended, and tried once more.")
]


def run(
    target: Annotated[
        str,
        typer.Argument(
            metavar="PLAYBOOK",
            help="Which: NAME, NAME@3, digits of a hash, a file, or module:name.",
            show_default=False,
        ),
    ],
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param", metavar="NAME=VALUE", help="A parameter; JSON, or a text.", show_default=False
        ),
    ] = None,
    params: Annotated[
        str | None,
        typer.Option(metavar="JSON|@FILE", help="All of them as an object.", show_default=False),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What missing parameters are read out of.", show_default=False),
    ] = None,
    mode: Modes = Mode.STRICT,
    tools: Tools = None,
    model: Model = None,
    max_cost: Annotated[
        float | None,
        typer.Option(metavar="USD", help="No further model call once they cost this.", show_default=False),
    ] = None,
    max_calls: Annotated[
        int | None, typer.Option(metavar="N", help="The most model calls.", show_default=False)
    ] = None,
    max_tool_calls: Annotated[
        int | None, typer.Option(metavar="N", help="The most tool calls.", show_default=False)
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(metavar="S", help="Begin nothing after so long.", show_default=False)
    ] = None,
    run_id: Annotated[
        str | None, typer.Option(metavar="NAME", help="A name of your own for the run.", show_default=False)
    ] = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """Run a playbook with its guards. The run is recorded, like every run.

    Its tools are those that the modules register, here or in pyproject.toml:
    [tool.spanreel.playbooks] tools = ["shop.tools"]. A budget given here can only be
    narrower than the playbook's own.

    Exit codes: 0 completed; 1 stopped by a guard; 3 paused at an approval.

    Examples:
        spanreel playbook run exchange-item --param order_id=W1 --tools shop
        spanreel playbook run refund.yaml --params @params.json --mode guided
        spanreel playbook run refund@3 --param order_id=W1 --max-seconds 30 --json
    """
    from spanreel.replay.playbooks.body import Limits
    from spanreel.replay.playbooks.engine import running
    from spanreel.replay.playbooks.formats.target import find

    given = running.inputs_of(param or (), params)
    modules = running.tool_modules(tools or ())
    named = find(target if _is_target(target) else f"playbook:{target}", store)
    body, modules = named.checked(), [*modules, *named.modules]
    limits = Limits(
        max_cost=max_cost, max_calls=max_calls, max_tool_calls=max_tool_calls, max_seconds=max_seconds
    )
    about = running.About(alias=run_id)
    found = _run(running.limited(body, limits), given, mode, modules, model, about, task=task, store=store)
    _said(found, json=json)
    raise typer.Exit(found.exit_code)


def _is_target(text: str) -> bool:
    """Whether it names a file or an object, rather than a playbook in the store."""
    return ":" in text or text.lower().endswith((".py", ".yaml", ".yml", ".json"))


def _run(
    body: Body, given: dict[str, Any], mode: Mode, modules: Sequence[str], model: str | None, about: Any,
    *, task: str | None = None, store: Path | None = None, dry: bool = False,
) -> PlaybookResult:  # fmt: skip
    from spanreel.replay.playbooks.engine import running
    from spanreel.replay.playbooks.entry import Wanted

    wanted = Wanted(
        running.typed(body, given),
        mode.value,
        modules=running.places(modules),
        model=model,
        task=task,
    )
    return running.run_playbook(body, wanted, about, store=store, dry=dry)


def _said(found: PlaybookResult | TargetRun, *, json: bool) -> None:
    import json as text

    if json:
        say_json(found.to_json(indent=2))
    elif found.status == "completed" and found.output is not None:
        say(found.output if isinstance(found.output, str) else text.dumps(found.output, ensure_ascii=False))
    short = (found.run_id or "")[:12]
    if found.status == "paused":
        note(f"{found.name}: paused: approval {found.waits_for} of run {short}")
        note(
            f"  → spanreel approve {short} {shlex.quote(found.waits_for or '')}, then spanreel resume {short}"
        )
        return
    why = f": {_why(found)}" if found.status == "failed" else ""
    note(f"{found.name}: {found.status}{why}")
    mended = getattr(found, "mended", None)
    if mended:
        note(f"  a state was mended; what helped waits for a review: spanreel playbook show {found.name}")
    if short:
        note(f"  → spanreel show {short}")


def _why(found: PlaybookResult | TargetRun) -> str:
    """One line that names the state and the guard."""
    failure = getattr(found, "failure", None)
    if failure is None:
        return str(getattr(found, "error", ""))
    where = f"state {failure.state}: " if failure.state else ""
    return " ".join(f"{where}{failure.guard}: {failure.reason}".split())


# spanreel run TARGET


def run_target(
    target: str,
    inputs: dict[str, Any],
    about: Any,
    *,
    mode: Mode,
    tools: Sequence[str],
    model: str | None,
    dry_run: bool,
    dry_check: bool,
    json: bool,
    store: Path | None,
) -> int:
    """Run a TARGET, or only look at it; the exit code.

    Raises:
        SpanreelError: there is none, or it cannot be run.
    """
    from spanreel.replay.playbooks.engine import running
    from spanreel.replay.playbooks.formats.target import find

    modules = running.tool_modules(tools)
    found = find(target, store)
    if found.kind == "run":
        raise BadInput(f"{target} is a recorded run", f"spanreel replay {found.run}")
    if dry_check:
        return _checked(found, inputs, json=json)
    if found.kind == "playbook":
        named = [*modules, *found.modules]
        result: Any = _run(found.checked(), inputs, mode, named, model, about, store=store, dry=dry_run)
    else:
        assert found.function is not None
        result = running.run_function(found.function, inputs, about, store=store, dry=dry_run)
    _said(result, json=json)
    return result.exit_code


def _checked(found: Any, inputs: dict[str, Any], *, json: bool) -> int:
    from spanreel.replay.playbooks.engine.looking import problems
    from spanreel.replay.playbooks.result import TargetCheck

    lines = problems(found, inputs)
    if json:
        say_json(TargetCheck(target=found.said, ok=not lines, problems=lines).to_json(indent=2))
    else:
        for line in lines:
            say(line)
        note(
            f"{found.said}: {'could be run' if not lines else 'could not be run like that'}; nothing was run"
        )
    return 1 if lines else 0


def run_in_time(timeout: float, store: Path | None) -> int:
    """The command as it was given, in a process of its own, which is ended when it takes too long."""
    from spanreel.location import resolve_store
    from spanreel.replay.ending import end_open_runs

    words, rest = list[str](), sys.argv[1:]
    while rest:
        word = rest.pop(0)
        if word == "--timeout":
            rest = rest[1:]
        elif not word.startswith("--timeout="):
            words.append(word)
    began = time.time_ns()
    child = subprocess.Popen([sys.executable, "-m", "spanreel", *words])
    try:
        return child.wait(timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    why = f"ended after {timeout:g} s: it took too long"
    end_open_runs(resolve_store(store), child.pid, began, why)
    raise SpanreelError(f"the run was {why}", "go on with it: spanreel resume last")
