"""Text and notebook views: what a model said never reaches a terminal or a page as it came."""

from __future__ import annotations

import re

import pytest
from compared_steps import chat, numbered, tool
from hypothesis import given
from hypothesis import strategies as st

from spanreel.replay.compare import compare
from spanreel.replay.report import text
from spanreel.replay.report.comparison import comparison_html
from spanreel.replay.report.html import replay_html
from spanreel.replay.timeline import Replay

EVIL = "<script>alert(1)</script>\x1b]8;;http://x\x07link\x1b]8;;\x07\x1b[31mred\x1b[0m\u202eabc"


@given(st.text() | st.text(alphabet="\x1b[]0;m\x07\x9bA\n\\P"))
def test_cleaned_text_holds_nothing_a_terminal_obeys(said: str) -> None:
    """No escape, no control character but tab and line feed, and nothing more to take out a second time."""
    cleaned = text.clean(said)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", cleaned)
    assert text.clean(cleaned) == cleaned
    cleaned.encode("utf-8")


@given(st.text(), st.integers(0, 60))
def test_a_line_keeps_to_its_width(said: str, width: int) -> None:
    """Never wider than asked for, wide characters counted twice, and on one line."""
    line = text.one_line(said, width)
    assert text.cells(line) <= width
    assert "\n" not in line


def test_call_reads_like_code() -> None:
    """Arguments by name, values as JSON; what is no object stays as it is."""
    assert (
        text.call_line("refund", {"order_id": "1042", "amount": 64.5})
        == 'refund(order_id="1042", amount=64.5)'
    )
    assert text.call_line("raw", "not JSON\x1b[2J") == "raw(not JSON)"
    assert text.call_line("none", None) == "none()"


def test_a_step_on_one_line() -> None:
    """A tool call reads like a call; a failed one says so; a model call says its answer."""
    assert (
        text.step_line(tool("get", {"price": 5}, id="#1", full=True))
        == 'get(id="#1", full=true) → {"price": 5}'
    )
    failed = tool("get", None, id=1)
    failed = failed.model_copy(
        update={"tool": failed.tool and failed.tool.model_copy(update={"error": "503"})}
    )
    assert text.step_line(failed) == "get(id=1) → ! 503"
    assert text.step_line(chat("q", "It is\n5.")) == "It is 5."
    assert text.step_line(tool("get", "x" * 100, id="y" * 10), 31) == 'get(id="yyyyyyyyyy") → xxxxxxx…'


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (None, "–"),
        (0, "0 ms"),
        (2.34, "2.3 ms"),
        (850.4, "850 ms"),
        (1234, "1.2 s"),
        (200_000, "3 min 20 s"),
        (-5400_000, "-1 h 30 min"),
    ],
)
def test_durations_as_people_read_them(ms: float | None, said: str) -> None:
    """Milliseconds, seconds, minutes, hours; a dash for what is not known."""
    assert text.duration_text(ms) == said


@pytest.mark.parametrize(
    ("cost", "said"),
    [(None, "–"), ("0", "$0.00"), ("1.5", "$1.50"), ("0.001234", "$0.0012"), ("-0.25", "-$0.25")],
)
def test_costs_as_people_read_them(cost: str | None, said: str) -> None:
    """Two digits that tell something; unknown is never shown as nothing."""
    assert text.cost_text(cost) == said


def test_pages_escape_what_was_said() -> None:
    """Names, arguments, results, answers, warnings: no mark-up of theirs gets through, and there is no script at all."""
    said = run = Replay(
        run_id=EVIL,
        trace_id="t",
        agent_name=EVIL,
        error=EVIL,
        content=EVIL,
        steps=numbered(chat(EVIL, EVIL, EVIL), tool(EVIL, EVIL, EVIL, **{EVIL: EVIL})),
        warnings=[EVIL],
    )
    changed = said.model_copy(update={"steps": numbered(chat("q", EVIL)), "content": EVIL + "!"})
    for page in (replay_html(run), comparison_html(compare(run, changed)), run._repr_html_()):
        assert "<script" not in page
        assert "\x1b" not in page
        assert "&lt;script&gt;" in page
