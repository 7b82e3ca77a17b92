"""Which replay a run allows, computed from what its spans carry. Quiet.

exact: every effect can be served again as it was: bytes of each model call, typed results of each tool call, and what
starts the run is known. semantic: each model call can be sent again and its answer compared, though no bytes were kept.
view-only: what is needed for that was not captured; the attribute is named as its emitter spells it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from spanreel.replay import conversation
from spanreel.replay.answer import lacks_body
from spanreel.replay.calls import RecordedCall, calls_of
from spanreel.replay.timeline import Frozen, GradeWord
from spanreel.wire import attributes as names
from spanreel.wire import recognise

if TYPE_CHECKING:
    from spanreel.wire.grouping import Run
    from spanreel.wire.spans import Span


class Missing(Frozen):
    """What keeps a call from a better grade.

    Attributes:
        step: the step number; None for the root of the run.
        attribute: as its emitter spells it. switch: what makes the emitter write it, where that is known.
    """

    step: int | None
    span_id: str
    attribute: str
    why: str
    switch: str | None = None


class CallGrade(Frozen):
    """How one step can be replayed, and what it lacks for the next better grade."""

    step: int
    kind: str
    name: str
    grade: GradeWord
    missing: list[Missing] = Field(default_factory=list[Missing])


class Grade(Frozen):
    """How a run can be replayed, and what it lacks for the next better grade.

    A run is as good as the worst of its calls of language models; for `exact` every step counts, and the root.
    """

    schema_: Literal["spanreel.grade.v1"] = Field(default="spanreel.grade.v1", alias="schema")
    run_id: str
    grade: GradeWord
    missing: list[Missing] = Field(default_factory=list[Missing])
    calls: list[CallGrade] = Field(default_factory=list[CallGrade])

    @property
    def line(self) -> str:
        """On one line: `semantic (no http.request.body.content)`."""
        if not self.missing:
            return self.grade if self.calls else f"{self.grade} (no model or tool call)"
        first = self.missing[0]
        where = f"step {first.step} has " if self.grade == "view-only" and first.step else ""
        switch = f"; {first.switch}" if self.grade == "view-only" and first.switch else ""
        return f"{self.grade} ({where}no {first.attribute}{switch})"


@dataclass(frozen=True, slots=True)
class Spelling:
    """How an emitter names content, and the setting that makes it write it."""

    input: str = names.INPUT_MESSAGES
    output: str = names.OUTPUT_MESSAGES
    tools: str = names.TOOL_DEFINITIONS
    result: str = names.TOOL_CALL_RESULT
    model: str = names.REQUEST_MODEL
    switch: str | None = None
    switch_output: str | None = None

    @property
    def said(self) -> str | None:
        """What makes it write answers."""
        return self.switch_output or self.switch


_CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY"
_CONVENTION: Final = Spelling(switch=_CAPTURE)
SPELLINGS: Final[dict[str, Spelling]] = {
    "spanreel": Spelling(
        input=names.HTTP_REQUEST_BODY, output=names.HTTP_RESPONSE_BODY, result=names.TOOL_RESULT, switch="spanreel.instrument(capture='full')"
    ),
    "otel-genai": _CONVENTION,
    "semconv": _CONVENTION,
    "google-adk": _CONVENTION,
    "anthropic-native": Spelling(switch="ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE=content"),
    "openinference": Spelling(
        "llm.input_messages", "llm.output_messages", "llm.tools", "output.value", "llm.model_name",
        "OPENINFERENCE_HIDE_INPUTS=false", "OPENINFERENCE_HIDE_OUTPUTS=false",
    ),
    "openllmetry": Spelling(switch="TRACELOOP_TRACE_CONTENT=true"),
    "pydantic-ai": Spelling(switch="InstrumentationSettings(include_content=True)"),
    "ms-agent-framework": Spelling(switch="ENABLE_SENSITIVE_DATA=true"),
    "semantic-kernel": Spelling(switch="SEMANTICKERNEL_EXPERIMENTAL_GENAI_ENABLE_OTEL_DIAGNOSTICS_SENSITIVE=true"),
    "strands": Spelling(switch="OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental"),
    "vercel-genai": Spelling(switch="recordInputs: true", switch_output="recordOutputs: true"),
    "vercel-legacy": Spelling(
        "ai.prompt.messages", "ai.response.text", "ai.prompt.tools", "ai.toolCall.result", "ai.model.id", "recordInputs: true", "recordOutputs: true"
    ),
    "langfuse": Spelling(
        "langfuse.observation.input", "langfuse.observation.output", "langfuse.observation.input", "langfuse.observation.output",
        "langfuse.observation.model.name",
    ),
    "mlflow": Spelling("mlflow.spanInputs", "mlflow.spanOutputs", "mlflow.chat.tools", "mlflow.spanOutputs", "mlflow.spanInputs"),
    "langsmith": Spelling("gen_ai.prompt", "gen_ai.completion", result="gen_ai.completion"),
    "claude-code": Spelling(
        "user_prompt", "response.model_output", result="tool_response", switch="OTEL_LOG_RAW_API_BODIES=1 OTEL_LOG_USER_PROMPTS=1",
        switch_output="OTEL_LOG_RAW_API_BODIES=1 OTEL_LOG_ASSISTANT_RESPONSES=1",
    ),
}  # fmt: skip
"""Emitter -> its own names of content; those of the convention where it is not listed."""
_PLAIN: Final = Spelling()
_BYTES_SWITCH: Final = "spanreel.instrument()"


def grade(run: Run, spans: Sequence[Span]) -> Grade:
    """Which replay a run allows.

    Args:
        run: the run, as `grouping.group` found it.
        spans: those of its trace; others do no harm.
    """
    calls = calls_of(run, spans)
    graded = [grade_call(call) for call in calls]
    if not calls:
        return Grade(run_id=run.run_id, grade="view-only")
    known = {span.span_id: span for span in spans if span.trace_id == run.trace_id}
    held = list(_root(run, known.get(run.root.span_id)))
    if not held and all(one.grade == "exact" for one in graded):
        return Grade(run_id=run.run_id, grade="exact", calls=graded)
    asked = [one for one in graded if one.kind == "llm"] or [
        one for one, call in zip(graded, calls, strict=True) if call.of_model
    ]
    word: GradeWord = (
        "view-only" if not asked or any(one.grade == "view-only" for one in asked) else "semantic"
    )
    if word == "view-only":
        worst = [one for one in asked if one.grade == word] or graded
        lacking = [missing for one in worst for missing in one.missing] or held
    else:
        lacking = [*(missing for one in graded for missing in one.missing), *held]
    return Grade(run_id=run.run_id, grade=word, missing=lacking, calls=graded)


def grade_call(call: RecordedCall) -> CallGrade:
    """How one step can be replayed."""
    judge = _model if call.of_model else _tool
    word, missing = judge(call)
    record = call.record
    name = record.tool_name or record.name
    return CallGrade(step=call.number, kind=record.kind, name=name, grade=word, missing=missing)


def spelling(call: RecordedCall) -> Spelling:
    """The names that the emitter of a call uses."""
    return SPELLINGS.get(call.record.emitter, _PLAIN)


def _model(call: RecordedCall) -> tuple[GradeWord, list[Missing]]:
    bytes_lacking = list(_bytes(call))
    if not bytes_lacking:
        return "exact", []
    lacking = list(_content(call))
    return ("view-only", lacking) if lacking else ("semantic", bytes_lacking)


def _bytes(call: RecordedCall) -> Iterator[Missing]:
    """What the exchanges of a call lack to be served again."""
    if not call.attempts:
        yield _missing(
            call,
            names.HTTP_REQUEST_BODY,
            f"{call.record.emitter or 'its emitter'} keeps no bytes",
            _BYTES_SWITCH,
        )
    for span in call.attempts:
        told = span.attributes
        why = str(told.get(names.INCOMPLETE) or _level(span) or "it was not kept")
        if recognise.by_name(str(told.get(names.WIRE_DIALECT))) is None:
            yield _missing(
                call, names.WIRE_DIALECT, f"its dialect {told.get(names.WIRE_DIALECT)} is not known", None
            )
        elif told.get(names.HTTP_REQUEST_BODY) is None or names.WIRE_REQUEST_BASE in told:
            yield _missing(call, names.HTTP_REQUEST_BODY, why, SPELLINGS["spanreel"].switch)
        elif lacks_body(span):
            yield _missing(call, names.HTTP_RESPONSE_BODY, why, SPELLINGS["spanreel"].switch)
        elif told.get(names.OPEN) and not span.end_ns:
            yield _missing(call, names.HTTP_RESPONSE_BODY, "the call did not end", None)


def _content(call: RecordedCall) -> Iterator[Missing]:
    """What a call lacks to be sent again from its messages, and to have its answer compared."""
    content, spelt = call.content, spelling(call)
    why = "its emitter did not write it"
    if level := _below_full(call):
        yield _missing(call, spelt.input, level, spelt.switch)
        return
    if call.record.model is None and call.record.response_model is None:
        yield _missing(call, spelt.model, "it does not say which model was asked", None)
    if not content.input and not content.system and not _whole(content.raw_request):
        yield _missing(call, spelt.input, why, spelt.switch if call.record.kind == "llm" else None)
    elif call.record.kind == "llm" and _spread_thin(call):
        yield _missing(
            call, spelt.input, "attributes of the span were dropped", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=10000"
        )
    if call.failed:
        return
    if call.record.kind != "llm":
        if content.raw_response is None:
            yield _missing(call, spelt.output, "the vectors were not kept", None)
    elif content.output is None:
        yield _missing(call, spelt.output, why, spelt.said)
    elif any(conversation.parts(content.output, "tool_call")):
        yield from _tool_calls(call)


def _tool_calls(call: RecordedCall) -> Iterator[Missing]:
    """A model that may not ask for the tool it asked for would give another answer for that alone."""
    spelt = spelling(call)
    if any("arguments" not in part for part in conversation.parts(call.content.output, "tool_call")):
        yield _missing(call, spelt.output, "the tool calls in it have no arguments", spelt.said)
    if not call.content.tools:
        yield _missing(
            call,
            spelt.tools,
            "the answer asks for a tool, and the tools it could ask for were not kept",
            None,
        )


def _tool(call: RecordedCall) -> tuple[GradeWord, list[Missing]]:
    ours = [
        span for span in call.spans if span.scope.name == names.SCOPE and names.TOOL_NAME in span.attributes
    ]
    typed = any(
        span.attributes.get(names.TOOL_RESULT) is not None
        and span.attributes.get(names.TOOL_FIDELITY) != "opaque"
        for span in ours
    )
    if typed:
        return "exact", []
    spelt = spelling(call)
    level = _below_full(call)
    if level or (call.content.result is None and not call.failed):
        return "view-only", [
            _missing(call, spelt.result, level or "its emitter did not write it", spelt.said)
        ]
    why = (
        "its value could not be kept"
        if ours
        else f"{call.record.emitter or 'its emitter'} keeps results as text"
    )
    return "semantic", [_missing(call, names.TOOL_RESULT, why, None if ours else _BYTES_SWITCH)]


def _root(run: Run, span: Span | None) -> Iterator[Missing]:
    """What the root lacks to start the run again."""
    told = span.attributes if span is not None else {}
    entry = told.get(names.RUN_ENTRY)
    why, switch = "nothing says what started the run", "name it: spanreel replay RUN -- CMD"
    if entry not in ("function", "process"):
        yield Missing(step=None, span_id=run.root.span_id, attribute=names.RUN_ENTRY, why=why, switch=switch)
    elif entry == "function" and names.RUN_INPUT not in told and not told.get(names.PROCESS_ARGS):
        yield Missing(
            step=None,
            span_id=run.root.span_id,
            attribute=names.RUN_INPUT,
            why="its arguments were not kept",
            switch=switch,
        )
    elif entry == "process" and not told.get(names.PROCESS_ARGS):
        yield Missing(
            step=None, span_id=run.root.span_id, attribute=names.PROCESS_ARGS, why=why, switch=switch
        )


def _missing(call: RecordedCall, attribute: str, why: str, switch: str | None) -> Missing:
    return Missing(step=call.number, span_id=call.record.span_id, attribute=attribute, why=why, switch=switch)


def _below_full(call: RecordedCall) -> str | None:
    """Why there is no content, where we recorded the call and were told to keep none: what stands there is a hash."""
    return next((said for span in call.spans if (said := _level(span))), None)


def _level(span: Span) -> str | None:
    level = span.attributes.get(names.CAPTURE_LEVEL)
    return f"it was recorded with capture={level!r}" if level in ("hashes", "metadata", "none") else None


def _whole(raw: object) -> bool:
    return isinstance(raw, dict) and any(key in raw for key in ("messages", "input", "contents", "prompt"))


def _spread_thin(call: RecordedCall) -> bool:
    """Whether the messages are spread over many attributes, of which some were dropped."""
    return any(
        span.dropped_attributes and any(key.startswith(("llm.input_messages.", "gen_ai.prompt.")) for key in span.attributes)
        and "input.value" not in span.attributes
        for span in call.spans
    )  # fmt: skip
