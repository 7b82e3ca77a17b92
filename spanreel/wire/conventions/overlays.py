"""What each emitter says differently from the tables: corrections of the fields of a record.

One function an emitter, for what a key table cannot say. No content is parsed, but small JSON objects may be.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from spanreel.wire import attributes as names
from spanreel.wire.conventions import vocabulary
from spanreel.wire.conventions.generic import BILLABLE, bare_tool_name, finish_in, inclusive
from spanreel.wire.conventions.values import count, decimal, mapping, parsed_fully, text
from spanreel.wire.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spanreel.wire.spans import Span

Fields = dict[str, Any]
_MODEL: Final = re.compile(r'"model(?:_name)?"\s*:\s*"([^"\\]{1,200})"')
_ID: Final = re.compile(r'"id"\s*:\s*"((?:chatcmpl-|resp_|msg_|gen-|cmpl-)[^"\\]{1,200})"')
_CALL_ID: Final = re.compile(r'"(?:tool_call_id|tool_use_id|call_id)"\s*:\s*"([^"\\]{1,200})"')
_STATUS: Final = re.compile(r'"status"\s*:\s*"(completed|incomplete|failed)"')
_ASKS: Final = re.compile(
    r'"(?:function_call|functionCall|tool_calls)"\s*:\s*[\[{]\s*["{]|"type"\s*:\s*"function_call"'
)


def apply(emitter: str, span: Span, fields: Fields) -> None:
    """Correct the fields in place by what we know of the emitter."""
    overlay = _OVERLAYS.get(emitter)
    if overlay is not None:
        overlay(span, fields)
    if fields["kind"] in BILLABLE and not fields.get("provider"):
        fields["provider"] = vocabulary.provider_of_model(fields.get("model") or fields.get("response_model"))


def _openinference(span: Span, fields: Fields) -> None:
    attributes = span.attributes
    answer = attributes.get("output.value")
    answer = answer if isinstance(answer, str) else ""
    if fields["kind"] in BILLABLE:
        _requested_model(fields, attributes.get("llm.invocation_parameters"), attributes.get("input.value"))
        # The answer of the API itself; a framework's dump has ids of its own.
        if not fields.get("response_id") and (found := _ID.search(answer)):
            fields["response_id"] = found[1]
        if fields["kind"] == "llm":
            fields["finish_reasons"] = _finish_of_answer(attributes, fields, answer)
    elif fields["kind"] == "tool" and not fields.get("tool_call_id") and (found := _CALL_ID.search(answer)):
        fields["tool_call_id"] = found[1]
    if fields["agent"] is None or fields["session"] is None:
        told = mapping(attributes.get("metadata"))
        fields["agent"] = fields["agent"] or text(told.get("lc_agent_name"))
        fields["session"] = fields["session"] or text(told.get("thread_id"))
    if fields["kind"] == "agent" and fields["agent"] is None:
        fields["agent"] = text(attributes.get("graph.node.id"))
    _langfuse_counts(attributes, fields)


def _finish_of_answer(attributes: Mapping[str, Any], fields: Fields, answer: str) -> tuple[str, ...]:
    reasons: tuple[str, ...] = fields["finish_reasons"]
    if reasons in ((), ("stop",)):
        if "llm.output_messages.0.message.tool_calls.0.tool_call.function.name" in attributes:
            return ("tool_call",)
        reasons = reasons or finish_in(answer)
        if not reasons and (found := _STATUS.search(answer)):
            reasons = vocabulary.finish((found[1],))
    return reasons


def _requested_model(fields: Fields, *places: object) -> None:
    """The model that was asked for, where the key tables found the one that answered."""
    if fields.get("response_model"):
        return
    for place in places:
        if isinstance(place, str) and (found := _MODEL.search(place)):
            answered = fields.get("model")
            fields["model"] = found[1]
            fields["response_model"] = answered if answered != found[1] else None
            return


def _langfuse(span: Span, fields: Fields) -> None:
    attributes = span.attributes
    _langfuse_counts(attributes, fields)
    if fields["kind"] in BILLABLE:
        # Its OpenAI wrapper keeps only the model that answered.
        fields["response_model"] = fields.get("response_model") or fields.get("model")
        answer = attributes.get("langfuse.observation.output")
        if isinstance(answer, str) and not fields["finish_reasons"]:
            fields["finish_reasons"] = ("tool_call",) if _ASKS.search(answer) else finish_in(answer)
    if attributes.get("langfuse.observation.level") == "ERROR":
        fields["status"] = names.STATUS_ERROR
        fields["error_message"] = text(attributes.get("langfuse.observation.status_message"))


def _langfuse_counts(attributes: Mapping[str, Any], fields: Fields) -> None:
    told = attributes.get("langfuse.observation.usage_details")
    if told is not None and not fields.get("usage"):
        fields["usage"] = _usage(mapping(told), _LANGFUSE_USAGE)
    costs = attributes.get("langfuse.observation.cost_details")
    if costs is not None and not fields.get("cost"):
        fields["cost"] = decimal(mapping(costs).get("total"))


# Keys of a usage object, a dot for what is inside: input, output, cache read, cache write, reasoning.
_LANGFUSE_USAGE: Final = (
    ("input", "input_tokens", "prompt_tokens"),
    ("output", "output_tokens", "completion_tokens"),
    (
        "input_cached_tokens",
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "cache_read_input_tokens",
    ),
    ("cache_creation_input_tokens", "input_cache_creation"),
    (
        "output_reasoning_tokens",
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
    ),
)
_LANGSMITH_USAGE: Final = (
    ("input_tokens",),
    ("output_tokens",),
    ("input_token_details.cache_read",),
    ("input_token_details.cache_creation",),
    ("output_token_details.reasoning",),
)


def _usage(told: Mapping[str, Any], table: tuple[tuple[str, ...], ...]) -> Usage:
    def found(paths: tuple[str, ...]) -> int | None:
        for path in paths:
            outer, dot, inner = path.partition(".")
            value = told.get(path, mapping(told.get(outer)).get(inner) if dot else None)
            if (number := count(value)) is not None:
                return number
        return None

    return inclusive(Usage(*(found(paths) for paths in table)))


def _mlflow(span: Span, fields: Fields) -> None:
    """Every value is JSON, strings too."""
    attributes = span.attributes
    fields["usage"] = _usage(mapping(attributes.get("mlflow.chat.tokenUsage")), _LANGFUSE_USAGE)
    fields["model"] = _unquoted(attributes.get("mlflow.llm.model"))
    fields["provider"] = vocabulary.provider(_unquoted(attributes.get("mlflow.llm.provider")))
    fields["cost"] = decimal(mapping(attributes.get("mlflow.llm.cost")).get("total_cost"))
    for name, keys in (
        ("session", ("mlflow.trace.session", "session.id")),
        ("user", ("mlflow.trace.user", "user.id")),
    ):
        fields[name] = next((found for key in keys if (found := _unquoted(attributes.get(key)))), None)
    if fields["kind"] not in BILLABLE:
        return
    if fields["model"] is None:
        _requested_model(fields, attributes.get("mlflow.spanInputs"))
    answer = attributes.get("mlflow.spanOutputs")
    if isinstance(answer, str):
        if found := _ID.search(answer):
            fields["response_id"] = found[1]
        fields["finish_reasons"] = ("tool_call",) if _ASKS.search(answer) else finish_in(answer)


def _unquoted(value: object) -> str | None:
    return text(parsed_fully(value)) if isinstance(value, str) else None


def _langsmith(span: Span, fields: Fields) -> None:
    attributes = span.attributes
    said = text(attributes.get("langsmith.span.kind"))
    if said:  # its gen_ai.operation.name is a guess
        fields["kind"] = vocabulary.KINDS.get(said.lower(), "span")
    told = _usage(mapping(attributes.get("langsmith.metadata.usage_metadata")), _LANGSMITH_USAGE)
    fields["usage"] = told or fields.get("usage") or Usage()
    if fields["kind"] == "tool":
        fields["tool_name"] = fields.get("tool_name") or span.name
        fields["tool_call_id"] = fields.get("tool_call_id") or text(attributes.get(names.TOOL_CALL_ID))
    answer = attributes.get("gen_ai.completion")
    if fields["kind"] == "llm" and isinstance(answer, str) and not fields.get("finish_reasons"):
        fields["finish_reasons"] = finish_in(answer)


def _adk(span: Span, fields: Fields) -> None:
    if fields["operation"] is None:
        kind = {"call_llm": "llm", "invocation": "workflow"}.get(span.name)
        if kind is None and span.name.startswith("agent_run"):
            kind = "agent"
            fields["agent"] = fields["agent"] or span.name.partition("[")[2].rstrip("]") or None
        fields["kind"] = kind or fields["kind"]
    if span.name == "execute_tool (merged tools)":
        fields["kind"] = "ignore"
    answer = span.attributes.get("gcp.vertex.agent.llm_response")
    if fields["kind"] == "llm" and isinstance(answer, str) and '"function_call"' in answer:
        fields["finish_reasons"] = ("tool_call",)


def _pydantic_ai(span: Span, fields: Fields) -> None:
    attributes = span.attributes
    if attributes.get("logfire.span_type") == "pending_span":
        fields["kind"] = "ignore"
    elif fields["operation"] is None:
        if "agent_name" in attributes or span.name == "agent run":
            fields["kind"] = "agent"
        elif span.name.startswith("running ") and names.TOOL_NAME not in attributes:
            fields["kind"] = "step"


def _vercel_legacy(span: Span, fields: Fields) -> None:
    operation = text(span.attributes.get("ai.operationId"))
    if operation is None:
        return
    leaf = operation.rpartition(".")[2]
    fields["kind"] = vocabulary.VERCEL_ENDINGS.get(leaf) or vocabulary.VERCEL.get(operation, "span")
    fields["operation"] = fields["operation"] or operation
    if fields["kind"] == "tool":
        fields["tool_name"] = text(span.attributes.get("ai.toolCall.name")) or span.name
        fields["tool_call_id"] = text(span.attributes.get("ai.toolCall.id"))
    if fields["kind"] == "llm":
        fields["usage"] = fields.get("usage") or Usage()
        fields["finish_reasons"] = vocabulary.finish(
            (found,) if (found := text(span.attributes.get("ai.response.finishReason"))) else ()
        )


def _claude_code(span: Span, fields: Fields) -> None:
    attributes = span.attributes
    said = text(attributes.get("span.type")) or span.name.removeprefix("claude_code.")
    fields["kind"] = vocabulary.CLAUDE_CODE.get(said, fields["kind"])
    usage: Usage = fields.get("usage") or Usage()
    if usage.input is not None:  # counts only what the cache did not cover
        whole = (
            (count(attributes.get("input_tokens")) or 0) + (usage.cache_read or 0) + (usage.cache_write or 0)
        )
        fields["usage"] = Usage(whole, usage.output, usage.cache_read, usage.cache_write, usage.reasoning)
    if fields["kind"] == "llm":
        fields["provider"] = "anthropic"
        fields["response_id"] = fields.get("response_id") or text(attributes.get("request_id"))
        fields["finish_reasons"] = vocabulary.finish(
            (found,) if (found := text(attributes.get("stop_reason"))) else ()
        )
    if fields["kind"] == "tool":
        fields["tool_name"] = text(attributes.get("tool_name")) or bare_tool_name(span.name)
        fields["tool_call_id"] = text(attributes.get("gen_ai.tool.call.id")) or text(
            attributes.get("tool_use_id")
        )


def _litellm(span: Span, fields: Fields) -> None:
    if span.name == "raw_gen_ai_request":
        fields["kind"] = "raw"
    elif fields["kind"] == "llm":
        told = mapping(span.attributes.get("metadata.usage_object"))
        if told:
            full = _usage(told, _LANGFUSE_USAGE)
            fields["usage"] = full or fields["usage"]
        if "gen_ai.completion.0.function_call.name" in span.attributes:
            fields["finish_reasons"] = ("tool_call",)


def _openllmetry(span: Span, fields: Fields) -> None:
    if fields["kind"] == "tool":
        answer = span.attributes.get(names.TOOL_CALL_RESULT) or span.attributes.get("traceloop.entity.output")
        if not fields["tool_call_id"] and isinstance(answer, str) and (found := _CALL_ID.search(answer)):
            fields["tool_call_id"] = found[1]
    elif fields["kind"] in ("agent", "workflow"):
        fields["agent"] = fields["agent"] or text(span.attributes.get("traceloop.entity.name"))


def _anthropic_native(span: Span, fields: Fields) -> None:
    if "count_tokens" in span.name:
        fields["kind"] = "span"


def _mcp(span: Span, fields: Fields) -> None:
    told = span.name.partition("tools/call ")[2]
    if told and fields["kind"] == "span":
        fields |= {"kind": "tool", "tool_name": told, "tool_call_id": None}


def _crewai_telemetry(span: Span, fields: Fields) -> None:
    """Product telemetry: it says that a task ran, not what was called."""
    fields["kind"] = "step" if span.name == "Task Execution" else "span"


_OVERLAYS: Final[dict[str, Callable[[Span, Fields], None]]] = {
    "openinference": _openinference,
    "langfuse": _langfuse,
    "mlflow": _mlflow,
    "langsmith": _langsmith,
    "google-adk": _adk,
    "pydantic-ai": _pydantic_ai,
    "logfire": _pydantic_ai,
    "vercel-legacy": _vercel_legacy,
    "claude-code": _claude_code,
    "litellm": _litellm,
    "openllmetry": _openllmetry,
    "anthropic-native": _anthropic_native,
    "mcp": _mcp,
    "crewai-telemetry": _crewai_telemetry,
}
