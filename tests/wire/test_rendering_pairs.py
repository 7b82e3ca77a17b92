"""Through any two dialects a conversation stays what it was; anything else that comes as JSON is refused in one line."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from asked import MODELS
from hypothesis import given, settings
from hypothesis import strategies as st

from spanreel.exceptions import BadInput
from spanreel.wire.rendering import (
    TARGETS,
    NeutralRequest,
    NotExpressible,
    answer,
    answer_stream,
    error,
    failure,
    neutral_answer,
    neutral_request,
    request,
    stub_answer,
)
from spanreel.wire.usage import Usage

PAIRS = list(product(TARGETS, TARGETS))
WORDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.sampled_from(["city", "id", "n", "text", "type"]), VALUES, max_size=3)
TEXT = WORDS.map(lambda said: {"type": "text", "content": said})
PICTURE = st.sampled_from(["image/png", "image/jpeg"]).map(
    lambda kind: {"type": "blob", "modality": "image", "mime_type": kind, "content": "AAAA"}
)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,20}", fullmatch=True)
SCHEMAS = st.dictionaries(st.sampled_from("abc"), st.sampled_from([{"type": "string"}, {"type": "integer"}]), max_size=3).map(
    lambda fields: {"type": "object", "properties": fields, "required": sorted(fields)}
)  # fmt: skip
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "max_tokens": st.integers(1, 9000),
        "response_format": SCHEMAS.map(
            lambda schema: {"type": "json_schema", "name": "answer", "schema": schema}
        ),
        "tool_choice": st.sampled_from([{"mode": "auto"}, {"mode": "none"}, {"mode": "required"}]),
        "reasoning": st.sampled_from([{"level": "low"}, {"level": "medium"}, {"level": "high"}]),
    },
)


@st.composite
def conversations(draw: st.DrawFn) -> NeutralRequest:
    """What an agent asks: turns of a user, and of an assistant that calls tools, each of which answers."""
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    told: list[dict[str, Any]] = []
    count = 0
    for _ in range(draw(st.integers(1, 3))):
        told.append({"role": "user", "parts": draw(st.lists(TEXT | PICTURE, min_size=1, max_size=3))})
        made = [
            {"type": "tool_call", "id": f"call_{count + at}", "name": draw(st.sampled_from(names)), "arguments": draw(ARGUMENTS)}
            for at in range(draw(st.integers(0, 3)))
        ]  # fmt: skip
        count += len(made)
        said = draw(st.lists(TEXT, max_size=1)) if made else [draw(TEXT)]
        told.append({"role": "assistant", "parts": [*said, *made]})
        results = [{"type": "tool_call_response", "id": one["id"], "response": draw(VALUES)} for one in made]
        if results:
            told.append({"role": "tool", "parts": draw(st.permutations(results))})
    told.append({"role": "user", "parts": [draw(TEXT)]})
    tools = [{"type": "function", "name": name, "parameters": draw(SCHEMAS)} for name in names]
    return NeutralRequest(
        dialect="none of them",
        system=tuple(draw(st.lists(TEXT, max_size=1))),
        messages=tuple(told),
        tools=tuple(tools),
        parameters=draw(PARAMETERS),
    )


def flat(neutral: NeutralRequest) -> list[tuple[Any, ...]]:
    """Who said what, in order: turns may be cut in other places."""
    found: list[tuple[Any, ...]] = []
    for message in neutral.messages:
        for part in message["parts"]:
            kind = part["type"]
            if kind == "tool_call":
                found.append((kind, part["id"], part["name"], part["arguments"]))
            elif kind == "tool_call_response":
                found.append((kind, part["id"], plain(part["response"])))
            else:
                found.append((kind, message["role"], part["content"], part.get("mime_type")))
    return found


def plain(response: Any) -> Any:
    """A result as a text, as most wires carry it."""
    if response is None:
        return ""
    return (
        response
        if isinstance(response, str)
        else json.dumps(response, ensure_ascii=False, separators=(",", ":"))
    )


def through(target: str, neutral: NeutralRequest) -> NeutralRequest:
    """What the target is asked, read again."""
    made = request(target, neutral, MODELS.get(target, "gemini-3-pro"))
    assert set(made.dropped) <= {"history.tool_call.thoughtSignature"}  # Gemini's own, which we had put there
    body = json.loads(json.dumps(made.body))
    return neutral_request(target, body)


@pytest.mark.parametrize(("one", "other"), PAIRS)
@settings(max_examples=12)
@given(neutral=conversations())
def test_a_conversation_goes_through_two_dialects(one, other, neutral):
    """Messages, ids, arguments, results, tools, instructions and parameters come out as they went in."""
    found = through(other, through(one, neutral))
    assert flat(found) == flat(neutral)
    assert [part["content"] for part in found.system] == [part["content"] for part in neutral.system]
    assert [(tool["name"], tool["parameters"]) for tool in found.tools] == [
        (tool["name"], tool["parameters"]) for tool in neutral.tools
    ]
    given_parameters, got = dict(neutral.parameters), dict(found.parameters)
    if "anthropic.messages" in (one, other):
        given_parameters.setdefault("max_tokens", 8192)  # it wants a limit
    for name in ("temperature", "top_p", "max_tokens", "tool_choice"):
        assert got.get(name) == given_parameters.get(name), name
    if "reasoning" in given_parameters:
        assert got["reasoning"]["level"] == given_parameters["reasoning"]["level"]
    form = given_parameters.get("response_format")
    assert (got.get("response_format") or {}).get("schema") == (form or {}).get("schema")


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """What a model answers: words, or calls, or both."""
    said = draw(st.lists(TEXT, max_size=1))
    made = [
        {"type": "tool_call", "id": f"call_{at}", "name": draw(NAMES), "arguments": draw(ARGUMENTS)}
        for at in range(draw(st.integers(0 if said else 1, 3)))
    ]
    return {"role": "assistant", "parts": [*said, *made]}


USAGES = st.builds(Usage, input=st.integers(0, 999), output=st.integers(50, 999))


@pytest.mark.parametrize(("one", "other"), PAIRS)
@settings(max_examples=12)
@given(message=answers(), usage=USAGES, streamed=st.booleans())
def test_an_answer_goes_through_two_dialects(one, other, message, usage, streamed):
    """Words, calls, ids, counts and the reason come out as they went in, whole or streamed."""
    found = message
    for target in (one, other):
        body = answer(target, found, model="m", response_id="resp_1", usage=usage)
        data = (
            b"".join(answer_stream(target, body, include_usage=True))
            if streamed
            else json.dumps(body).encode()
        )
        read = neutral_answer(target, {}, 200, data)
        found = read.message
    known = ("type", "content", "id", "name", "arguments")  # a wire may add an id of its own, a status
    assert [{key: part[key] for key in known if key in part} for part in found["parts"]] == message["parts"]
    assert read.finish_reason == ("tool_call" if message["parts"][-1]["type"] == "tool_call" else "stop")
    assert (read.usage.input, read.usage.output, read.model, read.response_id) == (
        usage.input,
        usage.output,
        "m",
        "resp_1",
    )


KEYS = st.sampled_from(
    "messages input contents role parts content type text name id tool_calls function arguments tools parameters system "  # noqa: SIM905
    "instructions systemInstruction tool_choice response_format json_schema schema generationConfig thinkingConfig stop "
    "toolConfig functionCallingConfig mode allowedFunctionNames reasoning effort thinking budget_tokens output_config format "
    "tool_use_id tool_call_id call_id output is_error source data media_type image_url url functionCall functionResponse "
    "response functionDeclarations input_schema temperature max_tokens n stream functions custom summary encrypted_content "
    "signature choices message candidates usage finish_reason stop_reason status error delta thoughtSignature".split()
)
KINDS = st.sampled_from(
    "text tool_use tool_result function function_call function_call_output message reasoning thinking redacted_thinking user "  # noqa: SIM905
    "assistant tool system model developer image image_url document input_text output_text json_schema json_object tool any "
    "auto required ANY enabled adaptive custom refusal stop object array string web_search blob uri file tool_call".split()
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | KINDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=40,
)
BODIES = st.dictionaries(KEYS, JSON, max_size=8)


@settings(max_examples=80)
@given(body=BODIES)
@pytest.mark.parametrize("dialect", TARGETS)
def test_any_request_is_said_or_refused(dialect, body):
    """No JSON makes it fail in any other way, and what is rendered is JSON."""
    try:
        neutral = neutral_request(dialect, body)
        stub_answer(dialect, body)
    except (BadInput, NotExpressible):
        return
    for target in TARGETS:
        try:
            made = request(target, neutral, "m")
        except (BadInput, NotExpressible):
            continue
        json.dumps(made.body)


@settings(max_examples=60)
@given(body=JSON, message=JSON, cut=st.integers(0, 300))
@pytest.mark.parametrize("dialect", TARGETS)
def test_any_answer_is_said_or_refused(dialect, body, message, cut):
    """Any reply, cut or not, and anything that is given for a message."""
    data = json.dumps(body).encode()
    for reply in (data, data[:cut], b"data: " + data + b"\n\ndata: [DONE]\n\n"):
        try:
            found = neutral_answer(dialect, {}, 200, reply)
        except (BadInput, NotExpressible):
            continue
        for target in TARGETS:
            try:
                made = answer(
                    target, found.message, model=found.model, response_id=found.response_id, usage=found.usage
                )
                answer_stream(target, made)
            except (BadInput, NotExpressible):
                continue
    for attempt in (
        lambda: answer(dialect, message, model=None, response_id=None),
        lambda: answer_stream(dialect, message),
        lambda: failure(dialect, 500, data),
        lambda: error(dialect, 500, "x", "y"),
        lambda: neutral_request(dialect, message),
    ):
        try:
            attempt()
        except (BadInput, NotExpressible):
            continue
