"""Two runs compared: totals, where they part, the steps side by side, tool calls, and the answers word by word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from rich.table import Table
from rich.text import Text

from spanreel.cli import words
from spanreel.cli.render.palette import BAD, DIM, DOUBT, GOOD, NAME, status, text
from spanreel.cli.render.table import Column, drawn
from spanreel.cli.render.tree import summary
from spanreel.cli.terminal import console
from spanreel.replay.align import Pair
from spanreel.replay.cause import ROOM
from spanreel.replay.compare import ReplayComparison
from spanreel.replay.report.details import SHOWN, Detail, as_json, details, headline, is_prose, within
from spanreel.replay.report.details import words as compared
from spanreel.replay.report.text import call_line, cost_text, count_text, duration_text, step_line, truncated
from spanreel.replay.report.totals import CLASSES, call_counts, model_rows, rows
from spanreel.replay.timeline import ToolCallRecord

LONGEST = 2000  # characters of a value on the screen
MARKS = {
    "same": ("=", DIM),
    "changed": ("~", DOUBT),
    "added": ("+", GOOD),
    "removed": ("-", BAD),
    "moved": ("↕", DOUBT),
}


def totals(found: ReplayComparison, width: int) -> Table:
    """Both runs in a line each, and their difference in a third."""
    runs = [found.original, found.replayed]
    shorts = words.short_ids([run.run_id for run in runs])

    def column(
        title: str, cells: Sequence[Text], right: bool = True, rank: int = 0, least: int | None = None
    ) -> Column:
        return Column(title, cells, right=right, rank=rank, least=least)

    tokens = found.token_diff.total_tokens
    steps = len(runs[1].steps) - len(runs[0].steps)
    columns = [
        column("", [text("a", BAD), text("b", GOOD), text("b−a", DIM)], right=False),
        column("run", [*(text(shorts[run.run_id], NAME) for run in runs), Text("")], right=False),
        column("agent", [*(text(run.agent_name or "–") for run in runs), Text("")], right=False, least=8),
        column("status", [*(status(run.status) for run in runs), Text("")], right=False),
        column(
            "model", [*(text(run.model or "–", DIM) for run in runs), Text("")], right=False, rank=1, least=8
        ),
        column(
            "steps",
            [*(text(count_text(len(run.steps))) for run in runs), _signed(steps, count_text(abs(steps)))],
        ),
        column(
            "tokens",
            [
                *(text(count_text(run.tokens.total_tokens)) for run in runs),
                _signed(tokens, count_text(abs(tokens or 0))),
            ],
        ),
        column("cost", [*(text(cost_text(run.cost)) for run in runs), _cost(found.cost_diff)], rank=2),
        column(
            "time",
            [
                *(text(duration_text(run.duration)) for run in runs),
                _signed(found.duration_diff, duration_text(abs(found.duration_diff or 0.0))),
            ],
        ),
    ]
    told = {"cost": any(run.cost for run in runs), "model": runs[0].model != runs[1].model}
    return drawn([each for each in columns if told.get(each.title, True)], width)


def _signed(number: float | None, said: str) -> Text:
    if number is None:
        return text("–", DIM)
    return text(("+" if number > 0 else "−" if number < 0 else "±") + said, DIM)


def _cost(difference: str | None) -> Text:
    if difference is None:
        return text("–", DIM)
    return _signed(float(difference), cost_text(difference.lstrip("-")))


def cause(found: ReplayComparison, width: int, marked: bool) -> Iterator[Text]:
    """Where the runs part first, why, and the two values."""
    first = found.first_divergence
    if first is None:
        return
    yield Text("first difference", style=NAME)
    yield from hung(Text(words.flat(first.cause), style=DOUBT), width, 2)
    if first.path is not None and first.differs != "error" and not is_short(first.a, first.b):
        yield from hung(clipped(between(first.a, first.b, marked)), width, 4)


def is_short(one: Any, other: Any) -> bool:
    """Whether the sentence has said both values already."""
    return not is_prose(one, other) and all(len(as_json(value)) <= ROOM for value in (one, other))


def figures(found: ReplayComparison) -> Iterator[Text]:
    """Tokens by class, and the cost of each model where there are several."""
    tokens = [
        f"{label.removeprefix('of them ').removesuffix(' tokens')} {one} → {other} ({diff})"
        for label, one, other, diff in rows(found)
        if label in CLASSES.values() and diff not in ("–", "±0")
    ]
    models = [f"{name} {one} → {other} ({diff})" for name, one, other, diff in model_rows(found)]
    if tokens or len(models) > 1:
        yield Text("")
    for title, told in (("tokens", tokens), ("models", models if len(models) > 1 else [])):
        for at, line in enumerate(told):
            yield Text.assemble((f"{title if at == 0 else '':<12}", NAME), (line, DIM))


def heading(title: str) -> Text:
    """The name of a section."""
    return Text(title, style=NAME)


def steps(pairs: Sequence[Pair], width: int) -> Iterator[Text]:
    """The aligned steps, those that are the same taken together."""
    for relation, run in groupby(pairs, key=lambda pair: pair.relation):
        group = list(run)
        if relation == "same":
            numbers = [pair.a.number for pair in group if pair.a and pair.a.number is not None]
            span = f"{numbers[0]}" + (f"–{numbers[-1]}" if len(numbers) > 1 else "") if numbers else ""
            yield Text.assemble(
                ("  = ", DIM), (f"{span:>7}  ", DIM), (words.plural(len(group), "step") + " the same", DIM)
            )
            continue
        for pair in group:
            yield _pair(pair, width)


def _pair(pair: Pair, width: int) -> Text:
    mark, style = MARKS[pair.relation]
    here, there = (str(step.number) if step and step.number is not None else "" for step in (pair.a, pair.b))
    number = here if here == there else f"{here}→{there}" if here and there else here or there
    line = Text.assemble((f"  {mark} ", style), (f"{number:>7}  ", DIM), no_wrap=True)
    if pair.changes:
        step = pair.step
        line.append(words.flat(step.tool.tool_name if step.tool else step.model or step.name))
        line.append(f": {words.flat(headline(pair))}", DIM)
    else:
        said = Text(step_line(pair.step, width)) if pair.step.tool else summary(pair.step)
        said.stylize(style)
        line.append("(again) " if pair.repeated else "", DIM)
        line.append_text(said)
    line.truncate(width, overflow="ellipsis")
    return line


def tool_calls(found: ReplayComparison, width: int, marked: bool) -> Iterator[Text]:
    """Tool calls added, removed, reordered, and changed with what changed in them."""
    calls = found.tool_calls_diff
    yield Text.assemble(("tool calls  ", NAME), call_counts(found))
    for mark, style, listed in (("-", BAD, calls.removed), ("+", GOOD, calls.added)):
        for call in listed:
            yield _call(call, mark, style, width)
    for pair in found.steps:
        if pair.relation == "changed" and pair.step.tool:
            yield from _changed(pair, width, marked)
    for change in calls.reordered:
        yield _call(change.b, "↕", DOUBT, width)


def _call(call: ToolCallRecord, mark: str, style: str, width: int) -> Text:
    said = call_line(call.tool_name, call.tool_args)
    return Text(truncated(f"  {mark} {said}", width), style=style, no_wrap=True)


def _changed(pair: Pair, width: int, marked: bool) -> Iterator[Text]:
    yield Text.assemble(("  ~ ", DOUBT), words.flat(pair.step.tool.tool_name if pair.step.tool else ""))
    yield from _places(details(pair), width, marked, 4)


def _places(found: Sequence[Detail], width: int, marked: bool, indent: int) -> Iterator[Text]:
    for each in found[:SHOWN]:
        place = (f"{words.flat(each.place)}: " if each.place else "", DIM)
        yield from hung(clipped(Text.assemble(place, between(each.one, each.other, marked))), width, indent)
    if len(found) > SHOWN:
        yield Text(" " * indent + f"… and {len(found) - SHOWN} more places", style=DIM)


def notes(found: ReplayComparison, width: int) -> Iterator[Text]:
    """Notes that only one of the runs has."""
    listed = [("-", BAD, note) for note in found.notes_diff.removed]
    listed += [("+", GOOD, note) for note in found.notes_diff.added]
    if listed:
        yield Text("notes", style=NAME)
    for mark, style, note in listed:
        said = words.flat(f"{note.kind}: {note.summary or ''}")
        yield Text(truncated(f"  {mark} {said}", width), style=style, no_wrap=True)


def facts(found: ReplayComparison, width: int, marked: bool) -> Iterator[Text]:
    """Input and outcome of the runs, where they differ."""
    for fact in found.facts_diff:
        if fact.name in ("input", "outcome"):
            yield Text(fact.name, style=NAME)
            yield from _places(within("", fact.a, fact.b), width, marked, 2)


def answers(found: ReplayComparison, width: int, marked: bool) -> Iterator[Text]:
    """What the runs answered, word by word."""
    if not found.content_diff:
        yield Text.assemble(
            ("answer      ", NAME), "the same" if found.original.content is not None else "none"
        )
        return
    yield Text("answer", style=NAME)
    yield from _places(within("", found.original.content, found.replayed.content), width, marked, 2)


def between(one: Any, other: Any, marked: bool) -> Text:
    """Two values in one text: what only the first has, what only the second has, and what both have.

    `marked` writes ``[-…-]`` and ``{+…+}`` as well, for a terminal without colours. What is no prose is told as
    the one value and the other.
    """
    line = Text()
    if not (is_prose(one, other) or isinstance(one, dict | list) or isinstance(other, dict | list)):
        return line.append(as_json(one), BAD).append(" → ", DIM).append(as_json(other), GOOD)
    for change in compared(one, other):
        if change.equal:
            line.append(change.one)
            continue
        if change.one:
            line.append(f"[-{change.one}-]" if marked else change.one, style=f"{BAD} strike")
        if change.other:
            line.append(f"{{+{change.other}+}}" if marked else change.other, style=GOOD)
    return line


def clipped(line: Text) -> Text:
    """At most as much of a value as a screen takes; all of it is in the JSON and in the page."""
    if len(line) <= LONGEST:
        return line
    return line[:LONGEST].append(f" … ({len(line) - LONGEST:,} more characters)", DIM)


def hung(line: Text, width: int, indent: int) -> Iterator[Text]:
    """The text wrapped, each line indented and without spaces at its end."""
    for each in line.wrap(console(), max(20, width - indent)):
        each.rstrip()
        yield Text.assemble(" " * indent, each, no_wrap=True)
