"""Two runs compared: totals, where they part, the steps side by side, tool calls, and the answers word by word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from spanreel.cli import words
from spanreel.cli.render.palette import BAD, DIM, DOUBT, GOOD, NAME, status, text
from spanreel.cli.render.table import Column, drawn
from spanreel.cli.render.tree import summary
from spanreel.replay.align import Pair
from spanreel.replay.comparable import what_differs
from spanreel.replay.compare import ChangedCall, ReplayComparison
from spanreel.replay.report.text import call_line, clean, cost_text, count_text, duration_text, truncated
from spanreel.replay.timeline import ToolCallRecord
from spanreel.replay.wording import word_diff

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


def divergence(found: ReplayComparison, marked: bool) -> Iterator[Text | Padding]:
    """Where the runs part first, and by what."""
    first = found.first_divergence
    if first is None:
        return
    sides = [
        f"step {number} of {name}"
        for number, name in ((first.a_step, "a"), (first.b_step, "b"))
        if number is not None
    ]
    same_place = first.a_step == first.b_step and first.a_step is not None
    where = f"step {first.a_step}" if same_place else ", ".join(sides) or "a call without a number"
    yield Text.assemble(
        ("they part at ", NAME),
        (where, NAME),
        f" ({words.flat(first.name)}): ",
        words.flat(first.what),
        (f"  {first.path}" if first.path else "", DIM),
    )
    if first.path is not None:
        yield from _indented(between(first.a, first.b, marked))


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
    if pair.relation in ("changed", "moved"):
        step = pair.step
        name = step.tool.tool_name if step.tool else step.model or step.name
        line.append(words.flat(name))
        what = list(dict.fromkeys(what_differs(path) for path in pair.paths))
        line.append(f": {', '.join(what)}" if what else "", DIM)
    else:
        said = summary(pair.step)
        said.stylize(style)
        line.append_text(said)
    line.truncate(width, overflow="ellipsis")
    return line


def tool_calls(found: ReplayComparison, width: int, marked: bool) -> Iterator[Text | Padding]:
    """Tool calls added, removed, reordered, and changed with the words that changed."""
    calls = found.tool_calls_diff
    counted = [
        f"{number} {name}"
        for number, name in (
            (calls.common, "the same"),
            (len(calls.added), "added"),
            (len(calls.removed), "removed"),
            (len(calls.changed), "changed"),
            (len(calls.reordered), "at another place"),
        )
        if number
    ]
    yield Text.assemble(("tool calls  ", NAME), ", ".join(counted) or "none")
    for mark, style, listed in (("-", BAD, calls.removed), ("+", GOOD, calls.added)):
        for call in listed:
            yield _call(call, mark, style, width)
    for change in calls.changed:
        yield from _changed(change, marked)
    for change in calls.reordered:
        yield _call(change.b, "↕", DOUBT, width)


def _call(call: ToolCallRecord, mark: str, style: str, width: int) -> Text:
    said = call_line(call.tool_name, call.tool_args)
    return Text(truncated(f"  {mark} {said}", width), style=style, no_wrap=True)


def _changed(change: ChangedCall, marked: bool) -> Iterator[Text | Padding]:
    yield Text.assemble(("  ~ ", DOUBT), words.flat(change.b.tool_name))
    for name, one, other in (
        ("arguments", change.a.tool_args, change.b.tool_args),
        ("result", change.a.result, change.b.result),
        ("error", change.a.error, change.b.error),
    ):
        if one != other:
            said = Text.assemble((f"{name}: ", DIM), between(one, other, marked))
            yield Padding(said, (0, 0, 0, 4), expand=False)


def answers(found: ReplayComparison, marked: bool) -> Iterator[Text | Padding]:
    """What the runs answered, word by word."""
    if not found.content_diff:
        yield Text.assemble(
            ("answer      ", NAME), "the same" if found.original.content is not None else "none"
        )
        return
    yield Text("answer", style=NAME)
    yield from _indented(between(found.original.content, found.replayed.content, marked))


def between(one: Any, other: Any, marked: bool) -> Text:
    """Two values in one text: what only the first has, what only the second has, and what both have.

    `marked` writes ``[-…-]`` and ``{+…+}`` as well, for a terminal without colours.
    """
    line = Text()
    for change in word_diff(_written(one), _written(other)):
        if change.equal:
            line.append(change.one)
            continue
        if change.one:
            line.append(f"[-{change.one}-]" if marked else change.one, style=f"{BAD} strike")
        if change.other:
            line.append(f"{{+{change.other}+}}" if marked else change.other, style=GOOD)
    return line


def _written(found: Any) -> str:
    return "" if found is None else clean(found) if isinstance(found, str) else words.quoted(found)


def _indented(line: Text) -> Iterator[Padding]:
    yield Padding(line, (0, 0, 0, 2), expand=False)
