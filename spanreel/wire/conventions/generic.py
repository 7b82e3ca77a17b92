"""One span as a record, by the ordered key tables: right for every emitter that follows the conventions.

It reads attributes and event names, and looks into content only with a pattern; it parses no messages.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from spanreel.wire import attributes as names
from spanreel.wire.conventions import keys, vocabulary
from spanreel.wire.conventions.values import count, decimal, strings, text
from spanreel.wire.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.wire.spans import Event, Span

BILLABLE: Final = frozenset({"llm", "embedding", "rerank"})
_CALLS_TOOL: Final = re.compile(r'"type"\s*:\s*"(?:tool_call|tool_use|tool-call)"')
_FINISH: Final = re.compile(r'"(?:finish_reason|finishReason|stop_reason)"\s*:\s*"([A-Za-z_-]+)"')
# Where a span says its kind, after `gen_ai.operation.name`.
_KINDS: Final = (
    ("openinference.span.kind", vocabulary.KINDS),
    ("langfuse.observation.type", vocabulary.KINDS),
    ("mlflow.spanType", vocabulary.KINDS),
    ("traceloop.span.kind", vocabulary.KINDS),
    ("llm.request.type", vocabulary.KINDS),
    ("lmnr.span.type", vocabulary.KINDS),
    (
        "genkit:metadata:subtype",
        {"model": "llm", "tool": "tool", "embedder": "embedding", "flow": "workflow"},
    ),
)


def fields_of(span: Span, emitter: str) -> dict[str, Any]:
    """What every emitter's spans have in common, as keyword arguments of a `Record`."""
    attributes = span.attributes
    operation = text(attributes.get(names.OPERATION))
    usage = usage_of(attributes)
    kind = vocabulary.kind_of_operation(operation) or _other_kind(attributes, usage)
    fields: dict[str, Any] = {
        "kind": kind,
        "emitter": emitter,
        "open": not span.end_ns or attributes.get(names.OPEN) is True,
        "operation": operation,
        "status": span.status,
        "session": _text(attributes, keys.SESSION),
        "user": _text(attributes, keys.USER),
        "agent": _text(attributes, keys.AGENT),
        "run_id": text(attributes.get(names.RUN_ID)),
        "source": text(attributes.get(names.EFFECT_SOURCE)),
        "source_run_id": text(attributes.get(names.SOURCE_RUN_ID)),
        "http_status": count(attributes.get(names.HTTP_STATUS)),
        "incomplete": text(attributes.get(names.INCOMPLETE)),
    }
    if kind != "span" or usage:
        fields |= _model_fields(attributes)
        fields["usage"] = usage
    if kind == "tool":
        fields["tool_name"] = _text(attributes, keys.TOOL_NAME) or bare_tool_name(span.name)
        fields["tool_call_id"] = _text(attributes, keys.TOOL_CALL_ID)
        fields["safety"] = text(attributes.get(names.TOOL_SAFETY))
    if span.dropped_attributes and kind != "span" and not fields["incomplete"]:
        fields["incomplete"] = f"{span.dropped_attributes} attributes were dropped by the sender"
    if kind in BILLABLE:
        fields["finish_reasons"] = finish_of(attributes, span.events)
    _read_error(span, fields)
    return fields


def _model_fields(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "provider": next(
            (known for key in keys.PROVIDER if (known := vocabulary.provider(text(attributes.get(key))))),
            None,
        ),
        "model": _text(attributes, keys.MODEL),
        "response_model": _text(attributes, keys.RESPONSE_MODEL),
        "response_id": _text(attributes, keys.RESPONSE_ID),
        "cost": next((cost for key in keys.COST if (cost := decimal(attributes.get(key))) is not None), None),
    }


def usage_of(attributes: Mapping[str, Any]) -> Usage:
    """Token counts with our meaning: input includes what the cache read and wrote, output includes reasoning."""
    return inclusive(
        Usage(
            _count(attributes, keys.INPUT),
            _count(attributes, keys.OUTPUT),
            _count(attributes, keys.CACHE_READ),
            _count(attributes, keys.CACHE_WRITE),
            _count(attributes, keys.REASONING),
        )
    )


def inclusive(usage: Usage) -> Usage:
    """The same counts, where the parts turn out greater than the whole added to it: they had been left out."""
    cached = (usage.cache_read or 0) + (usage.cache_write or 0)
    whole, spoken = usage.input, usage.output
    if whole is not None and cached > whole:
        whole += cached
    if spoken is not None and (usage.reasoning or 0) > spoken:
        spoken += usage.reasoning or 0
    if whole == usage.input and spoken == usage.output:
        return usage
    return Usage(whole, spoken, usage.cache_read, usage.cache_write, usage.reasoning)


def finish_of(attributes: Mapping[str, Any], events: tuple[Event, ...] = ()) -> tuple[str, ...]:
    """Why the model stopped, in our words; a stop that asks for a tool is a `tool_call`."""
    reasons: tuple[str, ...] = ()
    for key in keys.FINISH:
        if key in attributes and (reasons := vocabulary.finish(strings(attributes[key]))):
            break
    if reasons and reasons != ("stop",):
        return reasons
    said = attributes.get(names.OUTPUT_MESSAGES) or attributes.get("langfuse.observation.output")
    if said is None:
        said = next((said for one in events if (said := one.attributes.get(names.OUTPUT_MESSAGES))), None)
    if isinstance(said, str):
        return finish_in(said, reasons)
    return reasons


def finish_in(said: str, reasons: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The finish reason that output messages, as JSON text, carry or imply."""
    if _CALLS_TOOL.search(said):
        return ("tool_call",)
    if not reasons and (found := _FINISH.search(said)):
        return vocabulary.finish((found[1],))
    return reasons


def bare_tool_name(name: str) -> str:
    """A tool's name out of a span's name."""
    for prefix in ("execute_tool ", "running tool: ", "tools/call "):
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name.removesuffix(".tool")


def _other_kind(attributes: Mapping[str, Any], usage: Usage) -> str:
    if names.WIRE_DIALECT in attributes:
        return "llm"  # until the dialect says otherwise
    if names.APPROVAL_ID in attributes:
        return "approval"
    for key, table in _KINDS:
        said = attributes.get(key)
        if isinstance(said, str) and (kind := table.get(said.strip('"').lower())):
            return kind
    if names.TOOL_NAME in attributes:
        return "tool"
    if usage and (names.REQUEST_MODEL in attributes or names.RESPONSE_MODEL in attributes):
        return "llm"
    return "span"


def _read_error(span: Span, fields: dict[str, Any]) -> None:
    attributes = span.attributes
    told = text(attributes.get(names.ERROR_TYPE))
    if span.status != names.STATUS_ERROR and not told:
        return
    happened: Mapping[str, Any] = next((one.attributes for one in span.events if one.name == "exception"), {})
    fields["error_type"] = (
        told or text(happened.get(names.EXCEPTION_TYPE)) or _text(attributes, keys.ERROR_TYPE)
    )
    fields["error_message"] = (
        span.status_message
        or text(happened.get(names.EXCEPTION_MESSAGE))
        or text(attributes.get(names.EXCEPTION_MESSAGE))
        or text(attributes.get("error.message"))
        or text(attributes.get("error"))
    )


def _text(attributes: Mapping[str, Any], table: tuple[str, ...]) -> str | None:
    for key in table:
        if key in attributes and (found := text(attributes[key])):
            return found
    return None


def _count(attributes: Mapping[str, Any], table: tuple[str, ...]) -> int | None:
    for key in table:
        if key in attributes and (found := count(attributes[key])) is not None:
            return found
    return None
