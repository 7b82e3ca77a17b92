"""What every JSON dialect reads in the same way: a reply as one unstreamed body, and the fields that all calls have.

No dialect's own fields are known here; a dialect brings them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from spanreel.wire import errors, lenient
from spanreel.wire.dialect import Call, Reply

if TYPE_CHECKING:
    from spanreel.wire.records import Content
    from spanreel.wire.usage import Usage

Assemble: TypeAlias = Callable[[bytes], tuple[dict[str, Any], bool]]
"""Puts an event stream together: the body that the same call would have had unstreamed, and whether it is whole."""


def answer_of(reply: Reply | None, assemble: Assemble | None = None) -> tuple[dict[str, Any], bool]:
    """The reply as one unstreamed body (empty where there is none), and whether it is whole.

    Args:
        reply: what came back, if anything did.
        assemble: for a dialect that streams.
    """
    if reply is None:
        return {}, False
    if assemble is not None and lenient.is_event_stream(reply.body, reply.content_type):
        return assemble(reply.body)
    value = lenient.parse(reply.body)
    return lenient.mapping(value), isinstance(value, dict)


def call_of(
    request: Mapping[str, Any],
    reply: Reply | None,
    answer: Mapping[str, Any],
    *,
    finished: bool,
    usage: Usage,
    content: Content,
    finish_reasons: tuple[str, ...] = (),
) -> Call:
    """The call: who was asked, who answered and what went wrong stand in the same fields of every dialect.

    Args:
        request: the body that was sent.
        reply: what came back, if anything did.
        answer: the reply as `answer_of` gives it.
        finished: whether the answer is whole.
        usage: as the dialect counts it.
        content: as the dialect reads it.
        finish_reasons: in the provider's words.
    """
    error_type, error_message = errors.of(answer, reply)
    return Call(
        model=lenient.text(request.get("model")),
        response_model=lenient.text(answer.get("model")),
        response_id=lenient.text(answer.get("id")),
        stream=request.get("stream") is True,
        usage=usage,
        finish_reasons=finish_reasons,
        content=content,
        error_type=error_type,
        error_message=error_message,
        finished=finished,
    )


def parameters_of(request: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Those parameters that the request sets, by their attribute names.

    Args:
        request: the body that was sent.
        names: the dialect's field -> attribute name.
    """
    return {name: request[key] for key, name in names.items() if request.get(key) is not None}
