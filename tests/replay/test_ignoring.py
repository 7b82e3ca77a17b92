"""Comparisons that leave something out."""

from __future__ import annotations

from typing import Any

import pytest
from compared_steps import chat, numbered, tool
from hypothesis import given
from hypothesis import strategies as st

from spanreel.replay.compare import compare
from spanreel.replay.ignoring import parsed, without
from spanreel.replay.timeline import Replay, ReplayStep, ReplayTokens


def run(*steps: ReplayStep, **more: Any) -> Replay:
    """A run of these steps."""
    return Replay(run_id="r", trace_id="t", steps=numbered(*steps), **more)


def conversation(*calls: tuple[str, dict[str, Any], str], said: str = "done") -> Replay:
    """A run whose model makes these calls one by one: request, tool, and so on to its last answer."""
    steps: list[ReplayStep] = []
    heard: list[dict[str, Any]] = [{"role": "user", "parts": [{"type": "text", "content": "q"}]}]
    length = 0
    base: dict[str, Any] = {}
    for at, (name, arguments, result) in enumerate(calls):
        part = {"type": "tool_call", "id": f"c{at}", "name": name, "arguments": arguments}
        answer = {"role": "assistant", "parts": [part]}
        steps.append(
            chat("", "").model_copy(update={"input_messages": heard, "output_messages": [answer], **base})
        )
        steps.append(tool(name, result, f"c{at}", **arguments))
        length += len(heard)
        base = {"input_from": len(steps) - 1, "input_shared": length}
        heard = [
            answer,
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": f"c{at}", "response": result}]},
        ]
    steps.append(chat("", said).model_copy(update={"input_messages": heard, **base}))
    return run(*steps, content=said)


GET = ("get", {"id": 1, "at": "12:00"}, "5")
LATER = ("get", {"id": 1, "at": "13:00"}, "5")
LOG = ("log", {"line": "hello"}, "ok")


@pytest.mark.parametrize(
    ("one", "other", "ignoring"),
    [
        ([GET], [LATER], ["$.at"]),
        ([GET], [LATER], ["$.tool_args.at"]),
        ([GET], [LATER], ["$.tool.tool_args.at"]),
        ([GET], [("get", {"id": 1, "at": "12:00"}, '{"x": 1}')], ["$.result"]),
        ([("get", {}, '{"x": [{"t": 1}]}')], [("get", {}, '{"x": [{"t": 2}]}')], ["$.tool.result.x[*].t"]),
        ([GET], [LOG, GET], ["log"]),
        ([GET, LOG, GET], [GET, GET, LOG], ["log"]),
        ([LOG, GET], [LATER, LOG, LOG], ["log", "$.at"]),
    ],
)
def test_what_is_ignored_is_no_difference(one: list[Any], other: list[Any], ignoring: list[str]) -> None:
    """Neither the call, nor the model's asking for it, nor its answer in the messages: and without it they do differ."""
    a, b = conversation(*one), conversation(*other)
    assert not compare(a, b).identical
    found = compare(a, b, ignoring)
    assert found.identical, found.first_divergence
    assert compare(b, a, ignoring).identical


def test_what_is_not_ignored_still_counts() -> None:
    """The one other argument, the one other tool."""
    a = conversation(GET, LOG)
    assert not compare(
        a, conversation(("get", {"id": 2, "at": "13:00"}, "5"), LOG), ["$.at", "log"]
    ).identical
    assert not compare(a, conversation(GET, ("put", {}, "ok")), ["$.at", "log"]).identical


def test_words_can_be_ignored_and_calls_not() -> None:
    """`content` is the prose of answers; which tools the model asked for still counts."""
    a, b = conversation(GET, said="It is 5."), conversation(GET, said="Five, it is.")
    assert compare(a, b, ["content"]).identical
    assert not compare(a, conversation(LATER, said="Five."), ["content"]).identical
    assert not compare(a, conversation(said="Five."), ["content"]).identical


def test_figures_can_be_left_out() -> None:
    """Cost, tokens and duration are not told where they are ignored; parameters and the model go by their path."""
    a = run(chat("q", "a"), cost="1", duration=1.0, tokens=ReplayTokens(input_tokens=1))
    b = run(
        chat("q", "a", "mini", parameters={"seed": 1}),
        cost="3",
        duration=4.0,
        tokens=ReplayTokens(input_tokens=2),
    )
    found = compare(a, b, ["cost", "tokens", "duration", "$.model", "$.parameters.seed"])
    assert (found.identical, found.cost_diff, found.duration_diff, found.cost_by_model) == (
        True,
        None,
        None,
        [],
    )
    assert found.token_diff == ReplayTokens()
    assert compare(a, b).cost_diff == "2"


@pytest.mark.parametrize("path", ["$", "$.", "$..a", "$[a]", "$.a b", "$x"])
def test_what_is_no_path_is_refused(path: str) -> None:
    """A typing error would silently leave nothing out."""
    with pytest.raises(ValueError, match="JSON path"):
        compare(run(), run(), [path])


JSON = st.recursive(st.none() | st.integers(0, 2), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2))  # fmt: skip


@given(JSON, st.sampled_from(["$.a", "$.a.b", "$[0]", "$.*", "$[*].a", '$["a"][1]']))
def test_leaving_out_is_done_once_and_for_all(value: Any, path: str) -> None:
    """A second time takes nothing more, unless what followed in a list moved up; the value itself is never changed."""
    before = repr(value)
    once = without(value, parsed(path))
    assert repr(value) == before
    if not path.endswith("]"):
        assert without(once, parsed(path)) == once
