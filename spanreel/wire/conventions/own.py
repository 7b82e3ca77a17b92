"""Our own spans: exchanges, whose bodies say everything, and runs and tools, whose names we gave ourselves."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from spanreel.wire import attributes as names
from spanreel.wire import lenient, playbooks, recognise
from spanreel.wire.conventions import vocabulary
from spanreel.wire.conventions.history import History, as_bytes
from spanreel.wire.conventions.values import count, parsed_fully, text
from spanreel.wire.dialect import Call, Dialect, Reply
from spanreel.wire.pieces import held
from spanreel.wire.records import Content

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.wire.spans import Span


_MODEL_KEY: Final = b'"model"'
_MODEL_LIMIT: Final = 700
_TAG: Final = "$type"
_HELD: Final = ("value", "items", "message", "name", "text")


def add(span: Span, fields: dict[str, Any]) -> None:
    """Add what only our spans say to the fields of a record. Attributes win; bodies fill what they leave open."""
    attributes = span.attributes
    fields["outcome"] = (
        text(attributes.get(names.WIRE_OUTCOME))
        or text(attributes.get(names.OUTCOME + "status"))
        or text(attributes.get(names.APPROVAL_STATUS))
    )
    fields["lane"] = text(attributes.get(names.WIRE_LANE))
    fields["segment"] = count(attributes.get(names.RUN_SEGMENT)) or 0
    if names.DECISION in attributes and playbooks.role_of(span) is not None:
        fields["kind"] = playbooks.KIND
    name = text(attributes.get(names.WIRE_DIALECT))
    if name is None:
        return
    dialect = recognise.by_name(name)
    fields["exchange"] = True
    fields["dialect"] = name
    fields["resend"] = count(attributes.get(names.HTTP_RESEND)) or 0
    fields["body_hash"] = _body_hash(attributes)
    if dialect is None:
        return
    fields["operation"] = fields["operation"] or dialect.operation
    fields["kind"] = vocabulary.kind_of_operation(fields["operation"]) or "llm"
    host = text(attributes.get(names.SERVER_ADDRESS)) or ""
    fields["provider"] = fields["provider"] or recognise.provider_of(dialect, host)
    if not _told(fields):
        _fill(fields, attributes, dialect)


def content(span: Span, history: History) -> Content | None:
    """The content of an exchange from its bodies; None where the span has none."""
    name = text(span.attributes.get(names.WIRE_DIALECT))
    dialect = recognise.by_name(name) if name else None
    body = held(span.attributes, names.HTTP_REQUEST_BODY)
    answer = span.attributes.get(names.HTTP_RESPONSE_BODY)
    if dialect is None or (body is None and answer is None):
        return None
    request = history.body(body)
    call = dialect.read(lenient.mapping(request), _reply(span.attributes))
    told = call.content
    if not history.raw:
        return told
    answered = told.raw_response
    return replace(
        told,
        raw_request=request if told.raw_request is None else told.raw_request,
        raw_response=parsed_fully(_text(answer)) if answered is None and answer is not None else answered,
    )


def run_content(span: Span) -> tuple[Any, Any]:
    """The input and the output of one of our runs."""
    attributes = span.attributes
    return readable(attributes.get(names.RUN_INPUT)), readable(attributes.get(names.RUN_OUTPUT))


def readable(encoded: object) -> Any:
    """A value that was encoded so that a replay can hand it back, for people to read: without the tags of its types."""
    return _untagged(parsed_fully(encoded))


def _untagged(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_untagged(one) for one in tree]
    if not isinstance(tree, dict):
        return tree
    kind = tree.get(_TAG)
    if kind is None:
        return {key: _untagged(one) for key, one in tree.items()}
    if kind == "dict" and isinstance(items := tree.get("items"), list):
        return {
            str(_untagged(one[0])): _untagged(one[1])
            for one in items
            if isinstance(one, list) and len(one) == 2
        }
    return next((_untagged(tree[key]) for key in _HELD if key in tree), tree)


def _told(fields: Mapping[str, Any]) -> bool:
    """Whether the attributes already say all that the bodies could add."""
    return bool(
        fields.get("model")
        and fields.get("response_id")
        and fields.get("usage")
        and fields.get("finish_reasons")
    )


def _fill(fields: dict[str, Any], attributes: Mapping[str, Any], dialect: Dialect) -> None:
    model = fields.get("model") or _requested(attributes)
    # Only the reply is parsed here: a request repeats the whole conversation.
    call = dialect.read({"model": model} if model else {}, _reply(attributes))
    told = {
        "model": call.model,
        "response_model": call.response_model,
        "response_id": call.response_id,
        "usage": call.usage,
        "finish_reasons": _finish(call),
        "error_type": call.error_type,
        "error_message": call.error_message,
    }
    for name, value in told.items():
        if value and not fields.get(name):
            fields[name] = value


def _requested(attributes: Mapping[str, Any]) -> str | None:
    body = as_bytes(attributes.get(names.HTTP_REQUEST_BODY))
    at = body.find(_MODEL_KEY)
    if at >= 0 and body.find(_MODEL_KEY, at + 1) < 0:  # a long conversation need not be searched twice
        body = body[max(at - 1, 0) : at + _MODEL_LIMIT]
    return recognise.request_model(body, text(attributes.get(names.URL_FULL)) or "")


def _finish(call: Call) -> tuple[str, ...]:
    reasons = vocabulary.finish(call.finish_reasons)
    asks = any(
        part.get("type") == "tool_call" for one in call.content.output or () for part in one.get("parts", ())
    )
    return ("tool_call",) if asks and reasons in ((), ("stop",)) else reasons


def _reply(attributes: Mapping[str, Any]) -> Reply | None:
    status = count(attributes.get(names.HTTP_STATUS))
    body = attributes.get(names.HTTP_RESPONSE_BODY)
    if status is None and body is None:
        return None
    return Reply(status or 200, as_bytes(body), _content_type(attributes.get(names.WIRE_RESPONSE_HEADERS)))


def _content_type(headers: object) -> str:
    pairs = lenient.parse(headers) if isinstance(headers, str) else headers
    for pair in lenient.items(pairs):
        if isinstance(pair, list | tuple) and len(pair) == 2 and str(pair[0]).lower() == "content-type":
            return str(pair[1])
    return ""


def _body_hash(attributes: Mapping[str, Any]) -> str | None:
    """The beginning of the SHA-256 of the request as sent; where the body was not kept, the keyed hash that was."""
    body = attributes.get(names.HTTP_REQUEST_BODY)
    if body is None:
        return text(attributes.get(names.REQUEST_HASH))
    raw = as_bytes(body)
    if names.WIRE_REQUEST_BASE in attributes and count(attributes.get(names.HTTP_REQUEST_SIZE)) != len(raw):
        return None  # only the tail is here
    return hashlib.sha256(raw).hexdigest()[:16]


def _text(body: object) -> object:
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else body
