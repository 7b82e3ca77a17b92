"""What became of a replay, for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from spanreel.cli import words
from spanreel.cli.render.palette import BAD, DIM, DOUBT, GOOD, NAME
from spanreel.replay.report.text import clean
from spanreel.replay.verdict import Verdict

MEANING = {
    "exact": (GOOD, "every call was the recorded one"),
    "equivalent": (GOOD, "every call was the recorded one but for ids, times and the like"),
    "drifted": (DOUBT, "some answers were those of the nearest recorded call"),
    "diverged": (BAD, "the agent did not do what was recorded"),
}
LISTED = 5


def lines(found: Verdict) -> Iterator[Text]:
    """The verdict first, then who answered, then what went otherwise."""
    style, meaning = MEANING[found.verdict]
    yield Text.assemble((found.verdict, f"{NAME} {style}"), f": {meaning}")
    yield _pair("answers", _effects(found))
    yield _pair("replay of", found.source_run_id)
    if found.run_id:
        yield _pair("kept as", found.run_id)
    if found.error:
        same = "as in the recording" if found.error.recorded else "which is not in the recording"
        said = f"the agent ended with {found.error.type}, {same}: {found.error.message}"
        yield Text(f"  {words.flat(said)}", style=DOUBT if found.error.recorded else BAD)
    for denied in found.denied[:LISTED]:
        yield Text(f"  denied: {words.flat(denied)}", style=BAD)
    for warning in found.warnings:
        yield Text(f"  warning: {words.flat(warning)}", style=DOUBT)
    yield from _divergence(found)


def _effects(found: Verdict) -> str:
    effects = found.effects
    counted = [
        (effects.recorded, "from the recording"),
        (effects.live, "live"),
        (effects.stub, "by stubs"),
        (effects.denied, "denied"),
    ]
    return ", ".join(f"{number} {name}" for number, name in counted if number) or "none"


def _divergence(found: Verdict) -> Iterator[Text]:
    first = found.first_divergence
    if first is None:
        return
    if found.consequences:
        yield _pair("after it", f"{words.plural(len(found.consequences), 'more call')} that was not recorded")
    missing = [one for one in found.unconsumed if one.step != first.step]
    if missing:
        calls = words.plural(len(missing), "recorded call")
        yield _pair("not made", f"{calls}, from step {missing[0].step} on ({missing[0].title})")
    yield Text()
    for number, line in enumerate(clean(first.text()).splitlines()):
        yield Text(line, style=BAD if number == 0 else "")


def _pair(name: str, said: str) -> Text:
    return Text.assemble((f"  {name:<9} ", DIM), words.flat(said))
