"""Words of the command line."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from spanreel.cli.words import moment, plural, safe_json, short_ids


@given(st.text())
def test_safe_json_means_the_same(text: str) -> None:
    """Escaping what acts on a terminal changes no value."""
    written = safe_json(json.dumps({text: [text]}, ensure_ascii=False))
    assert json.loads(written) == {text: [text]}


def test_safe_json_has_no_control_characters() -> None:
    """Neither eight-bit controls nor the characters that reverse a line come through."""
    assert safe_json('"\x9b31m\u202e"') == '"\\u009b31m\\u202e"'


@given(st.sets(st.text("01ab", min_size=1, max_size=12), max_size=12))
def test_short_ids_name_one_run_each(ids: set[str]) -> None:
    """A shortened id is a prefix of exactly its own id, or the whole id."""
    for run_id, short in short_ids(list(ids), least=2).items():
        assert short == run_id or [other for other in ids if other.startswith(short)] == [run_id]


def test_moment_says_as_much_as_needed() -> None:
    """Today a time, this year a day, before that a date."""
    now = datetime(2026, 11, 22, 14, 30).astimezone()
    assert moment(now.isoformat(), now) == "14:30:00"
    assert moment((now - timedelta(days=1)).isoformat(), now) == "Nov 21 14:30"
    assert moment("2024-02-03T00:00:00Z", now) in ("2024-02-02", "2024-02-03")
    assert moment(None) == "–"
    assert moment("yesterday") == "yesterday"


def test_plural() -> None:
    """One step, two steps."""
    assert [plural(number, "step") for number in (0, 1, 1200)] == ["0 steps", "1 step", "1,200 steps"]
