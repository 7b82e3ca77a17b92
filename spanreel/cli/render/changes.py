"""Two runs compared: totals, where they part, the steps side by side, tool calls, and the answers word by word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
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
from spanreel.replay.compare import ChangedCall, ReplayComparison, what_differs
from spanreel.replay.timeline import ToolCallRecord

MARKS = {
    "same": ("=", DIM),
    "changed": ("~", DOUBT),
    "added": ("+", GOOD),
    "removed": ("-", BAD),
    "moved": ("↕", DOUBT),
}
MOST_WORDS = 4000  # of each text: beyond it whole lines are compared, which is quick
_WORD = re.compile(r"\s+|\w+|[^\w\s]")


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
            [*(text(words.count(len(run.steps))) for run in runs), _signed(steps, words.count(abs(steps)))],
        ),
        column(
            "tokens",
            [
                *(text(words.count(run.tokens.total_tokens)) for run in runs),
                _signed(tokens, words.count(abs(tokens or 0))),
            ],
        ),
        column("cost", [*(text(words.money(run.cost)) for run in runs), _cost(found.cost_diff)], rank=2),
        column(
            "time",
            [
                *(text(words.duration(run.duration)) for run in runs),
                _signed(found.duration_diff, words.duration(abs(found.duration_diff or 0.0))),
            ],
        ),
    ]
    return drawn([each for each in columns if each.title != "cost" or any(run.cost for run in runs)], width)


def _signed(number: float | None, said: str) -> Text:
    if number is None:
        return text("–", DIM)
    return text(("+" if number > 0 else "−" if number < 0 else "±") + said, DIM)


def _cost(difference: str | None) -> Text:
    return _signed(
        None if difference is None else float(Decimal(difference)),
        words.money((difference or "").lstrip("-")),
    )


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
        f" ({words.one_line(first.name)}): ",
        words.one_line(first.what),
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
        line.append(words.one_line(name))
        what = list(dict.fromkeys(what_differs(path) for path in pair.paths))
        line.append(f": {', '.join(what)}" if what else "", DIM)
    else:
        said = summary(pair.step)
        said.stylize(style)
        line.append_text(said)
    line.truncate(width, overflow="ellipsis")
    return line


def tool_calls(found: ReplayComparison, width: int, marked: bool) -> Iterator[Text]:
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
    said = words.call(call.tool_name, call.tool_args)
    return Text(words.shortened(f"  {mark} {said}", width), style=style, no_wrap=True)


def _changed(change: ChangedCall, marked: bool) -> Iterator[Text]:
    yield Text.assemble(("  ~ ", DOUBT), words.one_line(change.b.tool_name))
    for name, one, other in (
        ("arguments", change.a.tool_args, change.b.tool_args),
        ("result", change.a.result, change.b.result),
        ("error", change.a.error, change.b.error),
    ):
        if one != other:
            yield Text.assemble((f"    {name}: ", DIM), between(one, other, marked))


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

    Args:
        marked: write ``[-…-]`` and ``{+…+}`` as well, for a terminal without colours.
    """
    line = Text()
    for kind, piece in word_changes(_written(one), _written(other)):
        if kind == "same":
            line.append(piece)
        elif kind == "removed":
            line.append(f"[-{piece}-]" if marked else piece, style=f"{BAD} strike")
        else:
            line.append(f"{{+{piece}+}}" if marked else piece, style=GOOD)
    return line


def word_changes(one: str, other: str) -> list[tuple[str, str]]:
    """(same | removed | added, text) in order: without `added` it reads as `one`, without `removed` as `other`."""
    before, after = _WORD.findall(one), _WORD.findall(other)
    if max(len(before), len(after)) > MOST_WORDS:
        before, after = one.splitlines(keepends=True), other.splitlines(keepends=True)
    found: list[tuple[str, str]] = []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=len(before) + len(after) > MOST_WORDS)
    for tag, a1, a2, b1, b2 in matcher.get_opcodes():
        if tag == "equal":
            found.append(("same", "".join(before[a1:a2])))
            continue
        found += [
            (kind, piece)
            for kind, piece in (("removed", "".join(before[a1:a2])), ("added", "".join(after[b1:b2])))
            if piece
        ]
    return _joined(found)


def _joined(found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Changes that only a blank parts are one change, which reads better."""
    joined: list[tuple[str, str]] = []
    removed = added = gap = ""

    def flush() -> None:
        nonlocal removed, added, gap
        joined.extend(
            (kind, piece) for kind, piece in (("removed", removed), ("added", added), ("same", gap)) if piece
        )
        removed = added = gap = ""

    for kind, piece in found:
        if kind == "same" and not (piece.isspace() and (removed or added)):
            flush()
            joined.append((kind, piece))
        elif kind == "same":
            gap += piece
        else:
            removed, added = removed + gap, added + gap
            gap = ""
            removed, added = (removed + piece, added) if kind == "removed" else (removed, added + piece)
    flush()
    return joined


def _written(found: Any) -> str:
    return "" if found is None else words.clean(found) if isinstance(found, str) else words.quoted(found)


def _indented(line: Text) -> Iterator[Padding]:
    yield Padding(line, (0, 0, 0, 2))
