"""pieces: a text in pieces reads as the text does, and nobody who only reads it puts it together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanreel.collector.store import open_reader, open_writer
from spanreel.collector.store.lists import cut, skeleton
from spanreel.replay.build import build
from spanreel.wire import attributes as names
from spanreel.wire import lenient
from spanreel.wire.conventions import values
from spanreel.wire.conventions.history import History
from spanreel.wire.history import Told
from spanreel.wire.pieces import Fill, Pieced, Pieces, held
from spanreel.wire.spans import Scope, Span
from tests.wire.test_history import histories

LONG = "long enough for a row of its own " * 20
RUN = "0af7651916cd43dd8448eb211c80319c"


def in_pieces(text: str) -> Pieces:
    """The text cut as the store cuts it."""
    holes = cut(text, lambda *_: None)
    frame, offsets = skeleton(text, holes)
    fills = (Fill(offset, hole.tail, hole.separator) for offset, hole in zip(offsets, holes, strict=True))
    return Pieces(frame, tuple(fills))


def spelled(value: Any) -> str:
    """The value for comparison: NaN is NaN, 1 is not 1.0, and the order of members counts."""
    return json.dumps(value, ensure_ascii=True)


@settings(max_examples=150, deadline=None)
@given(
    told=histories(),
    shape=st.sampled_from(["body", "list", "twice", "nested", "spaced", "several"]),
    extra=st.dictionaries(st.sampled_from(["user", "é", "tools", "stop", "n"]), st.sampled_from(
        ["x", 1, None, [], ["a" * 60, "b" * 60], {"messages": [1]}, [[[LONG]]]])),
)  # fmt: skip
def test_a_history_in_pieces_is_what_its_text_is(
    told: list[list[Any]], shape: str, extra: dict[str, Any]
) -> None:
    """Bodies and attributes in pieces, one after the other, are each what the text read alone is."""
    bodies, attributes = History(), History()
    for number, messages in enumerate(told):
        padded = [{"role": "user", "content": LONG}, *messages]
        body = {"model": "m", "messages": padded, **extra, "seed": number}
        text = {
            "body": json.dumps(body),
            "list": json.dumps(padded),
            "twice": json.dumps(body)[:-1] + ', "messages": [' + json.dumps(LONG) + "]}",
            "nested": json.dumps({"request": body}),
            "spaced": " " + json.dumps(body, indent=1) + "\n",
            "several": json.dumps({**body, "input": padded[::-1], "system": [LONG, LONG]}),
        }[shape]
        pieces = in_pieces(text)
        assert spelled(bodies.body(pieces)) == spelled(lenient.parse(text))
        assert spelled(attributes.parsed(in_pieces(text))) == spelled(values.parsed(text))
        assert pieces.text() == text


def test_attributes_in_pieces_are_attributes_like_any_others() -> None:
    """Every way to look at them gives the texts; only `held` gives the pieces."""
    text = json.dumps([LONG, LONG])
    plain = {"a": 1, "b": text, "c": None}
    pieced = Pieced({"a": 1, "b": in_pieces(text), "c": None})
    assert pieced == plain
    assert plain == pieced
    assert {**pieced} == dict(pieced) == plain
    assert list(pieced.items()) == list(plain.items())
    assert (len(pieced), "b" in pieced, "d" in pieced) == (3, True, False)
    assert (pieced["b"], pieced.get("b"), pieced.get("d"), pieced.get("d", 2)) == (text, text, None, 2)
    assert repr(pieced) == repr(plain)
    assert isinstance(held(pieced, "b"), Pieces)
    assert (held(pieced, "a"), held(pieced, "d"), held(plain, "b")) == (1, None, text)
    with pytest.raises(KeyError):
        _ = pieced["d"]


def test_messages_after_the_first_ones_continue_those_of_their_base() -> None:
    """What a list shares with its base, it shares without its first messages too."""
    base = Told([{"role": "system"}, {"role": "user"}])
    more = Told(base, base)
    more.append({"role": "assistant"})
    rest, after = base.after(1), more.after(1)
    assert rest == [{"role": "user"}]
    assert after == [{"role": "user"}, {"role": "assistant"}]
    assert after.base is rest
    assert after.kept == 1
    assert more.after(2).base is None


def test_a_run_is_rebuilt_without_putting_a_body_together(tmp_path: Path) -> None:
    """Every message list of a run out of the store, and no text of any request; a body that is asked for is whole."""
    told: list[dict[str, Any]] = [{"role": "user", "content": LONG}]
    spans: list[Span] = []
    for turn in range(6):
        request = json.dumps({"model": "m", "messages": told})
        answer = {"role": "assistant", "content": f"{turn} {LONG}"}
        reply = json.dumps({"id": f"r{turn}", "choices": [{"index": 0, "message": answer}]})
        said = {names.OPERATION: "chat", names.WIRE_DIALECT: "openai.chat", names.HTTP_STATUS: 200,
                names.HTTP_REQUEST_BODY: request, names.HTTP_RESPONSE_BODY: reply}  # fmt: skip
        start = (turn + 1) * 10**9
        spans.append(
            Span(RUN, f"{turn + 1:016x}", "chat m", start_ns=start, end_ns=start + 10**8, attributes=said, scope=Scope("spanreel"))
        )  # fmt: skip
        told = [*told, answer, {"role": "user", "content": f"and {turn}? {LONG}"}]
    with open_writer(tmp_path / "spans.db") as writer:
        writer.add(spans)
    with open_reader(tmp_path / "spans.db") as reader:
        run = reader.run(RUN)
        found = reader.spans(RUN)
    replay = build(run, found)
    assert [len(replay.input_of(turn + 1)) for turn in range(6)] == [1, 3, 5, 7, 9, 11]
    assert replay.input_of(6)[-1]["parts"] == [{"type": "text", "content": f"and 4? {LONG}"}]
    bodies = [held(span.attributes, names.HTTP_REQUEST_BODY) for span in found]
    assert [type(body) for body in bodies[1:]] == [
        Pieces
    ] * 5  # the first is what its shape holds
    assert [body.joined for body in bodies[1:]] == [None] * 5
    assert found == spans
