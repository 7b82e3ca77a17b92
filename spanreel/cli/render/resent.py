"""What became of recorded calls that were asked again, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from spanreel.cli import words
from spanreel.cli.render.palette import BAD, DIM, DOUBT, GOOD, NAME, text
from spanreel.cli.render.table import Column, drawn
from spanreel.replay.report.text import call_line, cost_text, count_text, duration_text, one_line

if TYPE_CHECKING:
    from rich.table import Table

    from spanreel.replay.resent import AnswerFacts, Resent, ResentCall, Spent, ToolChange
    from spanreel.replay.samples import Sampled

STYLE = {"same": GOOD, "reworded": DOUBT, "different tool calls": BAD, "answered": DOUBT, "error": BAD}
SPREAD = {"within the spread": GOOD, "outside the spread": BAD, "cannot tell": DOUBT}
SHOWN = 160


def lines(found: Resent, width: int) -> Iterator[Text | Table]:
    """How many calls are answered as they were, then each call, then what differs in those that are not."""
    yield _summary(found)
    yield _pair("calls of", f"{found.source_run_id} ({found.grade})")
    if found.run_id:
        yield _pair("kept as", found.run_id)
    yield from _spent(found.spent)
    if found.calls:
        yield Text()
        yield _table(found.calls, width)
    for call in found.calls:
        if call.verdict != "same":
            yield from _difference(call)
    for note in dict.fromkeys(note for call in found.calls for note in call.notes):
        yield Text(f"  note: {words.flat(note)}", style=DIM)
    for left in found.not_sent:
        yield Text(f"  step {left.step} was not asked: {words.flat(left.why)}", style=DOUBT)
    if found.stopped:
        yield Text(f"  stopped: {words.flat(found.stopped)}", style=DOUBT)


def sample_lines(found: Sampled, width: int) -> Iterator[Text | Table]:
    """The word first, then the numbers behind it, the answers, and what the word rests on."""
    spread = found.spread
    word = f"cannot tell with K={found.asked}" if spread.verdict == "cannot tell" else spread.verdict
    yield Text.assemble((word, f"{NAME} {SPREAD[spread.verdict]}"), f": {spread.why}" if spread.why else "")
    yield _pair("step", f"{found.step} of {found.source_run_id}, {found.found}")
    if found.run_id:
        yield _pair("kept as", found.run_id)
    yield from _spent(found.spent)
    if spread.p is not None:
        how = f"{'all' if spread.exact else 'random'} {count_text(spread.splits)} ways to deal"
        yield _pair(
            "p",
            f"{spread.p:.3g} ({how}; at least {spread.least_p:.3g} with so many answers; outside from {spread.alpha:g} down)",
        )
        yield _pair(
            "effect", f"{spread.effect:.0%} of the distance between old and new is more than their own spread"
        )
        yield _pair(
            "distances",
            f"between {_number(spread.between)}, within old {_number(spread.within_old)}, within new {_number(spread.within_new)}",
        )
    if found.old_from_recorded is not None:
        yield _pair(
            "recorded",
            f"the old setting's answers are {found.old_from_recorded:.2f} from the recorded one",
        )
    yield Text()
    yield _samples(found, width)
    for note in found.notes:
        yield Text(f"  note: {words.flat(note)}", style=DOUBT)
    if found.stopped:
        yield Text(f"  stopped: {words.flat(found.stopped)}", style=DOUBT)
    yield Text(f"  statistic: {spread.statistic_text}", style=DIM)
    for assumption in spread.assumptions:
        yield Text(f"  assumed: {assumption}", style=DIM)


def _summary(found: Resent) -> Text:
    count = len(found.calls)
    same = found.verdicts.get("same", 0)
    style = GOOD if same == count and not found.stopped else BAD if found.verdicts.get("error") else DOUBT
    said = f"{same} of {words.plural(count, 'call')} answered the same" if count else "no call was asked"
    others = ", ".join(f"{number} {word}" for word, number in found.verdicts.items() if word != "same")
    return Text.assemble((said, f"{NAME} {style}"), f": {others}" if others else "")


def _spent(spent: Spent | None) -> Iterator[Text]:
    if spent is not None:
        cost = cost_text(spent.cost) if spent.cost else "no known price"
        tokens = f"{count_text(spent.input_tokens)} tokens in, {count_text(spent.output_tokens)} out"
        yield _pair("spent", f"{tokens}, {cost}")


def _table(calls: Sequence[ResentCall], width: int) -> Table:
    models = [_change(one.recorded.model, one.given.model) for one in calls]
    tokens = [
        _change(count_text(one.recorded.tokens.output_tokens), count_text(one.given.tokens.output_tokens))
        for one in calls
    ]
    costs = [_change(cost_text(one.recorded.cost), cost_text(one.given.cost)) for one in calls]
    took = [_change(duration_text(one.recorded.duration), duration_text(one.given.duration)) for one in calls]
    columns = [
        Column("step", [text(str(one.step)) for one in calls], right=True),
        Column("answer", [text(one.verdict, STYLE[one.verdict]) for one in calls]),
        Column("model", [text(one) for one in models], rank=1),
        Column("tokens out", [text(one) for one in tokens], rank=3),
        Column("cost", [text(one) for one in costs], rank=2),
        Column("took", [text(one) for one in took], rank=4),
        Column("asked as", [text(one.grade) for one in calls], rank=5),
    ]
    return drawn(columns, width)


def _difference(call: ResentCall) -> Iterator[Text]:
    yield Text(f"\nstep {call.step}: {call.verdict}", style=f"{NAME} {STYLE[call.verdict]}")
    if call.given.error:
        yield Text(f"  {words.flat(call.given.error)}", style=BAD)
        return
    for change in call.tool_changes:
        yield Text(f"  {_tool_change(change)}")
    if call.recorded.error:
        yield Text(f"  it had failed: {words.flat(call.recorded.error)}")
        yield Text(f"  now: {one_line(call.given.text, SHOWN)}")
    elif call.text_diff is not None:
        yield Text(f"  {words.flat(call.text_diff)}")
    if call.recorded.finish_reasons != call.given.finish_reasons:
        ended = _change(
            ", ".join(call.recorded.finish_reasons) or "–", ", ".join(call.given.finish_reasons) or "–"
        )
        yield Text(f"  ended: {ended}", style=DIM)


def _tool_change(change: ToolChange) -> str:
    if change.relation == "added":
        return f"+ {call_line(change.name, change.given, SHOWN)}"
    before = call_line(change.name, change.recorded, SHOWN)
    if change.relation == "removed":
        return f"- {before}"
    places = ", ".join(change.paths) or "its arguments"
    return f"~ {before} → {call_line(change.name, change.given, SHOWN)}  ({places})"


def _samples(found: Sampled, width: int) -> Table:
    rows = found.samples
    columns = [
        Column("turn", [text(str(one.turn)) for one in rows], right=True),
        Column("setting", [text(one.setting) for one in rows]),
        Column(
            "answer", [text(_answer(one.answer), BAD if one.answer.error else "") for one in rows], least=12
        ),
        Column("from recorded", [text(f"{one.from_recorded:.2f}") for one in rows], right=True, rank=1),
    ]
    return drawn(columns, width)


def _answer(answer: AnswerFacts) -> str:
    if answer.error:
        return f"! {one_line(answer.error, SHOWN)}"
    asked = ", ".join(call_line(one.name, one.arguments, SHOWN) for one in answer.tool_calls)
    return "  ".join(
        piece for piece in (one_line(answer.text, SHOWN), f"→ {asked}" if asked else "") if piece
    )


def _change(before: str | None, after: str | None) -> str:
    return (after or "–") if before == after else f"{before or '–'} → {after or '–'}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _pair(name: str, said: str) -> Text:
    return Text.assemble((f"  {name:<9} ", DIM), words.flat(said))
