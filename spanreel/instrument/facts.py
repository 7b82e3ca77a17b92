"""What a model call says in GenAI words, read from its bytes by its dialect.

Runs on the exporting thread, and only where something needs it: a backend, a capture level below `full`, the console.
The recording itself keeps the bytes, and whoever reads it later reads the words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from spanreel.wire import attributes as names
from spanreel.wire import lenient, recognise
from spanreel.wire.dialect import Call, Reply
from spanreel.wire.records import Content
from spanreel.wire.usage import Usage


def call_of(attributes: Mapping[str, Any]) -> Call | None:
    """The call that an exchange span's bodies hold; None where the span is none."""
    dialect = recognise.by_name(str(attributes.get(names.WIRE_DIALECT, "")))
    body = attributes.get(names.HTTP_REQUEST_BODY)
    if dialect is None or not isinstance(body, bytes):
        return None
    answer = attributes.get(names.HTTP_RESPONSE_BODY)
    reply = None
    if isinstance(answer, bytes):
        status = attributes.get(names.HTTP_STATUS)
        reply = Reply(
            status if isinstance(status, int) else 0,
            answer,
            _content_type(str(attributes.get(names.WIRE_RESPONSE_HEADERS, "[]"))),
        )
    return dialect.read(lenient.mapping(lenient.parse(body)), reply)


def facts(call: Call) -> dict[str, Any]:
    """Models, usage, reasons, parameters: no content."""
    known: dict[str, Any] = {
        names.REQUEST_MODEL: call.model,
        names.RESPONSE_MODEL: call.response_model,
        names.RESPONSE_ID: call.response_id,
        names.REQUEST_STREAM: call.stream or None,
        names.RESPONSE_FINISH_REASONS: list(call.finish_reasons) or None,
        names.ERROR_TYPE: call.error_type,
        **{key: value for key, value in call.content.parameters.items() if key.startswith("gen_ai.")},
        **usage(call.usage),
    }
    return {key: value for key, value in known.items() if value is not None}


def usage(counts: Usage) -> dict[str, int]:
    """Token counts under their names; cache writes under the earlier name too, which backends still read."""
    known = {
        names.USAGE_INPUT: counts.input,
        names.USAGE_OUTPUT: counts.output,
        names.USAGE_CACHE_READ: counts.cache_read,
        names.USAGE_CACHE_WRITE: counts.cache_write,
        names.USAGE_CACHE_CREATION: counts.cache_write,
        names.USAGE_REASONING: counts.reasoning,
    }
    return {key: value for key, value in known.items() if value is not None}


def content(said: Content) -> dict[str, str]:
    """Messages, instructions and tools, as the conventions want them on a span: JSON texts."""
    known = {
        names.SYSTEM_INSTRUCTIONS: said.system,
        names.INPUT_MESSAGES: said.input,
        names.OUTPUT_MESSAGES: said.output,
        names.TOOL_DEFINITIONS: said.tools,
    }
    return {
        key: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for key, value in known.items()
        if value
    }


def first_chunk(attributes: Mapping[str, Any]) -> dict[str, float]:
    """Seconds to the first chunk of a streamed reply."""
    micros = str(attributes.get(names.WIRE_CHUNK_MICROS, "")).partition(" ")[0]
    return {names.RESPONSE_FIRST_CHUNK: int(micros) / 1e6} if micros.isdigit() else {}


def _content_type(headers: str) -> str:
    pairs = lenient.parse(headers)
    return next((value for name, value in pairs or () if name.lower() == "content-type"), "")
