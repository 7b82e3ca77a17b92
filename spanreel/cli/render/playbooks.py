"""Playbooks for the terminal: the list of them, and one of them with its states and its evidence."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from spanreel.cli import words
from spanreel.cli.render.palette import BAD, DIM, DOUBT, GOOD, MODEL, NAME, TOOL, text
from spanreel.cli.render.table import Column, drawn
from spanreel.replay.report.text import cost_text, count_text, duration_text, truncated

if TYPE_CHECKING:
    from rich.table import Table

    from spanreel.replay.playbooks.body import Body, State
    from spanreel.replay.playbooks.governance.evidence import Evidence, Executed
    from spanreel.replay.playbooks.governance.shelf import Entry

STATUS = {
    "active": GOOD,
    "shadow": MODEL,
    "candidate": "",
    "review": DOUBT,
    "needs_repair": BAD,
    "disabled": DOUBT,
    "retired": DIM,
    "rejected": DIM,
}
BECAME = {"ok": GOOD, "failed": BAD, "blocked": DOUBT, "unknown": DOUBT}
SHOWN = 12
"""How many executions are shown, the newest ones."""


def status(name: str) -> Text:
    """A playbook's status in its colour."""
    return text(name, STATUS.get(name, ""))


def table(found: Sequence[Entry], width: int) -> Table:
    """One line a body, by name and version."""
    rows = list(found)
    columns = [
        Column("playbook", [text(one.ref, NAME) for one in rows]),
        Column("status", [status(one.status) for one in rows]),
        Column("hash", [text(one.short, DIM) for one in rows], rank=2),
        Column("origin", [text(one.origin) for one in rows], rank=3),
        Column("states", [text(count_text(len(one.body.states))) for one in rows], right=True, rank=4),
        Column("ok", [text(_of(one.evidence)) for one in rows], right=True),
        Column("shadows", [text(count_text(len(one.evidence.shadows))) for one in rows], right=True, rank=5),
        Column("why, goal", [text(_note(one), DIM) for one in rows], least=24, rank=1),
    ]
    return drawn(columns, width)


def _of(found: Evidence) -> str:
    return f"{found.count('ok')} of {len(found.executions)}" if found.executions else "–"


def _note(entry: Entry) -> str:
    return entry.why if entry.status not in ("active", "candidate") and entry.why else entry.body.goal or "–"


def page(entry: Entry, width: int) -> Iterator[Any]:
    """A body: what it is, its states in the order of its file, its evidence."""
    yield from header(entry, width)
    yield ""
    yield from _states(entry.body, width)
    if entry.evidence.executions:
        yield ""
        yield summary(entry.evidence, width)
        yield executions(entry.evidence.executions, width)
    yield ""
    yield text(f"where it comes from: spanreel playbook why {entry.ref}", DIM)


def header(entry: Entry, width: int) -> list[Text]:
    """Which one it is, what it may be used for."""
    body = entry.body
    title = Text.assemble(
        text(entry.ref, NAME), "  ", status(entry.status), "  ", text(entry.short, DIM), no_wrap=True
    )
    params = ", ".join(
        f"{name}: {param.type}" + ("" if param.required else "?") for name, param in body.params.items()
    )
    matchers = body.matchers.model_dump(mode="json", exclude_defaults=True)
    budget = body.budget.model_dump(mode="json", exclude_none=True)
    lines = [
        ("goal", body.goal),
        ("why", entry.why),
        ("origin", entry.origin),
        ("params", params),
        ("for", ", ".join(f"{key} {_short(value)}" for key, value in matchers.items())),
        ("risk", body.risk),
        ("budget", ", ".join(f"{key} {value:g}" for key, value in budget.items())),
    ]
    return [title, *(pair(name, found, width) for name, found in lines if found)]


def pair(name: str, found: str, width: int) -> Text:
    """Two columns; what is too long for a line goes on below."""
    return Text.assemble(Text(f"  {name:<9}", DIM), Text(folded(found, width, 11)), no_wrap=True)


def folded(found: str, width: int, indent: int) -> str:
    """A text on as many lines as it needs, each but the first indented."""
    lines = textwrap.wrap(words.flat(found), max(20, width - indent)) or [""]
    return f"\n{' ' * indent}".join(lines)


def _states(body: Body, width: int) -> Iterator[Text]:
    wide = max(len(name) for name in body.states)
    for name, state in body.states.items():
        first = "▸ " if name == body.initial else "  "
        led = next_of(state)
        line = Text.assemble(
            Text(first, GOOD), Text(f"{name:<{wide}}", NAME), "  ", *does(state), no_wrap=True
        )
        room = width - len(led) - 4
        if line.cell_len > room:
            line.truncate(room, overflow="ellipsis")
        line.append_text(Text(f"  → {led}", DIM))
        yield line


def does(state: State) -> list[Text]:
    """What a state does, in a few words."""
    action = state.action
    if state.tool is not None:
        args = ", ".join(f"{key}={_short(value)}" for key, value in state.args.items())
        mark = [Text(f"{state.safety} ", DOUBT)] if state.safety in ("write", "irreversible") else []
        return [*mark, text(state.tool, TOOL), text(f"({args})")]
    if state.llm is not None:
        return [Text("model ", MODEL), text(words.flat(state.llm.prompt))]
    if state.approval is not None:
        return [Text("approval ", DOUBT), text(words.flat(state.approval.summary or state.approval.id))]
    if state.playbook is not None:
        return [Text("playbook ", DIM), text(state.playbook.name)]
    if state.branch is not None:
        return [Text("branch ", DIM), text(_short(state.branch.on) if state.branch.on is not None else "")]
    found = state.python or state.set or ""
    return [Text(f"{action or 'go on'} ", DIM), text(found if isinstance(found, str) else _short(found))]


def next_of(state: State) -> str:
    """Where it leads."""
    return ", ".join(dict.fromkeys(state.targets())) or "end"


def summary(found: Evidence, width: int) -> Text:
    """The evidence in one line."""
    told = [f"{found.count('ok')} of {len(found.executions)} ok"]
    told += [f"{number} {word}" for word in ("failed", "blocked", "unknown") if (number := found.count(word))]
    told += [f"{len(found.shadows)} in shadow"] if found.shadows else []
    told += [f"{found.distinct_inputs} different inputs"]
    return Text.assemble(
        Text("evidence ", "bold"), text(truncated(", ".join(told), max(10, width - 9)), DIM), no_wrap=True
    )


def executions(found: Sequence[Executed], width: int) -> Table:
    """The newest executions, newest first."""
    rows = list(reversed(found))[:SHOWN]
    columns = [
        Column("run", [text(one.run_id[:8], NAME) for one in rows]),
        Column("when", [text(words.moment(one.at), DIM) for one in rows], rank=1),
        Column("mode", [text(one.mode) for one in rows]),
        Column("", [text(one.became, BECAME[one.became]) for one in rows]),
        Column(
            "score",
            [text("" if one.score is None else f"{one.score:.2f}") for one in rows],
            right=True,
            rank=2,
        ),
        Column("models", [text(count_text(one.model_calls)) for one in rows], right=True, rank=3),
        Column("cost", [text(cost_text(one.cost)) for one in rows], right=True, rank=5),
        Column(
            "time",
            [text(duration_text(None if one.seconds is None else one.seconds * 1000)) for one in rows],
            right=True,
            rank=4,
        ),
        Column("why", [text(one.why if one.became != "ok" else "", DIM) for one in rows], least=8),
    ]
    if not any(one.score is not None for one in rows):
        columns = [column for column in columns if column.title != "score"]
    return drawn(columns, width)


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
