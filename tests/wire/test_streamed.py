"""A secret that a model says piece by piece is found in the text that the pieces make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_exchanges import local_exchanges

from spanreel.wire.dialect import Reply
from spanreel.wire.recognise import by_name
from spanreel.wire.redaction import DEFAULT_PATTERNS, Redactor
from spanreel.wire.streamed import edited, is_stream

CORPUS = json.loads((Path(__file__).parents[1] / "recordings" / "secrets.json").read_text("utf-8"))


def sse(events: list[dict[str, Any]]) -> bytes:
    """A stream of these events."""
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def pieces(text: str, size: int) -> list[str]:
    """The text in pieces."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def chat(text: str, size: int) -> bytes:
    """As OpenAI chat streams it, beside a second choice that says something else."""
    events = []
    for piece in pieces(text, size):
        events.append({"model": "m", "choices": [{"index": 0, "delta": {"content": piece}}]})
        events.append({"model": "m", "choices": [{"index": 1, "delta": {"content": "la "}}]})
    return sse(events) + b"data: [DONE]\n\n"


def chat_arguments(text: str, size: int) -> bytes:
    """As the arguments of a tool call in an OpenAI chat stream."""
    return sse(
        [
            {
                "choices": [
                    {
                        "delta": {
                            "tool_calls": [
                                {"index": 0, "id": "c", "function": {"name": "f", "arguments": piece}}
                            ]
                        }
                    }
                ]
            }
            for piece in pieces(text, size)
        ]
    )


def messages(text: str, size: int) -> bytes:
    """As Anthropic streams a text."""
    return sse(
        [
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
            for piece in pieces(text, size)
        ]
    )


def responses(text: str, size: int) -> bytes:
    """As OpenAI responses stream a text, which they repeat whole."""
    deltas = [
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": piece}
        for piece in pieces(text, size)
    ]
    return sse(
        [*deltas, {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": text}]
    )


def gemini_events(text: str, size: int) -> list[dict[str, Any]]:
    """As Gemini streams a text: between thoughts, which may hold the same place in an event."""
    events = []
    for piece in pieces(text, size):
        thought, said = {"text": "hm ", "thought": True}, {"text": piece}
        parts = [thought, said] if len(events) % 2 else [said]
        events.append({"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0}]})
    return events


def gemini(text: str, size: int) -> bytes:
    """Gemini's stream as events."""
    return sse(gemini_events(text, size))


def gemini_array(text: str, size: int) -> bytes:
    """Gemini's stream as a JSON array, indented as Google does."""
    return json.dumps(gemini_events("größe " + text, size), indent=2, ensure_ascii=False).encode()


def gemini_arguments(text: str, size: int) -> bytes:
    """As Vertex AI streams the arguments of a call, another argument before it."""

    def event(call: dict[str, Any]) -> dict[str, Any]:
        return {"candidates": [{"content": {"role": "model", "parts": [{"functionCall": call}]}}]}

    told = [("$.first", "one"), *(("$.key[0].text", piece) for piece in pieces(text, size))]
    steps = [{"jsonPath": path, "stringValue": piece, "willContinue": True} for path, piece in told]
    return sse(
        [
            event({"name": "f", "willContinue": True}),
            *(event({"partialArgs": [step], "willContinue": True}) for step in steps),
            event({}),
        ]
    )


def assembled(dialect: str, body: bytes) -> str:
    """All that a reader puts together from the stream."""
    output = by_name(dialect).read({}, Reply(200, body)).content.output
    if dialect == "gemini" and output[0]["parts"][0]["type"] == "text":  # thoughts are in between
        output = "".join(part["content"] for part in output[0]["parts"] if part["type"] == "text")
    return json.dumps(output, ensure_ascii=False)


@pytest.mark.parametrize(
    ("dialect", "stream"),
    [
        ("openai.chat", chat),
        ("anthropic.messages", messages),
        ("openai.responses", responses),
        ("gemini", gemini),
        ("gemini", gemini_array),
        ("gemini", gemini_arguments),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 17])
@pytest.mark.parametrize("entry", CORPUS, ids=[entry["kind"] for entry in CORPUS])
def test_no_secret_survives_in_pieces(entry, size, dialect, stream):
    """Whatever the pieces, the text that a reader assembles is the text without the secret, and nothing else is lost."""
    secret = "".join(entry["parts"])
    text = f"Here:\n{entry.get('before', '')}{secret}{entry.get('after', '')}\nDone, all 3."
    clean, count = Redactor().body(stream(text, size))
    assert count >= 1
    whole = assembled(dialect, clean)
    assert secret not in whole
    assert json.dumps(secret)[1:-1] not in whole
    assert "[redacted:" in whole
    assert "Here:" in whole
    assert "Done, all 3." in whole
    assert "la la la " in whole or dialect != "openai.chat"


def test_arguments_in_pieces_stay_json():
    """Keys, the user's and the known ones, are blanked in the arguments of a streamed tool call, which still parse."""
    text = json.dumps({"password": "hunter", "SSN": "123-45-6789", "n": 1, "note": "fine"})
    clean, count = Redactor(keys=["ssn"]).body(chat_arguments(text, 4))
    assert count == 2
    parts = by_name("openai.chat").read({}, Reply(200, clean)).content.output[0]["parts"]
    assert parts[0]["arguments"] == {
        "password": "[redacted:password]",
        "SSN": "[redacted:key]",
        "n": 1,
        "note": "fine",
    }


def test_expressions_and_a_function_see_the_whole_text():
    """A user's expression and function are given the assembled text, not its pieces."""
    redactor = Redactor(patterns=(*DEFAULT_PATTERNS, r"Öz\w+"))
    assert "[redacted:pattern] came" in assembled("openai.chat", redactor.body(chat("Öztürk came", 2))[0])
    redactor = Redactor(custom=lambda text: text.replace("Margaret", "M."))
    assert "M. came" in assembled("openai.chat", redactor.body(chat("Margaret came", 2))[0])


@pytest.mark.parametrize(
    "name", [name for name, exchange in local_exchanges().items() if is_stream(exchange.reply.body)]
)
def test_recorded_streams_are_untouched(name):
    """A stream without secrets comes back as it is, byte for byte."""
    body = local_exchanges()[name].reply.body
    assert Redactor(keys=["ssn"]).body(body) == (body, 0)


@given(st.text(max_size=40), st.integers(1, 5), st.data())
def test_edits_fall_where_they_should(text, size, data):
    """Any edit of the text, spread over any pieces, makes the text that the edit makes of the whole."""
    places = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    edits = [(start, end, "<>") for start, end in zip(places[::2], places[1::2], strict=False)]
    expected = text
    for start, end, new in reversed(edits):
        expected = expected[:start] + new + expected[end:]
    whole = sse([{"delta": piece} for piece in pieces(text, size)])
    clean, count = edited(whole, lambda _: edits)
    if len(pieces(text, size)) > 1:
        assert "".join(json.loads(line[6:])["delta"] for line in clean.split(b"\n\n")[:-1]) == expected
        assert count == len(edits)


@given(
    st.lists(
        st.sampled_from(
            [
                b'data: {"delta": "sk-abc1"}\n\n',
                b"data: [",
                b'{"text":',
                b"\n\n",
                b"data: 1\r\n",
                b"\xff",
                b'"\\ud800"}\n',
            ]
        )
    )
)
def test_any_stream(parts):
    """No stream breaks it."""
    clean, count = Redactor(keys=["text"]).body(b"data: " + b"".join(parts))
    assert count or clean == b"data: " + b"".join(parts)
