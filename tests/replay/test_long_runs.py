"""build, on long conversations: the same as reading each request alone, in time of what is new."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanreel.replay.build import build
from spanreel.replay.timeline import Replay
from spanreel.wire import attributes as names
from spanreel.wire import conventions
from spanreel.wire.grouping import group
from spanreel.wire.spans import Scope, Span

TRACE = "0af7651916cd43dd8448eb211c80319c"
FLAVOURS = ["standard", "openai.chat", "openai.responses", "anthropic.messages"]
WORDS = "a few words that make the texts long enough to be worth it " * 20


def model_call(number: int, flavour: str, told: list[dict[str, Any]]) -> Span:
    """A call whose request is `told`, as a standard span or as an exchange of ours."""
    found: dict[str, Any] = {names.OPERATION: "chat", names.REQUEST_MODEL: "m"}
    if flavour == "standard":
        found[names.INPUT_MESSAGES] = json.dumps(told)
    else:
        member = "input" if flavour == "openai.responses" else "messages"
        body = {"model": "m", "temperature": number, member: told, "tools": [{"name": "f"}]}
        found |= {names.WIRE_DIALECT: flavour, names.HTTP_REQUEST_BODY: json.dumps(body)}
    start = number * 10**9
    scope = Scope("test" if flavour == "standard" else "spanreel")
    return Span(TRACE, f"{number + 1:016x}", "chat m", start_ns=start, end_ns=start + 10**8, attributes=found, scope=scope)  # fmt: skip


def built(spans: list[Span]) -> Replay:
    [run] = group(conventions.read(span) for span in spans)
    return build(run, spans)


@st.composite
def conversations(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """Requests that go on, are edited anywhere, compacted, forked from an earlier one."""
    roles = st.sampled_from(["user", "assistant", "assistant", "tool", "system"])
    said = st.builds(
        lambda role, word: {"role": role, "content": f"{word} {WORDS}"}, roles, st.integers(0, 3)
    )
    requests: list[list[dict[str, Any]]] = [draw(st.lists(said, min_size=1, max_size=3))]
    for _ in range(draw(st.integers(1, 6))):
        base = list(draw(st.sampled_from(requests)))
        if draw(st.booleans()):
            at = draw(st.integers(0, len(base) - 1))
            base[at : draw(st.integers(at, len(base)))] = [draw(said)]
        requests.append(base + draw(st.lists(said, max_size=2)))
    return requests


@settings(max_examples=60, deadline=None)
@given(conversations(), st.sampled_from(FLAVOURS))
def test_every_step_tells_the_whole_request(requests: list[list[dict[str, Any]]], flavour: str) -> None:
    """What a step adds, put behind what it continues, is the request as it is when its span is read alone."""
    spans = [model_call(number, flavour, told) for number, told in enumerate(requests)]
    replay = built(spans)
    alone = [conventions.content(span) for span in spans]
    assert [replay.input_of(step.number) for step in replay.steps] == [each.input for each in alone]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_long_run_is_built_in_time_of_its_new_messages(flavour: str) -> None:
    """Four times the turns take far less than the sixteen times that parsing each request whole would take."""

    def seconds(turns: int) -> float:
        said = [
            {"role": ("user", "assistant")[at % 2], "content": f"{at} {WORDS[:300]}"} for at in range(turns)
        ]
        spans = [model_call(at, flavour, said[: at + 1]) for at in range(turns)]
        best = 9.0
        for _ in range(3):
            started = time.process_time()
            assert len(built(spans).messages) == turns
            best = min(best, time.process_time() - started)
        return best

    assert seconds(240) < seconds(60) * 9
