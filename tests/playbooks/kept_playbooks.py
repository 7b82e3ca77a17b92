"""Bodies, and executions of them, for tests of the library: made by hand, no tool is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spanreel.collector.store import open_writer
from spanreel.replay.playbooks.body import Body
from spanreel.wire import attributes as names
from spanreel.wire.spans import Scope, Span

SECOND = 1_000_000_000
LATER = 2_000_000_000 * SECOND
"""After everything that a test decides, so that an execution counts."""


def body(name: str = "exchange", *, tool: str = "look", **more: Any) -> Body:
    """A body of one state, told from others by its tool."""
    return Body.model_validate(
        {
            "name": name,
            "params": {"order_id": {"type": "string"}},
            "initial": "first",
            "states": {"first": {"tool": tool, "args": {"id": "{{ params.order_id }}"}}},
            **more,
        }
    )


def execution(number: int, of: Body, *, ok: bool = True, **more: Any) -> list[Span]:
    """An execution, begun `number` seconds after `LATER`, with one tool call.

    Args:
        number: which; its parameters differ by it.
        of: the body.
        ok: it did what it should; else the expectation of its state was not met.
        more: mode, guard, order_id, source, score, divergence, model_calls, tokens, cost, open, at.
    """
    trace = f"{number + 1:08x}" + "b" * 24
    start = more.get("at", LATER) + number * SECOND
    said: dict[str, Any] = {
        names.OPERATION: "invoke_workflow",
        names.WORKFLOW_NAME: of.name,
        names.PLAYBOOK_NAME: of.name,
        names.PLAYBOOK_HASH: of.hash,
        names.PLAYBOOK_MODE: more.get("mode", "strict"),
        names.PLAYBOOK_PARAMS: json.dumps({"order_id": more.get("order_id", f"#W{number}")}),
        names.PLAYBOOK_MODEL_CALLS: more.get("model_calls", 0),
        names.PLAYBOOK_SCORE: more.get("score"),
        names.PLAYBOOK_DIVERGENCE: more.get("divergence"),
        names.SOURCE_RUN_ID: more.get("source"),
        names.OUTCOME + "status": more.get("status"),
    }
    if not ok:
        said |= {
            names.PLAYBOOK_GUARD: more.get("guard", "expect"),
            names.PLAYBOOK_STOPPED_AT: "first",
            names.PLAYBOOK_REASON: "the status is cancelled",
            names.OUTCOME + "success": False,
        }
    still = bool(more.get("open"))
    root = Span(
        trace, f"{1:016x}", f"invoke_workflow {of.name}", None, 1, start, 0 if still else start + SECOND,
        attributes={key: value for key, value in said.items() if value is not None}, scope=Scope("spanreel"),
    )  # fmt: skip
    call = Span(
        trace, f"{2:016x}", "execute_tool look", root.span_id, 1, start, start + SECOND // 2,
        attributes={names.OPERATION: "execute_tool", names.TOOL_NAME: "look", names.TOOL_CALL_RESULT: "{}"},
        scope=Scope("spanreel"),
    )  # fmt: skip
    return [root, call, *_asked(trace, root, start, more)]


def _asked(trace: str, root: Span, start: int, more: dict[str, Any]) -> list[Span]:
    if not more.get("model_calls"):
        return []
    said = {
        names.OPERATION: "chat",
        names.REQUEST_MODEL: more.get("model", "gpt-5-mini"),
        names.USAGE_INPUT: more.get("tokens", 100),
    }
    if "cost" in more:
        said["gen_ai.usage.cost"] = more["cost"]
    return [
        Span(
            trace,
            f"{3:016x}",
            "chat",
            root.span_id,
            3,
            start,
            start + 1,
            attributes=said,
            scope=Scope("spanreel"),
        )
    ]


def put(store: Path, *runs: list[Span]) -> None:
    """Store what was executed."""
    with open_writer(store) as writer:
        for spans in runs:
            writer.add(spans)
