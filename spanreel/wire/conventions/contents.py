"""The content of a span: what went in, what came out, which tools there were; from attributes, events and log records.

Looked for in this order: bodies of our own exchanges, span attributes, flattened attributes, whole requests and
answers, span events (log records are events by the time a span gets here).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from spanreel.wire import attributes as names
from spanreel.wire import messages
from spanreel.wire.conventions import dialogue, events, flat, generic, keys, own, parts
from spanreel.wire.conventions.detect import emitter
from spanreel.wire.conventions.history import History
from spanreel.wire.conventions.overlays import apply
from spanreel.wire.conventions.values import mapping, parsed, parsed_fully, plain, text
from spanreel.wire.pieces import held
from spanreel.wire.records import Content, Message, Part, Record

if TYPE_CHECKING:
    from spanreel.wire.spans import Span

_PARAMETER_PREFIX: Final = "gen_ai.request."
_INVOCATION: Final = {
    "temperature": names.REQUEST_TEMPERATURE,
    "top_p": names.REQUEST_TOP_P,
    "top_k": names.REQUEST_TOP_K,
    "max_tokens": names.REQUEST_MAX_TOKENS,
    "max_output_tokens": names.REQUEST_MAX_TOKENS,
    "max_completion_tokens": names.REQUEST_MAX_TOKENS,
    "seed": names.REQUEST_SEED,
    "stop": names.REQUEST_STOP_SEQUENCES,
    "stream": names.REQUEST_STREAM,
    "frequency_penalty": names.REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": names.REQUEST_PRESENCE_PENALTY,
}
_MODELS: Final = frozenset({"llm", "llm_fetch", "embedding"})
_RUNS: Final = frozenset({"agent", "workflow", "chain", "step", "agent_create", "plan"})


def content(span: Span, record: Record | None = None, history: History | None = None) -> Content:
    """What the span says in full.

    Args:
        span: the span, with its request body whole (bases rebuilt).
        record: what `read` made of it, if that is at hand.
        history: what was read of other spans of the run; with it, a repeated history costs only what is new in it.
            The contents then share messages, which must not be changed. Of our own exchanges, whole requests and
            answers are left out where it does not want them.
    """
    history = history or History()
    who = record.emitter if record else emitter(span.scope.name, span.attributes)
    kind = record.kind if record else _kind(span, who)
    if who == "spanreel" and (sent := own.content(span, history)) is not None:
        return _settled(sent, span)
    if kind == "tool":
        return _tool(span, who)
    if kind in _MODELS:
        return _model(span, kind, history)
    if kind in _RUNS:
        return _run(span, who)
    return Content(arguments=_value(span, keys.ARGUMENTS), result=_value(span, keys.RESULT))


def union(contents: Iterable[Content]) -> Content:
    """The contents of several spans of one call as one: the first that has a field gives it."""
    told: dict[str, Any] = {}
    for told_by in contents:
        for one in fields(Content):
            value = getattr(told_by, one.name)
            if value is not None and value != {} and one.name not in told:
                told[one.name] = value
    return Content(**told)


def _kind(span: Span, who: str) -> str:
    made = generic.fields_of(span, who)
    if who == "spanreel":
        own.add(span, made)
    apply(who, span, made)
    return str(made["kind"])


def _model(span: Span, kind: str, history: History) -> Content:
    attributes = span.attributes
    happened = events.content(span.events)
    system = _system(attributes)
    told, said = _input(attributes, history)
    if said is None:
        said = happened.input
    output = _output(attributes) if kind != "embedding" else None
    made = Content(
        system=system or told or happened.system,
        input=said,
        output=_calling(output if output is not None else happened.output),
        tools=_tools(attributes) or happened.tools,
        parameters=_parameters(attributes),
        raw_request=_raw(attributes, keys.RAW_REQUEST),
        raw_response=_raw(attributes, keys.RAW_RESPONSE),
    )
    return _settled(made, span)


def _calling(output: list[Message] | None) -> list[Message] | None:
    """The output, where a stop that asks for a tool is called what it is."""
    for one in output or ():
        if one.get("finish_reason") == "stop" and any(
            part.get("type") == "tool_call" for part in one["parts"]
        ):
            one["finish_reason"] = "tool_call"
    return output


def _settled(made: Content, span: Span) -> Content:
    """Leading system messages moved to where system instructions belong."""
    if made.system is None and made.input:
        system, rest = dialogue.split_system(made.input)
        if system is not None:
            return union([Content(system=system, input=rest), made])
    return made


def _tool(span: Span, who: str) -> Content:
    read = parsed_fully if who == "spanreel" else parsed
    happened = events.tool(span.events)
    given = _value(span, keys.ARGUMENTS, read)
    got = _value(span, keys.RESULT, read)
    if got is None and names.TOOL_RESULT in span.attributes:
        got = own.readable(span.attributes[names.TOOL_RESULT])
    if who == "spanreel":
        return Content(arguments=given, result=got)
    return Content(
        arguments=_bare_arguments(given if given is not None else happened[0]),
        result=parts.result(got if got is not None else happened[1]),
    )


def _run(span: Span, who: str) -> Content:
    attributes = span.attributes
    happened = events.content(span.events)
    said = attributes.get(names.INPUT_MESSAGES)
    answered = attributes.get(names.OUTPUT_MESSAGES)
    whole = attributes.get("pydantic_ai.all_messages") or attributes.get("all_messages_events")
    told, heard = dialogue.conversation(said if said is not None else whole)
    given, got = own.run_content(span) if who == "spanreel" else (None, None)
    return Content(
        system=_system(attributes) or told or happened.system,
        input=heard or happened.input,
        output=(dialogue.answer(answered) if answered is not None else None) or happened.output,
        tools=_tools(attributes) or happened.tools,
        arguments=_value(span, _RUN_INPUT) if given is None else given,
        result=_value(span, _RUN_OUTPUT) if got is None else got,
    )


_RUN_INPUT: Final = (
    "langfuse.observation.input",
    "mlflow.spanInputs",
    "input.value",
    "traceloop.entity.input",
    "ai.prompt",
    "gen_ai.prompt",
    "lmnr.span.input",
    "user_prompt",
)
_RUN_OUTPUT: Final = (
    "final_result",
    "langfuse.observation.output",
    "mlflow.spanOutputs",
    "output.value",
    "traceloop.entity.output",
    "ai.response.text",
    "gen_ai.completion",
    "lmnr.span.output",
)


def _system(attributes: Mapping[str, Any]) -> list[Part] | None:
    told = attributes.get(names.SYSTEM_INSTRUCTIONS)
    return dialogue.blocks(told) or None if told else None


def _input(attributes: Mapping[str, Any], history: History) -> tuple[list[Part] | None, list[Message] | None]:
    if names.INPUT_MESSAGES not in attributes:
        for prefix in ("llm.input_messages.", "gen_ai.prompt."):
            if spread := flat.listed(attributes, prefix):
                return dialogue.split_system([dialogue.message(one) for one in spread])
    for key in keys.INPUT_MESSAGES:
        value = held(attributes, key)
        if value not in (None, "", (), [], {}):
            system, found = dialogue.conversation(value, history)
            if found or system:
                return system, found
    return None, None


def _output(attributes: Mapping[str, Any]) -> list[Message] | None:
    if names.OUTPUT_MESSAGES not in attributes:
        for prefix in ("llm.output_messages.", "gen_ai.completion."):
            if spread := flat.listed(attributes, prefix):
                return [dialogue.message(one, "assistant") for one in spread]
        if (found := _vercel_output(attributes)) is not None:
            return found
    for key in keys.OUTPUT_MESSAGES:
        value = attributes.get(key)
        if value not in (None, "", (), [], {}) and (found := dialogue.answer(value)):
            return found
    return None


def _vercel_output(attributes: Mapping[str, Any]) -> list[Message] | None:
    said = [
        *(messages.reasoning(one) for key in ("reasoning",) if (one := _answered(attributes, key))),
        *(messages.text(one) for key in ("text", "object") if (one := _answered(attributes, key))),
    ]
    calls = parsed(attributes.get("ai.response.toolCalls") or attributes.get("ai.result.toolCalls"))
    said += [parts.call(one) for one in calls] if isinstance(calls, list) else []
    return [messages.message("assistant", said)] if said else None


def _answered(attributes: Mapping[str, Any], key: str) -> str | None:
    return text(attributes.get(f"ai.response.{key}")) or text(attributes.get(f"ai.result.{key}"))


def _tools(attributes: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    for key in keys.TOOLS:
        if found := _definitions(parsed(attributes.get(key))):
            return found
    spread = [
        parsed(mapping(mapping(one).get("tool")).get("json_schema"))
        for one in flat.listed(attributes, "llm.tools.")
    ]
    if found := _definitions(spread or flat.listed(attributes, "llm.request.functions.")):
        return found
    request = mapping(attributes.get("model_request_parameters"))
    if found := _definitions(request.get("function_tools")):
        return found
    for key in keys.RAW_REQUEST:
        held = mapping(attributes.get(key))
        if found := _definitions(held.get("tools") or mapping(held.get("config")).get("tools")):
            return found
    return None


def _definitions(value: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in value if isinstance(value, list | tuple) else ():
        tool = mapping(one)
        declared = tool.get("function_declarations") or tool.get("functionDeclarations")
        if isinstance(declared, list):
            found += _definitions(declared)
        elif made := _definition(tool):
            found.append(made)
    return found


def _definition(tool: Mapping[str, Any]) -> dict[str, Any]:
    inner = mapping(tool.get("function")) or tool
    name = text(inner.get("name"))
    if name is None:
        return {}
    kind = tool.get("type")
    made: dict[str, Any] = {"type": kind if isinstance(kind, str) else "function", "name": name}
    if described := text(inner.get("description")):
        made["description"] = described
    for key in ("parameters", "inputSchema", "input_schema", "parameters_json_schema"):
        schema = parsed(inner.get(key))
        if isinstance(schema, Mapping):
            made["parameters"] = schema["json"] if isinstance(schema.get("json"), Mapping) else schema
            break
    return made


def _parameters(attributes: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in keys.PARAMETERS:
        for name, value in mapping(attributes.get(key)).items():
            if name in _INVOCATION and value is not None:
                found[_INVOCATION[name]] = plain(value)
    for key in attributes:
        if key.startswith(_PARAMETER_PREFIX) and key != names.REQUEST_MODEL:
            found[key] = plain(attributes[key])
    return found


def _raw(attributes: Mapping[str, Any], table: tuple[str, ...]) -> Any:
    """A whole request or answer, if the emitter carried one as a JSON object."""
    return next((told for key in table if (told := mapping(attributes.get(key)))), None)


def _value(span: Span, table: tuple[str, ...], read: Any = parsed) -> Any:
    for key in table:
        value = span.attributes.get(key)
        if value is not None and value not in ("", "<not specified>", "<elided>"):
            return read(value)
    return None


def _bare_arguments(value: Any) -> Any:
    """Arguments without the wrapping of LangChain's callback and of Langfuse's decorator."""
    if not isinstance(value, Mapping):
        return value
    if isinstance(inner := value.get("input_str"), str) and len(value) <= 2:
        return parsed(inner)
    if set(value) == {"args", "kwargs"} and not value["args"]:
        return value["kwargs"]
    return dict(value)
