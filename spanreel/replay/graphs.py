"""LOUD: the graph of what a person names: a playbook, a run, or what was observed over the runs of a store."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanreel.exceptions import SpanreelError, StoreError, UnknownPlaybook, UnknownRun
from spanreel.location import resolve_store
from spanreel.replay.playbooks.body import END
from spanreel.replay.report.graph import Graph, of_playbook, of_run
from spanreel.replay.report.transitions import Transition, observed, of_states, of_steps
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanreel.collector.store import Reader
    from spanreel.replay.playbooks.body import Body
    from spanreel.replay.timeline import Replay
    from spanreel.wire.grouping import Run
    from spanreel.wire.spans import Span

_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_FILES: Final = (".yaml", ".yml", ".py")


class UnknownTarget(SpanreelError):
    """A name means neither a run nor a playbook."""

    exit_code = 2


def graph_of(target: str, store: str | os.PathLike[str] | None = None) -> Graph:
    """The graph of a playbook or of a run.

    Args:
        target: a run's name or its file; a playbook's file, ``module:name``, ``playbook:NAME`` or name.
        store: default: the project's.

    Raises:
        UnknownTarget: it is none of them.
        SpanreelError: the playbook or the file cannot be read.
    """
    from spanreel.replay.load import replay_of

    found = run_or_body(target, store)
    return of_run(replay_of(found, store)) if isinstance(found, str) else of_playbook(found)


def run_or_body(target: str, store: str | os.PathLike[str] | None = None) -> Body | str:
    """A playbook's body, or the name of a run.

    Raises:
        UnknownTarget: it is neither.
    """
    from spanreel.collector.store import open_reader
    from spanreel.replay.files import file_of

    target = target.removeprefix("run:")
    if is_playbook(target):
        return body_of(target, store)
    if file_of(target)[0] is not None:
        return target
    path = resolve_store(store)
    try:
        with open_reader(path) as reader:
            return reader.resolve(target).run_id
    except UnknownRun as unknown:
        try:
            return body_of(f"playbook:{target}", store)
        except UnknownPlaybook:
            raise UnknownTarget(
                f"{target} is neither a run nor a playbook of {path}",
                "see: spanreel runs; spanreel playbook list",
            ) from unknown


def is_playbook(target: str) -> bool:
    """Whether a name can only mean a playbook: its file, ``module:name``, or ``playbook:NAME``."""
    if target.startswith("playbook:") or target.endswith(_FILES) or ".py:" in target:
        return True
    if target.endswith(".json") and Path(target).is_file():
        return _says_playbook(Path(target))
    return bool(re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", target)) and not target.startswith("last:")


def body_of(target: str, store: str | os.PathLike[str] | None = None) -> Body:
    """The body of a playbook that a person names.

    Raises:
        SpanreelError: there is none, or it cannot be read.
    """
    from spanreel.replay.playbooks.formats.target import find

    found = find(target, store)
    return found.body or found.checked()


def observed_of(
    playbook: str | None = None,
    agent: str | None = None,
    since: str | None = None,
    store: str | os.PathLike[str] | None = None,
    *,
    models: bool = False,
) -> Graph:
    """What followed what: over the executions of a playbook, by its states, or the runs of an agent, by its steps.

    Args:
        playbook: its name.
        agent: the agent's; without either, every agent's runs.
        since: only runs that began since: ``7d``, ``12h``, or a date.
        store: default: the project's.
        models: model calls are nodes too; always so where no run called a tool.

    Raises:
        SpanreelError: there is no such run, or `since` is no time.
    """
    from spanreel.collector.store import open_reader
    from spanreel.replay.build import build

    begin = 0 if since is None else since_ns(since)
    with open_reader(resolve_store(store)) as reader:
        found: list[Sequence[Transition]] = []
        built: list[Replay] = []
        for run in reader.runs():
            if run.started_ns < begin:
                continue
            if playbook is not None:
                states = _states(reader, run, playbook)
                found += [states] if states else []
            elif agent in (None, run.agent_name):
                built.append(build(run, reader.spans(run.trace_id)))
    models = models or not any(step.tool for run in built for step in run.steps)
    found += [of_steps(run, models=models) for run in built]
    title = playbook or agent or "all agents"
    if not found:
        what = f"execution of playbook {playbook}" if playbook else f"run of {title}"
        raise SpanreelError(
            f"no {what} is in the store" + (f" since {since}" if since else ""), "see: spanreel runs"
        )
    return observed(title, found)


def undeclared(body: Body, store: str | os.PathLike[str] | None = None) -> Counter[tuple[str, str]]:
    """The ways that executions of a body took from its functions, and that it does not declare; how often each.

    Any other state declares where it leads, and nothing leads elsewhere.
    """
    from spanreel.collector.store import open_reader

    found: Counter[tuple[str, str]] = Counter()
    declared = {(edge.from_, edge.to) for edge in body.edges}
    try:
        reader = open_reader(resolve_store(store))
    except StoreError:  # nothing was recorded yet
        return found
    with reader:
        for run in reader.runs():
            ways = _states(reader, run, body.name, body.hash)
            for (_, name), (_, to) in ((one.source, one.target) for one in ways):
                state = body.states.get(name)
                if state is None or state.python is None or to in {*state.targets(), "stopped"}:
                    continue
                if (name, to) not in declared and not (to == END and state.next is None):
                    found[name, to] += 1
    return found


def _states(reader: Reader, run: Run, playbook: str, body: str | None = None) -> list[Transition]:
    if run.agent_name != playbook:
        return []
    spans = reader.spans(run.trace_id)
    root = next((span for span in spans if span.span_id == run.root.span_id), None)
    if root is None or root.attributes.get(names.PLAYBOOK_NAME) != playbook:
        return []
    if body is not None and root.attributes.get(names.PLAYBOOK_HASH) != body:
        return []
    return of_states(_below(spans, root))


def _below(spans: Sequence[Span], root: Span) -> Iterator[Span]:
    """The states of the playbook itself: not those of playbooks inside of it."""
    parents = {span.span_id: span for span in spans}
    for span in spans:
        above = span.parent_span_id
        while above is not None and above in parents and above != root.span_id:
            if names.PLAYBOOK_STATE in parents[above].attributes:
                break
            above = parents[above].parent_span_id
        if above == root.span_id:
            yield span


def since_ns(since: str) -> int:
    """Nanoseconds since the epoch of a time as people say it: ``7d`` ago, ``12h`` ago, or a date.

    Raises:
        SpanreelError: it is none.
    """
    now = dt.datetime.now(dt.UTC)
    if ago := _AGO.fullmatch(since.strip()):
        then = now - dt.timedelta(seconds=float(ago[1]) * _SECONDS[ago[2]])
        return int(then.timestamp() * 1e9)
    try:
        said = dt.datetime.fromisoformat(since)
    except ValueError:
        raise SpanreelError(
            f"{since!r} is no time", "give 7d, 12h, 30m, or a date such as 2026-03-01"
        ) from None
    return int((said if said.tzinfo else said.replace(tzinfo=dt.UTC)).timestamp() * 1e9)


def _says_playbook(path: Path) -> bool:
    with path.open("rb") as file:
        return b'"playbook/v1"' in file.read(4096)
