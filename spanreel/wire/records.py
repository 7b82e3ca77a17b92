"""What one span says in GenAI words, whoever emitted it.

`Record` is light: every field is a hot column of the store, so runs can be listed and steps grouped
without touching content. `Content` is the heavy rest, read when somebody looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from spanreel.wire.usage import Usage

Part: TypeAlias = dict[str, Any]
"""A GenAI message part: {"type": "text", "content": …}, {"type": "tool_call", "id", "name", "arguments"}, …"""
Message: TypeAlias = dict[str, Any]
"""A GenAI message: {"role": …, "parts": [Part, …], "finish_reason"?: …}"""


@dataclass(frozen=True, slots=True)
class Record:
    """One span, interpreted.

    kind: llm · embedding · tool · agent · workflow · step · chain · retrieval · rerank · memory · plan · guardrail ·
        evaluator · prompt · approval · agent_create · llm_fetch · raw · ignore · playbook (a body, or a decision about one:
        of no run) · span (nothing GenAI).
    exchange: the span is one HTTP attempt that a spanreel tap captured (bytes are there).
    usage: inclusive counts of this call; of agents and workflows it is an aggregate and must not be summed.
    source: recorded | live | stub | deny for spans of an execution; None for an ordinary recording.
    segment: of the root of a resumed run: 2, 3, …; then `source_run_id` is the run that goes on; 0 else.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    start_ns: int
    end_ns: int
    kind: str = "span"
    emitter: str = ""
    open: bool = False
    exchange: bool = False
    operation: str | None = None
    provider: str | None = None
    model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    usage: Usage = field(default_factory=Usage)
    finish_reasons: tuple[str, ...] = ()
    tool_name: str | None = None
    tool_call_id: str | None = None
    safety: str | None = None
    agent: str | None = None
    session: str | None = None
    user: str | None = None
    run_id: str | None = None
    status: int = 0
    error_type: str | None = None
    error_message: str | None = None
    cost: str | None = None
    dialect: str | None = None
    outcome: str | None = None
    http_status: int | None = None
    resend: int = 0
    body_hash: str | None = None
    lane: str | None = None
    source: str | None = None
    source_run_id: str | None = None
    incomplete: str | None = None
    segment: int = 0


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a span: GenAI messages and parts as JSON values. None: not captured."""

    system: list[Part] | None = None
    input: list[Message] | None = None
    output: list[Message] | None = None
    tools: list[dict[str, Any]] | None = None
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    arguments: Any = None
    result: Any = None
    raw_request: Any = None
    raw_response: Any = None
