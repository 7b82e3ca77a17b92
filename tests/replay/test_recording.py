"""What a recording takes from spans, and what it refuses, by name."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.exceptions import NotReplayable
from spanreel.replay.answer import Answer, of_span
from spanreel.replay.recording import ModelEffect, Recording, ToolEffect
from spanreel.wire import attributes as names
from spanreel.wire.spans import Scope, Span

TRACE = "1" * 32
REQUEST = {"model": "m-1", "messages": [{"role": "user", "content": "hi"}]}
WHOLE = json.dumps(
    {"id": "c", "choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]}
)
EVENTS = 'data: {"id":"c","choices":[{"index":0,"delta":{"content":"yes"}}]}\n\n'


def span(
    number: int, name: str, attributes: dict, parent: int | None = 1, scope: str = names.SCOPE, **fields
) -> Span:
    """A span of this trace, by number."""
    times = {"start_ns": number * 10, "end_ns": number * 10 + 5} | fields
    return Span(
        TRACE,
        f"{number:016x}",
        name,
        f"{parent:016x}" if parent else None,
        attributes=attributes,
        scope=Scope(scope),
        **times,
    )


ROOT = span(
    1, "invoke_agent a", {names.OPERATION: "invoke_agent", names.AGENT_NAME: "a"}, parent=None, end_ns=1000
)


def exchange(number: int, status: int = 200, body: str = WHOLE, parent: int | None = 1, **more) -> Span:
    """A captured model call."""
    said = {
        names.OPERATION: "chat", names.REQUEST_MODEL: "m-1", names.WIRE_DIALECT: "openai.chat",
        names.URL_FULL: "https://api.openai.com/v1/chat/completions", names.HTTP_STATUS: status,
        names.HTTP_REQUEST_BODY: json.dumps(REQUEST), names.HTTP_RESPONSE_BODY: body, names.WIRE_OUTCOME: "complete",
    } | {getattr(names, key): value for key, value in more.items()}  # fmt: skip
    return span(number, "chat m-1", {key: value for key, value in said.items() if value is not None}, parent)


def tool(number: int, parent: int = 1, **more) -> Span:
    """A captured tool call."""
    said = {
        names.OPERATION: "execute_tool",
        names.TOOL_NAME: "pay",
        names.TOOL_CALL_ARGUMENTS: '{"n":1}',
        names.TOOL_RESULT: '"done"',
    }
    said |= {getattr(names, key): value for key, value in more.items()}
    return span(
        number, "execute_tool pay", {key: value for key, value in said.items() if value is not None}, parent
    )


def answer(of: Span) -> Answer:
    """The answer in a recording of just this call."""
    effect = Recording.from_spans([ROOT, of]).effects[0]
    assert isinstance(effect, ModelEffect)
    return effect.answers[0]


def test_effects_are_in_order_with_the_numbers_of_their_steps():
    """Models and tools in one list, whatever order the spans came in."""
    found = Recording.from_spans([tool(3), exchange(4), ROOT, exchange(2)])
    assert [(effect.number, type(effect)) for effect in found.effects] == [
        (1, ModelEffect),
        (2, ToolEffect),
        (3, ModelEffect),
    ]
    assert [effect.index for effect in found.effects] == [0, 1, 2]
    assert found.run_id == TRACE


def test_a_body_is_cut_where_it_was_read():
    """Chunks and their times as they came; one chunk where the marks do not fit, as after blanking a secret."""
    ends, micros = f"5 9 {len(WHOLE)}", "10 20 30"
    cut = answer(exchange(2, WIRE_CHUNK_ENDS=ends, WIRE_CHUNK_MICROS=micros))
    assert (b"".join(cut.chunks), [len(one) for one in cut.chunks[:2]], cut.micros) == (
        WHOLE.encode(),
        [5, 4],
        (10, 20, 30),
    )
    for wrong in ("5 9", "9 5 3", "a b", "", f"-1 {len(WHOLE)}"):
        assert answer(exchange(2, WIRE_CHUNK_ENDS=wrong)).chunks == (WHOLE.encode(),)


def test_headers_that_describe_the_transfer_are_dropped():
    """The stored body is decoded."""
    headers = [["Content-Encoding", "gzip"], ["content-length", "9"], ["x-request-id", "r"]]
    assert answer(exchange(2, WIRE_RESPONSE_HEADERS=json.dumps(headers))).headers == (("x-request-id", "r"),)


@pytest.mark.parametrize(("events", "whole"), [(EVENTS, False), (EVENTS + "data: [DONE]\n\n", True)])
def test_a_stream_closed_after_its_end_marker_is_whole(events, whole):
    """SDKs close without reading on; a reader that stopped before is another matter."""
    assert (
        answer(
            exchange(
                2,
                body=events,
                WIRE_OUTCOME="closed",
                HTTP_REQUEST_BODY=json.dumps({**REQUEST, "stream": True}),
            )
        ).whole
        is whole
    )


def test_a_transport_error_is_an_answer():
    """With its class and message; there is no response."""
    found = answer(
        exchange(
            2,
            HTTP_STATUS=None,
            HTTP_RESPONSE_BODY=None,
            WIRE_OUTCOME="error",
            ERROR_TYPE="httpx2.ConnectError",
            WIRE_ERROR="refused",
        )
    )
    assert (found.status, found.error_type, found.error_message, found.whole) == (
        0,
        "httpx2.ConnectError",
        "refused",
        True,
    )


def test_attempts_that_the_sdk_counted_are_one_call():
    """Only the success answers, unless the recording is to be faithful."""
    spans = [ROOT, exchange(2, 500), exchange(3, HTTP_RESEND=1)]
    assert [[one.status for one in effect.answers] for effect in Recording.from_spans(spans).effects] == [
        [200]
    ]
    assert [
        [one.status for one in effect.answers]
        for effect in Recording.from_spans(spans, faithful=True).effects
    ] == [[500, 200]]


def test_attempts_that_nobody_counted_are_calls_of_their_own():
    """The agent may have seen each failure."""
    found = Recording.from_spans([ROOT, exchange(2, 500), exchange(3)])
    assert [[one.status for one in effect.answers] for effect in found.effects] == [[500], [200]]
    assert [effect.number for effect in found.effects] == [1, 1]


def test_effects_within_a_tool_know_it():
    """So that serving the tool uses them up."""
    found = Recording.from_spans([ROOT, tool(2), exchange(3, parent=2)])
    assert [effect.within for effect in found.effects] == [(), (f"{2:016x}",)]
    assert list(found.inside(f"{2:016x}")) == [1]


def test_a_tool_that_never_ended_is_kept_as_such():
    """Its result is not known; that is no reason to refuse the rest."""
    begun = replace(tool(2, TOOL_RESULT=None, OPEN=True), end_ns=0)
    effect = Recording.from_spans([ROOT, begun]).effects[0]
    assert isinstance(effect, ToolEffect)
    assert effect.open


def test_an_ended_span_replaces_its_open_record():
    """In any order of arrival."""
    begun = replace(tool(2, TOOL_RESULT=None, OPEN=True), end_ns=0)
    for spans in ([ROOT, begun, tool(2)], [ROOT, tool(2), begun]):
        (effect,) = Recording.from_spans(spans).effects
        assert isinstance(effect, ToolEffect)
        assert not effect.open


@pytest.mark.parametrize(
    ("spans", "named"),
    [
        ([ROOT], "no model or tool call"),
        ([ROOT, exchange(2, HTTP_REQUEST_BODY=None)], "http.request.body.content"),
        ([ROOT, exchange(2, HTTP_RESPONSE_BODY=None)], "http.response.body.content"),
        ([ROOT, exchange(2, HTTP_RESPONSE_BODY=None, INCOMPLETE="disk full")], "disk full"),
        ([ROOT, exchange(2, WIRE_REQUEST_BASE="x:3")], "http.request.body.content"),
        ([ROOT, exchange(2, CAPTURE_LEVEL="hashes")], "hashes"),
        ([ROOT, tool(2, TOOL_RESULT=None)], "spanreel.tool.result"),
        (
            [ROOT, span(2, "chat m", {names.OPERATION: "chat", names.REQUEST_MODEL: "m"}, scope="other")],
            "http.request.body.content",
        ),
    ],
)
def test_what_cannot_be_replayed_names_what_it_lacks(spans, named):
    """The attribute, or the level, that would have to be there."""
    with pytest.raises(NotReplayable, match=named):
        Recording.from_spans(spans)


def test_calls_that_nobody_captured_are_a_warning():
    """Beside others that can be served."""
    foreign = span(3, "chat m", {names.OPERATION: "chat", names.REQUEST_MODEL: "m"}, scope="other")
    assert "step 2 (chat m)" in Recording.from_spans([ROOT, exchange(2), foreign]).warnings[0]


def test_only_the_run_that_was_asked_for():
    """Others in the same spans do no harm, and can be taken in by name."""
    other = "2" * 32
    spans = [ROOT, exchange(2), *(replace(one, trace_id=other) for one in (ROOT, exchange(3)))]
    assert len(Recording.from_spans(spans, TRACE).effects) == 1
    assert len(Recording.from_spans(spans, TRACE, also=[other]).effects) == 2
    with pytest.raises(NotReplayable, match="no run nope"):
        Recording.from_spans(spans, "nope")


def test_what_the_agent_asked_and_was_given_is_the_effect():
    """A run made with overrides is replayed by what its SDK asked and got, not by what was sent elsewhere."""
    asked = json.dumps({"model": "claude", "messages": []})
    sent = exchange(
        2, WIRE_ASKED_DIALECT="anthropic.messages", WIRE_ASKED_URL="https://api.anthropic.com/v1/messages",
        WIRE_ASKED_BODY=asked, WIRE_GIVEN_STATUS=201, WIRE_GIVEN_HEADERS='[["x-a","b"]]', WIRE_GIVEN_BODY="given",
        WIRE_CHUNK_ENDS="1 5", WIRE_CHUNK_MICROS="10 20", HTTP_RESPONSE_BODY=None,
    )  # fmt: skip
    (effect,) = Recording.from_spans([ROOT, sent]).effects
    assert isinstance(effect, ModelEffect)
    assert (effect.dialect, effect.path, effect.body) == (
        "anthropic.messages",
        "/v1/messages",
        asked.encode(),
    )
    assert (effect.model, effect.provider) == ("claude", "anthropic")
    (answer,) = effect.answers
    assert (answer.status, answer.headers, answer.chunks) == (201, (("x-a", "b"),), (b"given",))


def test_effects_that_ran_at_once_are_told():
    """Two at the same time overlap; a tool and what happened inside it do not; what never ended runs on."""

    def overlapped(*spans: Span) -> bool:
        return Recording.from_spans([ROOT, *spans]).overlapped

    assert not overlapped(exchange(2), exchange(3))
    assert overlapped(replace(exchange(2), end_ns=31), exchange(3))
    around = replace(tool(2), end_ns=90)
    assert not overlapped(around, exchange(3, parent=2), replace(exchange(4, parent=2), start_ns=31))
    assert overlapped(around, exchange(3))
    assert overlapped(replace(tool(2, TOOL_RESULT=None, OPEN=True), end_ns=0), exchange(3))
    (effect, _) = Recording.from_spans([ROOT, exchange(2, 500, HTTP_RESEND=0), exchange(3)]).effects
    assert (effect.start_ns, effect.end_ns) == (20, 25)


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.lists(st.text(max_size=3), max_size=2)
)
KEYS = st.sampled_from(
    [
        names.HTTP_STATUS,
        names.HTTP_RESPONSE_BODY,
        names.WIRE_RESPONSE_HEADERS,
        names.WIRE_CHUNK_ENDS,
        names.WIRE_CHUNK_MICROS,
        names.WIRE_OUTCOME,
        names.ERROR_TYPE,
        names.HTTP_RESEND,
    ]
)


@given(st.dictionaries(KEYS, VALUES))
def test_strange_attributes_never_crash(said):
    """Spans come from files; an answer is made of whatever is there."""
    found = of_span("openai.chat", b"{}", replace(exchange(2), attributes=said))
    body = said.get(names.HTTP_RESPONSE_BODY)
    expected = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else b""
    assert b"".join(found.chunks) == expected
    assert isinstance(found.status, int)


def test_every_emitters_spans_are_refused_by_the_attribute_they_lack(shared):
    """Traces of other programs can be viewed; none of them is replayed by guessing."""
    from spanreel.collector import files

    seen = 0
    for path in sorted((shared / "data" / "emitters").rglob("*.json*"))[:40]:
        spans = [one for batch in files.read(path) for one in batch]
        if not spans:
            continue
        seen += 1
        with pytest.raises(
            NotReplayable,
            match=r"has no (http\.request\.body\.content|spanreel\.tool\.result)|no model or tool call",
        ):
            Recording.from_spans(spans)
    assert seen > 5
