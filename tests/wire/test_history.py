"""history: a history read after others is what it is when it is read alone."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanreel.wire import attributes as names
from spanreel.wire import conventions, lenient
from spanreel.wire.conventions import values
from spanreel.wire.conventions.history import History
from spanreel.wire.history import Arrays, Grown, told
from spanreel.wire.records import Content
from spanreel.wire.spans import Scope, Span

WORDS = st.sampled_from(
    ["", "yes", "12", "a" * 400, "grüße", "😀 no", "\ud83d", '"[1,2]"', "]", ",", '{"a": 1}']
)
SCALARS = st.one_of(
    WORDS, st.none(), st.booleans(), st.sampled_from([1, 12, 123, 2**64, -0.0, 1e400, float("nan")])
)
BLOCKS = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": WORDS}),
    st.fixed_dictionaries({"type": st.just("text"), "content": WORDS}),
    st.fixed_dictionaries({"type": st.just("tool_use"), "id": WORDS, "name": WORDS, "input": SCALARS}),
    st.fixed_dictionaries({"type": st.just("tool_result"), "tool_use_id": WORDS, "content": WORDS}),
    SCALARS,
)
CALLS = st.lists(
    st.fixed_dictionaries({"id": WORDS, "function": st.fixed_dictionaries({"name": WORDS, "arguments": WORDS})}),
    max_size=2,
)  # fmt: skip
ROLES = st.sampled_from(["user", "assistant", "assistant", "tool", "system", "ai", "developer", None])
MESSAGES = st.one_of(
    st.fixed_dictionaries({"role": ROLES, "content": st.one_of(WORDS, st.lists(BLOCKS, max_size=3))}),
    st.fixed_dictionaries({"role": st.just("assistant"), "content": st.none(), "tool_calls": CALLS}),
    st.fixed_dictionaries({"role": ROLES, "parts": st.lists(BLOCKS, max_size=3)}),
)
ITEMS = st.one_of(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["function_call", "reasoning", "message", "x_call"]), "call_id": WORDS}
    ),
    st.fixed_dictionaries(
        {"type": st.just("function_call_output"), "call_id": WORDS, "output": st.one_of(WORDS, SCALARS)}
    ),
)
ODD = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.fixed_dictionaries({"type": SCALARS}))


@st.composite
def histories(draw: st.DrawFn) -> list[list[Any]]:
    """Conversations as agents send them: continued, edited, cut down to a summary, forked, taken up again."""
    kinds = draw(st.sampled_from([MESSAGES, st.one_of(MESSAGES, ITEMS), st.one_of(MESSAGES, ITEMS, ODD)]))
    found: list[list[Any]] = [draw(st.lists(kinds, max_size=4))]
    for _ in range(draw(st.integers(1, 8))):
        base = list(draw(st.sampled_from(found[-3:])))
        change = draw(st.sampled_from(["grow", "grow", "grow", "edit", "compact", "cut"]))
        if change == "edit" and base:
            base[draw(st.integers(0, len(base) - 1))] = draw(kinds)
        elif change == "compact" and base:
            base[: draw(st.integers(0, len(base)))] = [draw(kinds)]
        elif change == "cut":
            del base[draw(st.integers(0, len(base))) :]
        found.append(base + draw(st.lists(kinds, max_size=3)))
    return found


@st.composite
def texts(draw: st.DrawFn, told: list[Any]) -> str:
    """The JSON of a value as different emitters write it; now and then it is not whole."""
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n ", " : ")]))
    text = json.dumps(told, ensure_ascii=draw(st.booleans()), separators=separators)
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 15)) == 0 else text


@pytest.fixture(autouse=True)
def every_text_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short texts take the way of long ones, so that small examples say something."""
    monkeypatch.setattr("spanreel.wire.conventions.history._SHORT", 0)


def the_same(one: Any, other: Any) -> None:
    """Equal as JSON: 1 is not True, and nan is nan."""
    assert json.dumps(one) == json.dumps(other)


def plainly(content: Content) -> list[Any]:
    return [getattr(content, name) for name in Content.__dataclass_fields__]


CHECKED = settings(deadline=None)


@CHECKED
@given(st.data(), histories(), st.sampled_from(["", "messages", "input"]))
def test_values_are_those_of_reading_each_text_alone(
    data: st.DataObject, told: list[list[Any]], member: str
) -> None:
    """Attributes as `values.parsed`, bodies as `lenient.parse`: over edits, forks, cut-off texts and half surrogates."""
    history = History()
    for one in told:
        value = {"n": 1, member: one, "m": "é\ud800" if len(one) == 3 else []} if member else one
        text = data.draw(texts(value))
        the_same(history.parsed(text), values.parsed(text))
        raw = text.encode("utf-8", "surrogatepass")
        body = data.draw(st.sampled_from([text, raw]))
        the_same(history.body(body), lenient.parse(raw))


@CHECKED
@given(
    st.data(),
    histories(),
    st.sampled_from(["attribute", "openai.chat", "openai.responses", "anthropic.messages"]),
)
def test_contents_are_those_of_reading_each_span_alone(
    data: st.DataObject, told: list[list[Any]], emitter: str
) -> None:
    """What spans of one run say does not depend on what was read before; also when all are read twice."""
    spans: list[Span] = []
    for one in told:
        member = "input" if emitter == "openai.responses" else "messages"
        if emitter == "attribute":
            value = one if data.draw(st.booleans()) else {"messages": one, "system": "be brief"}
            found: dict[str, Any] = {names.OPERATION: "chat", names.INPUT_MESSAGES: data.draw(texts(value))}
        else:
            body = data.draw(texts({"model": "m", "temperature": len(one), "tools": one[:1], member: one}))
            found = {names.WIRE_DIALECT: emitter, names.OPERATION: "chat", names.HTTP_REQUEST_BODY: body}
        spans.append(Span("0" * 32, "0" * 16, "chat", attributes=found, scope=Scope("test" if emitter == "attribute" else "spanreel")))  # fmt: skip
    history = History()
    alone = [json.dumps(plainly(conventions.content(span))) for span in spans]
    together = [conventions.content(span, None, history) for span in (*spans, *spans)]
    assert [json.dumps(plainly(content)) for content in together] == alone + alone


@CHECKED
@given(st.text('[]{},:"1 a\\'), st.text('[]{},:"1 a\\'))
def test_any_text_is_read_as_json_reads_it_or_refused(first: str, second: str) -> None:
    """What is not JSON is an error, also behind a prefix that was read before; what is read is what JSON says."""
    arrays = Arrays(lambda _, value: value)
    for text in (
        "[1,2",
        "[12, 3]",
        "[1" + first,
        '[12, 3, {"a": []}' + first,
        "[12, 3" + first + second,
        first,
    ):
        try:
            found = arrays.read(text)
        except (ValueError, IndexError):
            continue
        the_same(found, json.loads(text))


def test_numbers_are_no_prefix_of_longer_ones() -> None:
    """12 does not begin 123, though its text does."""
    arrays = Arrays(lambda _, value: value)
    assert [arrays.read(text) for text in ("[1, 12]", "[1, 123]", "[1, 12.5]", "[1, 12 ]")] == [
        [1, 12], [1, 123], [1, 12.5], [1, 12],
    ]  # fmt: skip


def test_elements_and_messages_are_shared() -> None:
    """What a history repeats is the same object again, so that whoever compares needs not look inside."""
    arrays = Arrays(lambda _, value: value)
    say = lambda found, one: found.append({"role": one["role"], "parts": []})  # noqa: E731
    turns = [{"role": role} for role in ("user", "assistant", "tool", "assistant", "tool")]
    before, after = arrays.read(json.dumps(turns[:3])), arrays.read(json.dumps(turns))
    assert isinstance(after, Grown)
    assert after.shared == 3
    first, second = told(before, say), told(after, say)
    assert all(one is other for one, other in zip(first, second[:3], strict=True))


def test_what_an_assistant_goes_on_to_say_does_not_change_what_was_read() -> None:
    """Items that join the last message make it anew; the earlier reading keeps its own."""
    items = [{"type": "function_call", "call_id": str(at), "name": "f", "arguments": "{}"} for at in range(3)]
    history = History()
    spans = [
        Span("0" * 32, "0" * 16, "chat", attributes={names.OPERATION: "chat", names.INPUT_MESSAGES: json.dumps(items[:count])})
        for count in (1, 3)
    ]  # fmt: skip
    short, long = [conventions.content(span, None, history).input or [] for span in spans]
    assert [len(said[0]["parts"]) for said in (short, long)] == [1, 3]


def test_conversations_side_by_side_are_each_read_once() -> None:
    """Four agents that take turns: every element is parsed once."""
    parsed: list[Any] = []
    arrays = Arrays(lambda _, value: parsed.append(value) or value)
    for length in range(1, 30):
        for agent in range(4):
            arrays.read(json.dumps([f"{agent} {at}" for at in range(length)]))
    assert len(parsed) == 4 * 29


def test_deep_nesting_is_cut_as_it_is_alone() -> None:
    """A value too deep to walk is cut off, not passed on as it is."""
    deep = "[" * 70 + "]" * 70
    history = History()
    for text in (f'[{{"role":"user"}},{deep}]', f'[{{"role":"user"}},{deep},1]', "[" * 5000):
        the_same(history.parsed(text), values.parsed(text))


def test_a_long_conversation_is_read_in_time_of_its_new_messages() -> None:
    """Twice the turns must not take four times as long, as it does when each request is parsed whole."""

    def seconds(turns: int) -> float:
        said = [{"role": "user", "content": f"{at} " * 40} for at in range(turns)]
        spans = [
            Span("0" * 32, "0" * 16, "chat", attributes={names.OPERATION: "chat", names.INPUT_MESSAGES: json.dumps(said[:at])})
            for at in range(turns)
        ]  # fmt: skip
        history = History()
        started = time.process_time()
        for span in spans:
            conventions.content(span, None, history)
        return time.process_time() - started

    alone = min(seconds(100) for _ in range(3))
    assert min(seconds(400) for _ in range(3)) < alone * 10
