"""What became of an execution, for people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.text import Text

from spanreel.cli import words
from spanreel.cli.render.palette import BAD, DIM, DOUBT, GOOD, NAME
from spanreel.replay.divergence import DivergenceReport
from spanreel.replay.report.text import clean
from spanreel.replay.timeline import ReplayTokens
from spanreel.replay.verdict import DriftRecord, Unconsumed, Verdict

MEANING = {
    "exact": (GOOD, "every call was the recorded one"),
    "equivalent": (GOOD, "every call was the recorded one but for ids, times and the like"),
    "drifted": (DOUBT, "some answers were those of the nearest recorded call"),
    "diverged": (BAD, "the agent did not do what was recorded"),
}
PARTLY = {
    "exact": "what the recording answered was asked as it was then",
    "equivalent": "what the recording answered was asked as it was then, but for ids and times",
}
NOTHING = "the recording was asked for nothing"
LISTED = 5
_CHANGED = re.compile(r"\[-(.*?)-\]|\{\+(.*?)\+\}")
_ID = re.compile(
    r"\b([0-9a-f]{12})[0-9a-f]{20}\b"
)  # so that a command fits a line: a prefix names the run too
_LABELLED = re.compile(r"  (called from|nearest:|differs:|tier [\w ]+:|next:)")


def lines(found: Verdict, source: str | None = None) -> Iterator[Text]:
    """The verdict first, then who answered, then what went otherwise.

    Args:
        found: the verdict.
        source: what commands call the source run; default: by its id.
    """
    style, meaning = MEANING[found.verdict]
    if found.effects.live or found.effects.stub:
        meaning = PARTLY.get(found.verdict, meaning)
    if not (found.effects.recorded or found.first_divergence):
        meaning = NOTHING
    if found.error and not found.error.recorded:
        meaning = f"{meaning}, until the agent failed"
    yield Text.assemble((found.verdict, f"{NAME} {style}"), f": {meaning}")
    yield _pair("answers", _effects(found))
    if found.spent_tokens:
        yield _pair("spent", _spent(found.spent_tokens, found.spent_cost))
    yield _pair("replay of", found.source_run_id)
    if found.run_id:
        yield _pair("kept as", found.run_id)
    yield from _ends(found)
    yield from _drift(found.drift)
    if found.first_divergence:
        yield from _divergence(found, found.first_divergence)
    elif found.run_id and (found.effects.live or found.effects.stub):
        yield _pair("compare", f"spanreel diff {source or found.source_run_id[:12]} {found.run_id[:12]}")


def _effects(found: Verdict) -> str:
    effects = found.effects
    counted = [
        (effects.recorded, "from the recording"),
        (effects.live, "live"),
        (effects.stub, "given instead"),
        (effects.denied, "denied"),
    ]
    return ", ".join(f"{number} {name}" for number, name in counted if number) or "none"


def _spent(tokens: ReplayTokens, cost: str | None) -> str:
    counts = f"{tokens.input_tokens or 0:,} input and {tokens.output_tokens or 0:,} output tokens"
    return f"{counts}, {'at an unknown price' if cost is None else f'${cost}'}"


def _ends(found: Verdict) -> Iterator[Text]:
    """What stopped it, and what is to be known of it."""
    if found.stopped:
        yield Text(f"  {found.status}: {words.flat(found.stopped)}", style=DOUBT)
    if found.error:
        same = "as in the recording" if found.error.recorded else "which is not in the recording"
        said = f"the agent ended with {found.error.type}, {same}: {found.error.message}"
        yield Text(f"  {words.flat(said)}", style=DOUBT if found.error.recorded else BAD)
    denied = [one for one in found.denied if one != found.stopped]
    for one in denied[:LISTED]:
        yield Text(f"  denied: {words.flat(one)}", style=BAD)
    yield from _more(denied)
    for warning in found.warnings[:LISTED]:
        yield Text(f"  warning: {words.flat(warning)}", style=DOUBT)
    yield from _more(found.warnings)


def _drift(drift: Sequence[DriftRecord]) -> Iterator[Text]:
    """Calls that were taken for recorded ones: those that differ in more than ids and order one by one."""
    told = [one for one in drift if one.note or one.tier not in ("exact", "structural")]
    alike = len(drift) - len(told)
    if alike:
        yield _pair("differs", f"{words.plural(alike, 'call')} in ids or order only")
    for one in told[:LISTED]:
        facts = [
            one.tier,
            "" if one.score is None else f"{one.score:.0%} alike",
            "" if one.message is None else f"message {one.message}",
            f"at {one.path}" if one.path else "",
            one.note,
        ]
        yield _pair("drift", f"step {one.step}: {', '.join(fact for fact in facts if fact)}")
    yield from _more(told)


def _divergence(found: Verdict, first: DivergenceReport) -> Iterator[Text]:
    if found.consequences:
        yield _pair("after it", f"{words.plural(len(found.consequences), 'more call')} not recorded either")
        for one in found.consequences[:LISTED]:
            yield Text(f"    {words.flat(one.message)}", style=DIM)
        yield from _more(found.consequences)
    missing = [one for one in found.unconsumed if one.step != first.step]
    if missing:
        yield _pair("not made", f"{words.plural(len(missing), 'recorded call')}: {_calls(missing)}")
    yield Text()
    for number, line in enumerate(clean(first.text()).splitlines()):
        yield Text(line, style=BAD) if number == 0 else _marked(line)


def _calls(missing: Sequence[Unconsumed]) -> str:
    listed = [f"step {one.step} ({one.title})" for one in missing[:LISTED]]
    return ", ".join(listed) + (", …" if len(missing) > LISTED else "")


def _marked(line: str) -> Text:
    """A line of the report with its labels dim, and what was changed in colours."""
    label = _LABELLED.match(line)
    text = Text(_ID.sub(r"\1", line) if label and label[1] == "next:" else line)
    if label:
        text.stylize(DIM, 0, label.end())
    for one in _CHANGED.finditer(text.plain):
        text.stylize(BAD if one[1] is not None else GOOD, one.start(), one.end())
    return text


def _more(listed: Sequence[object]) -> Iterator[Text]:
    if len(listed) > LISTED:
        yield Text(f"    and {len(listed) - LISTED:,} more", style=DIM)


def _pair(name: str, said: str) -> Text:
    return Text.assemble((f"  {name:<9} ", DIM), words.flat(said))
