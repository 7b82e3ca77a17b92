"""OpenAI embeddings, and every vendor and server that speaks them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spanreel.wire import attributes as names
from spanreel.wire import lenient, messages
from spanreel.wire.assembly import answer_of, call_of
from spanreel.wire.dialect import Call, Reply
from spanreel.wire.lenient import first_count, items, mapping, objects
from spanreel.wire.records import Content, Message
from spanreel.wire.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATH = re.compile(r"(?<!/api)/embeddings/?$")  # /api/embeddings is Ollama's own


@dataclass(frozen=True, slots=True)
class OpenAIEmbeddings:
    """The dialect of `POST …/embeddings`."""

    name: str = "openai.embeddings"
    operation: str = "embeddings"
    provider: str = "openai"

    def recognises(self, path: str, body: bytes) -> bool:
        return _PATH.search(path) is not None and b'"input"' in body

    def read(self, request: Mapping[str, Any], reply: Reply | None) -> Call:
        answer, finished = answer_of(reply)
        usage = mapping(answer.get("usage"))
        return call_of(
            request,
            reply,
            answer,
            finished=finished,
            usage=Usage(input=first_count(usage, "prompt_tokens", "total_tokens")),
            content=Content(input=_input(request.get("input")), parameters=_parameters(request, answer)),
        )


DIALECT = OpenAIEmbeddings()


def _parameters(request: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if encoding := lenient.text(request.get("encoding_format")):
        found[names.REQUEST_ENCODING_FORMATS] = [encoding]
    dimensions = lenient.count(request.get("dimensions")) or _width(answer)
    if dimensions:
        found[names.EMBEDDING_DIMENSIONS] = dimensions
    return found


def _width(answer: Mapping[str, Any]) -> int | None:
    """How many numbers the first vector has; base64 holds them as 4-byte floats."""
    vector = next((row.get("embedding") for row in objects(answer.get("data"))), None)
    if isinstance(vector, str):
        return len(vector.rstrip("=")) * 3 // 4 // 4
    return len(items(vector)) or None


def _input(value: Any) -> list[Message] | None:
    """One message a text (or a list of token numbers) to embed."""
    if value is None:
        return None
    many = isinstance(value, list) and not (value and isinstance(value[0], int))
    return [messages.message("user", [messages.generic(piece)]) for piece in (value if many else [value])]
