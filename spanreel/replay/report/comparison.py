"""A comparison as HTML: a fragment for notebooks, and a page that stands alone. Quiet.

Whatever a model, a tool or an emitter said is escaped, always.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from spanreel.replay.report.details import SHOWN, Detail, as_json, details, headline, is_prose, within, words
from spanreel.replay.report.page import document, fragment, pre, text
from spanreel.replay.report.text import call_line, one_line, step_line
from spanreel.replay.report.totals import call_counts, model_rows, rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from spanreel.replay.align import Pair
    from spanreel.replay.compare import ReplayComparison
    from spanreel.replay.report.totals import Row
    from spanreel.replay.timeline import Note, ReplayStep

LINE = 160  # characters of a step's line
MAX_STEPS = 500  # a notebook cell is no place for more
PAGE_STEPS = 5000
MARKS = {"same": "=", "changed": "~", "added": "+", "removed": "−", "moved": "↕"}


def comparison_html(comparison: ReplayComparison) -> str:
    """The comparison for a notebook cell."""
    return fragment(_body(comparison, MAX_STEPS))


def comparison_page(comparison: ReplayComparison) -> str:
    """The comparison as a page of its own: it needs no script, no network and no other file."""
    return document(
        f"{comparison.original.run_id} → {comparison.replayed.run_id}", _body(comparison, PAGE_STEPS)
    )


def _body(found: ReplayComparison, most: int) -> str:
    title = f"{found.original.run_id} → {found.replayed.run_id}"
    return (
        f"<h3>{text(title)}</h3>{_cause(found)}{_figures(('', 'a', 'b', 'b − a'), [*rows(found), *_models(found)])}"
        f"<h4>Steps</h4>{_steps(found.steps, most)}{_calls(found)}{_notes(found)}{_facts(found)}{_answer(found)}"
    )


def _cause(found: ReplayComparison) -> str:
    first = found.first_divergence
    if first is None:
        return '<p class="cause same">The runs are the same.</p>'
    values = _between(first.a, first.b) if first.path is not None else ""
    return f'<div class="cause"><b>First difference:</b> {text(first.cause)}{values}</div>'


def _models(found: ReplayComparison) -> Iterator[Row]:
    yield from ((f"model {name}", a, b, diff) for name, a, b, diff in model_rows(found))


def _figures(head: Row, found: Iterable[Row]) -> str:
    lines = "".join(
        f'<tr><th>{text(name)}</th><td class="n">{text(a)}</td><td class="n">{text(b)}</td><td class="n">{text(diff)}</td></tr>'
        for name, a, b, diff in found
    )
    titles = "".join(f'<th class="n">{title}</th>' for title in head)
    return f'<table class="figures"><tr>{titles}</tr>{lines}</table>'


def _steps(pairs: list[Pair], most: int) -> str:
    first = next((pair for pair in pairs if pair.changes), None)
    lines = "".join(
        _group(relation, list(group), first)
        for relation, group in groupby(pairs[:most], key=lambda p: p.relation)
    )
    more = f"<p>… and {len(pairs) - most:,} more steps</p>" if len(pairs) > most else ""
    return (
        f'<table><tr><th class="n">a</th><th class="n">b</th><th></th><th>step</th></tr>{lines}</table>{more}'
    )


def _group(relation: str, pairs: list[Pair], first: Pair | None) -> str:
    if relation != "same" or len(pairs) < 3:
        return "".join(_row(pair, pair is first) for pair in pairs)
    inside = "".join(f"<div>{text(_line(pair.step))}</div>" for pair in pairs)
    return _cells(
        relation,
        _span(pair.a for pair in pairs),
        _span(pair.b for pair in pairs),
        f'<details class="dim"><summary>{len(pairs):,} steps the same</summary>{inside}</details>',
    )


def _row(pair: Pair, unfolded: bool) -> str:
    told = text(_line(pair.step))
    if pair.relation == "same":
        told = f'<span class="dim">{told}</span>'
    elif pair.repeated:
        told += ' <span class="dim">(repeats its neighbour)</span>'
    if pair.changes:
        name = pair.step.tool.tool_name if pair.step.tool else pair.step.model or pair.step.name
        title = f"{text(one_line(name))}: {text(headline(pair))}"
        told = f"<details{' open' if unfolded else ''}><summary>{title}</summary>{_details(details(pair))}</details>"
    return _cells(pair.relation, _number(pair.a), _number(pair.b), told)


def _cells(relation: str, a: str, b: str, told: str) -> str:
    return (
        f'<tr class="{relation}"><td class="n">{a}</td><td class="n">{b}</td>'
        f'<td class="mark" title="{relation}">{MARKS[relation]}</td><td>{told}</td></tr>'
    )


def _details(found: list[Detail]) -> str:
    told = "".join(
        f'<div class="at">{text(each.place)}</div>{_between(each.one, each.other)}' for each in found[:SHOWN]
    )
    more = f"<p>… and {len(found) - SHOWN} more places</p>" if len(found) > SHOWN else ""
    return told + more


def _between(one: Any, other: Any) -> str:
    """Two values: prose word by word, other values one after the other."""
    if is_prose(one, other) or isinstance(one, dict | list) or isinstance(other, dict | list):
        return f"<pre>{''.join(_marked(one, other))}</pre>"
    sides = (
        "–" if value is None else f"<{tag}>{text(as_json(value))}</{tag}>"
        for tag, value in (("del", one), ("ins", other))
    )
    return f"<pre>{' → '.join(sides)}</pre>"


def _marked(one: Any, other: Any) -> Iterator[str]:
    for change in words(one, other):
        if change.equal:
            yield text(change.one)
            continue
        if change.one:
            yield f"<del>{text(change.one)}</del>"
        if change.other:
            yield f"<ins>{text(change.other)}</ins>"


def _calls(found: ReplayComparison) -> str:
    calls = found.tool_calls_diff
    sides = (("removed", "−", calls.removed), ("added", "+", calls.added))
    lines = "".join(
        f'<div class="{name}"><code>{sign} {text(one_line(call_line(call.tool_name, call.tool_args), LINE))}</code></div>'
        for name, sign, listed in sides
        for call in listed[:MAX_STEPS]
    )
    return f"<h4>Tool calls</h4><p>{text(call_counts(found))}</p>{lines}"


def _notes(found: ReplayComparison) -> str:
    notes = found.notes_diff
    told = "".join(
        f'<div class="{name}">{sign} {text(_note(note))}</div>'
        for name, sign, listed in (("removed", "−", notes.removed), ("added", "+", notes.added))
        for note in listed
    )
    return f"<h4>Notes</h4>{told}" if told else ""


def _note(note: Note) -> str:
    return one_line(" ".join(filter(None, [f"{note.kind}:", note.summary, as_json(note.data) if note.data is not None else ""])), LINE)  # fmt: skip


def _facts(found: ReplayComparison) -> str:
    return "".join(
        f"<h4>{fact.name.capitalize()}</h4>{_whole(fact.a, fact.b)}"
        for fact in found.facts_diff
        if fact.name in ("input", "outcome")
    )


def _answer(found: ReplayComparison) -> str:
    if found.content_diff:
        return f"<h4>Answer</h4>{_whole(found.original.content, found.replayed.content)}"
    content = found.replayed.content if found.original.content == found.replayed.content else None
    if not content:
        return ""
    return f'<h4>Answer</h4><details class="dim"><summary>the same</summary>{pre(content)}</details>'


def _whole(one: Any, other: Any) -> str:
    """Two values of the runs as wholes; JSON place by place."""
    found = within("", one, other)
    return _details(found) if found and found[0].path else _between(one, other)


def _line(step: ReplayStep) -> str:
    line = step_line(step, LINE)
    return line if step.tool else f"{one_line(step.model or step.name, 60)}: {line}"


def _number(step: ReplayStep | None) -> str:
    return "" if step is None or step.number is None else str(step.number)


def _span(steps: Iterable[ReplayStep | None]) -> str:
    numbers = [step.number for step in steps if step and step.number is not None]
    return f"{numbers[0]}–{numbers[-1]}" if numbers else ""
