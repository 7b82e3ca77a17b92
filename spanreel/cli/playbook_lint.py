"""Verbs that look at a playbook without running it: lint, simulate, diff. Thin: nothing is judged here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from spanreel.cli.options import Json, Store
from spanreel.cli.terminal import draw, note, say, say_json

if TYPE_CHECKING:
    from pathlib import Path

    from spanreel.replay.playbooks.body import Body
    from spanreel.replay.playbooks.planning.lint import Lint
    from spanreel.replay.playbooks.planning.simulation import PlannedState, Simulation
    from spanreel.replay.playbooks.repairs.difference import PlaybookDiff

Which: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="PLAYBOOK",
        help="Which: NAME, NAME@3, NAME@active, digits of its hash, or its file.",
        show_default=False,
    ),
]
Tools: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--tools", metavar="MODULE", help="A module that registers tools.", show_default=False),
]
MARKS = {"ready": "✓", "unknown": "?", "blocked": "✗"}


def lint(
    playbook: Which,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")] = False,
    tools: Tools = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """Say what could be better about a playbook, and what mends each point.

    Writes without guards, constants that look like data, parameters that take
    anything, results that nobody uses, and more. The score is 1 less what the
    findings weigh; it is told how.

    Exit codes: 0 no error (with --strict: no warning either); 1 there is one.

    Examples:
        spanreel playbook lint exchange-item
        spanreel playbook lint exchange.yaml --tools shop.tools --strict
    """
    from spanreel.replay.playbooks.engine.running import tool_places
    from spanreel.replay.playbooks.governance.rehearsal import linted

    body, report = body_of(playbook, store)
    found = linted(body, modules=tool_places(tools or ()), report=report)
    if json:
        say_json(found.to_json(indent=2))
    else:
        _tell_lint(found)
    raise typer.Exit(0 if found.passes(strict=strict) else 1)


def _tell_lint(found: Lint) -> None:
    for one in found.findings:
        say(f"{one.severity} {one.code}  {one.path}: {one.message}")
        say(f"  → {one.fix}")
    parts = ", ".join(f"{part.minus:g} {part.code} ({part.findings})" for part in found.parts)
    say(f"{found.name} {_short(found.hash)}: score {found.score:g}" + (f" = 1 less {parts}" if parts else ""))


def simulate(
    playbook: Which,
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A parameter.", show_default=False),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="RUN", help="Use the results that this recorded run had.", show_default=False
        ),
    ] = None,
    tools: Tools = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="PROVIDER/NAME", help="For model states that name none.", show_default=False),
    ] = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """Plan a run of a playbook on paper. Nothing is called.

    Each state is ready, blocked, or unknown where it depends on what nobody
    knows yet; unknown is not a pass. With --from, calls are answered from a
    recorded run, by identity.

    Exit codes: 0 ready; 1 blocked or unknown, and it says which.

    Examples:
        spanreel playbook simulate exchange-item --param order_id=W1
        spanreel playbook simulate exchange-item --from last --json
    """
    from spanreel.cli.inputs import values
    from spanreel.replay.playbooks.engine.running import tool_places
    from spanreel.replay.playbooks.governance.rehearsal import simulated

    body, _ = body_of(playbook, store)
    params = values(param or (), "--param", body)
    modules = tool_places(tools or ())
    found = simulated(body, params, run=from_, modules=modules, model=model, store=store)
    if json:
        say_json(found.to_json(indent=2))
    else:
        _tell_plan(found)
    raise typer.Exit(0 if found.readiness == "ready" else 1)


def _tell_plan(found: Simulation) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "state", "does", "safety", "guards", "what stands against it"):
        table.add_column(heading, overflow="fold")
    for one in found.states:
        table.add_row(
            MARKS[one.readiness],
            f"{one.state}{' (perhaps)' if one.conditional else ''}",
            _does(one),
            one.safety or "",
            _guards(one),
            "; ".join(one.reasons),
        )
    draw(table)
    cost = f"cost {found.cost} USD" if found.cost is not None else "cost unknown"
    say(f"{found.model_calls} model calls, {found.tool_calls} tool calls, {cost} ({found.cost_from})")
    if found.approvals:
        say(f"waits for approval: {', '.join(found.approvals)}")
    say(f"{found.name} {_short(found.hash)}: {found.readiness}")
    for reason in found.reasons:
        note(f"  {reason}")


def _does(one: PlannedState) -> str:
    if one.approval is not None and one.tool is None:
        return f"approval {one.approval}"
    if one.asks_model:
        return f"model {one.model or ''}".strip()
    return one.tool or one.action or ""


def _guards(one: PlannedState) -> str:
    words = {True: "yes", False: "no", None: "unknown"}
    counts: dict[str, int] = {}
    for guard in one.guards:
        counts[words[guard.holds]] = counts.get(words[guard.holds], 0) + 1
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def diff(
    a: Which,
    b: Which,
    json: Json = False,
    store: Store = None,
) -> None:
    """Compare two playbooks, or two bodies of one: what of the states, guards and bindings differs.

    With --json also the JSON Patch that makes B of A.

    Examples:
        spanreel playbook diff exchange-item@1 exchange-item@2
        spanreel playbook diff exchange-item exchange.yaml --json
    """
    from spanreel.replay.playbooks.repairs.difference import compared

    one, other = body_of(a, store)[0], body_of(b, store)[0]
    found = compared(one, other)
    if json:
        say_json(found.to_json(indent=2))
        return
    tell_changes(found)


def tell_changes(found: PlaybookDiff) -> None:
    """What differs, one line each."""
    signs = {"added": "+", "removed": "-", "changed": "~", "renamed": "→"}
    for one in found.changes:
        values = [_value(value) for value in (one.before, one.after) if value is not None]
        say(f"{signs[one.kind]} {one.where}: {' → '.join(values)}")
    if found.same:
        say(f"the same: {_short(found.a)}")
    else:
        note(f"{_short(found.a)} → {_short(found.b)}")


def _value(value: Any) -> str:
    import json

    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 200 else f"{text[:197]}…"


def _short(body_hash: str) -> str:
    return body_hash.removeprefix("sha256:")[:12]


def body_of(named: str, store: Path | None) -> tuple[Body, Any]:
    """A playbook as a person names it, and what the compiler said of it: of the store, or out of a file.

    Raises:
        UnknownPlaybook, BadInput: there is none.
    """
    from spanreel.exceptions import UnknownPlaybook
    from spanreel.replay.playbooks.governance.library import Library

    try:
        entry = Library(store).get(named)
    except UnknownPlaybook:
        if not _names_a_file(named):
            raise
        from spanreel.replay.playbooks.playbook import Playbook

        return Playbook.load(named, store=store).body, None
    return entry.body, entry.report


def _names_a_file(named: str) -> bool:
    return named.endswith((".yaml", ".yml", ".json", ".py")) or ":" in named or "/" in named
