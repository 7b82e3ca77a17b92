"""Where a playbook comes from, for the terminal: sources, decisions with their gates, evidence, states."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from spanreel.cli import words
from spanreel.cli.render.palette import BAD, DIM, DOUBT, GOOD, NAME, text
from spanreel.cli.render.playbooks import executions, folded, pair, status
from spanreel.replay.report.text import clean, truncated

if TYPE_CHECKING:
    from spanreel.replay.playbooks.governance.provenance import PlaybookWhy, SourceStep, StateWhy


def page(found: PlaybookWhy, width: int, *, only_state: bool = False) -> Iterator[Any]:
    """All of it; of one state only what is about that."""
    yield Text.assemble(
        text(f"{found.name}@{found.version}", NAME), "  ", status(found.status), "  ",
        text(found.hash.removeprefix("sha256:")[:12], DIM), no_wrap=True,
    )  # fmt: skip
    if only_state:
        yield ""
        for state in found.states:
            yield from _state(state, width)
        return
    if found.why:
        yield pair("why", found.why, width)
    yield pair("origin", f"{found.origin}{f' of {found.parent}' if found.parent else ''}", width)
    if found.sources:
        yield Text("  made of", DIM)
        for run in found.sources:
            told = (
                f"{run.agent_name}, {run.status}, {run.steps} steps, {words.moment(run.started_at)}"
                if run.status
                else "not in this store"
            )
            yield _line(f"run {run.run_id[:12]}  ", told, width, 4)
    for note in found.notes:
        yield pair("note", note, width)
    yield ""
    yield text("decided", "bold")
    for one in found.decisions:
        yield from _decision(one, width)
    for earlier in found.lineage:
        yield ""
        yield Text.assemble(text(f"decided about {earlier.ref}", "bold"), "  ", status(earlier.status))
        for one in earlier.decisions:
            yield from _decision(one, width)
    yield ""
    resolution = found.resolution
    yield text(f"gates (profile {resolution.get('profile')})", "bold")
    for gate in found.gates:
        asked = resolution.get("gates", {}).get(gate["gate"], {}).get("from")
        by = f" ({asked})" if asked and asked != resolution.get("profile") else ""
        mark, style = ("✓", GOOD) if gate["passed"] else ("✗", BAD)
        yield Text.assemble(
            "  ", text(mark, style), " ", Text(folded(f"{gate['text']}{by}", width, 4)), no_wrap=True
        )
    yield ""
    yield text("evidence", "bold")
    yield executions(found.evidence, width) if found.evidence else Text("  it was never executed", DIM)
    yield ""
    yield text("states", "bold")
    for state in found.states:
        yield from _state(state, width)


def _decision(one: Mapping[str, Any], width: int) -> Iterator[Text]:
    led = f" {one['from']} → {one['to']}" if one.get("to") else ""
    forced = ", forced" if one.get("forced") else ""
    elsewhere = ", elsewhere" if one.get("here") is False else ""
    actor = one.get("actor")
    by = f" by {_who(actor)}" if actor else ""
    yield _line(f"{words.moment(one.get('at')):<12} ", f"{one['kind']}{led}{by}{forced}{elsewhere}", width, 2)
    if one.get("reason"):
        yield Text(f"{' ' * 15}{folded(str(one['reason']), width, 15)}", DIM)
    for gate in one.get("gates") or ():
        if not gate.get("passed"):
            yield Text(f"{' ' * 15}✗ {folded(str(gate.get('text')), width, 17)}", BAD)


def _state(state: StateWhy, width: int) -> Iterator[Text]:
    what = " ".join(part for part in (state.action, state.calls) if part)
    support = f"  in {state.support}" if state.support else ""
    yield Text.assemble("  ", text(state.name, NAME), "  ", text(what), Text(support, DIM), no_wrap=True)
    if state.derived_from:
        yield _line("from ", ", ".join(map(_source, state.derived_from)), width, 4, DIM)
    for value in state.values:
        inferred = f"  ({value.inferred})" if value.inferred else ""
        shown = value.value if isinstance(value.value, str) else json.dumps(value.value, ensure_ascii=False)
        yield _line(f"{value.path} = ", f"{words.flat(shown)}{inferred}", width, 4)
    for guard in state.guards:
        yield _line("guard ", words.flat(guard), width, 4, DIM)
    for failed in state.failures:
        told = ": ".join(part for part in (failed.guard, failed.reason) if part)
        yield _line(f"stopped run {failed.run_id[:8]} ", told, width, 4, DOUBT)


def _source(one: SourceStep) -> str:
    if one.run_id is None:
        return f"{one.span.partition(':')[0][:8]} (not in this store)"
    return f"{one.run_id[:8]} step {one.step}"


def _line(name: str, found: str, width: int, indent: int, style: str = "") -> Text:
    head = " " * indent + clean(name)
    return Text.assemble(
        Text(head, DIM), text(truncated(found, max(10, width - len(head))), style), no_wrap=True
    )


def _who(actor: Any) -> str:
    return str(actor.get("name") or json.dumps(actor)) if isinstance(actor, Mapping) else str(actor)
