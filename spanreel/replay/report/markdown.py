"""A comparison as Markdown for a pull request's comment or a CI job's summary. Quiet.

Everything that a model, a tool or an emitter said stands in code, so that nothing of it is mark-up, a link, an image or
a mention; the whole stays under the size that such a place takes.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any

from spanreel.replay.report.details import SHOWN, as_json, details, headline, is_prose, within, words
from spanreel.replay.report.text import call_line, one_line, step_line
from spanreel.replay.report.totals import call_counts, model_rows, rows
from spanreel.replay.wording import marked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spanreel.replay.align import Pair
    from spanreel.replay.compare import ReplayComparison
    from spanreel.replay.timeline import ReplayStep

LIMIT = 60_000  # characters: a comment takes 65,536
CELL = 110  # columns of a value in a table
BLOCK = 4000  # characters of a value in a block
MARKS = {"same": "=", "changed": "~", "added": "+", "removed": "−", "moved": "↕"}


def comparison_markdown(found: ReplayComparison) -> str:
    """The comparison: cause, figures, tool calls, steps, answer; what exceeds the limit is left out and said so."""
    whole = ""
    for section in _sections(found):
        if len(whole) + len(section) > LIMIT:
            return whole + "*… the rest is left out here; `spanreel diff --html FILE` has all of it.*\n"
        whole += section
    return whole


def _sections(found: ReplayComparison) -> Iterator[str]:
    first = found.first_divergence
    yield f"### {code(found.original.run_id)} → {code(found.replayed.run_id)}\n\n"
    yield f"**First difference:** {code(first.cause, 400)}\n\n" if first else "The runs are the same.\n\n"
    if first and first.path is not None:
        yield _between(first.a, first.b)
    yield _table(("", "a", "b", "b − a"), ((name, *map(code, told)) for name, *told in rows(found)), "lrrr")
    if models := [(code(name), *map(code, told)) for name, *told in model_rows(found)]:
        yield _table(("model", "a", "b", "b − a"), models, "lrrr")
    yield f"**Tool calls:** {call_counts(found)}\n\n"
    yield _calls(found)
    if not found.identical:
        yield from _folded("Steps", _steps(found.steps))
        yield from _folded("What changed", _changes(found.steps))
    notes = [("−", note) for note in found.notes_diff.removed] + [
        ("+", note) for note in found.notes_diff.added
    ]
    if notes:
        yield (
            "**Notes**\n\n"
            + "".join(f"- {sign} {code(note.summary or note.kind)}\n" for sign, note in notes)
            + "\n"
        )
    for fact in found.facts_diff:
        if fact.name in ("input", "outcome"):
            yield f"**{fact.name.capitalize()}**\n\n" + _whole(fact.a, fact.b)
    if found.content_diff:
        yield "**Answer**\n\n" + _whole(found.original.content, found.replayed.content)


def code(value: str, width: int = CELL) -> str:
    """Text as inline code that fits a table's cell: backticks and pipes in it end neither."""
    line = one_line(value, width)
    if not line:
        return ""
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}".replace("|", "\\|")


def block(text: str, language: str = "") -> str:
    """Text as a block of code that nothing in it ends."""
    short = text if len(text) <= BLOCK else text[:BLOCK] + f"\n… ({len(text) - BLOCK:,} more characters)"
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", short)), default=0) + 1)
    return f"{fence}{language}\n{short}\n{fence}\n\n"


def _between(one: Any, other: Any) -> str:
    """Prose with its changed words marked, other values as two lines."""
    if is_prose(one, other):
        return block(marked(words(one, other)))
    return block(f"- {as_json(one)}\n+ {as_json(other)}", "diff")


def _whole(one: Any, other: Any) -> str:
    """Two values of the runs as wholes; JSON place by place."""
    found = within("", one, other)
    if not found or not found[0].path:
        return _between(one, other)
    return "".join(f"{code(each.path)}\n\n{_between(each.one, each.other)}" for each in found[:SHOWN])


def _table(head: tuple[str, ...], lines: Iterable[tuple[str, ...]], align: str) -> str:
    rule = "|".join("---:" if each == "r" else "---" for each in align)
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"| {' | '.join(head)} |\n|{rule}|\n{body}\n"


def _calls(found: ReplayComparison) -> str:
    calls = found.tool_calls_diff
    sides = (("−", calls.removed), ("+", calls.added))
    lines = [
        f"- {sign} {code(call_line(call.tool_name, call.tool_args))}" for sign, side in sides for call in side
    ]
    more = [f"- … and {len(lines) - 40} more"] if len(lines) > 40 else []
    return "\n".join([*lines[:40], *more]) + "\n\n" if lines else ""


def _folded(title: str, sections: Iterator[str]) -> Iterator[str]:
    inside = ""
    for section in sections:
        if len(inside) + len(section) > LIMIT // 3:
            inside += "*… and more*\n\n"
            break
        inside += section
    if inside:
        yield f"<details><summary>{title}</summary>\n\n{inside}</details>\n\n"


def _steps(pairs: list[Pair]) -> Iterator[str]:
    yield "| a | b | | step |\n|---:|---:|---|---|\n"
    for relation, group in groupby(pairs, key=lambda pair: pair.relation):
        listed = list(group)
        if relation == "same" and len(listed) > 2:
            spans = (_span(pair.a for pair in listed), _span(pair.b for pair in listed))
            yield f"| {spans[0]} | {spans[1]} | = | {len(listed)} steps the same |\n"
            continue
        for pair in listed:
            told = headline(pair) if pair.changes else step_line(pair.step, CELL)
            name = "" if pair.step.tool and not pair.changes else f"{one_line(pair.step.name, 40)}: "
            yield f"| {_number(pair.a)} | {_number(pair.b)} | {MARKS[relation]} | {code(name + told)} |\n"
    yield "\n"


def _changes(pairs: list[Pair]) -> Iterator[str]:
    told: set[str] = set()
    for pair in pairs:
        for each in details(pair)[:3]:
            values = as_json([each.one, each.other])
            if values in told:  # the answer of a step is in the messages of the next one
                continue
            told.add(values)
            yield f"{_number(pair.a)} → {_number(pair.b)} {code(f'{pair.step.name}: {each.place}')}\n\n"
            yield _between(each.one, each.other)


def _number(step: ReplayStep | None) -> str:
    return "" if step is None or step.number is None else str(step.number)


def _span(steps: Iterable[ReplayStep | None]) -> str:
    numbers = [step.number for step in steps if step and step.number is not None]
    return f"{numbers[0]}–{numbers[-1]}" if numbers else ""
