"""Steps to compare, written as short as they are read."""

from __future__ import annotations

from typing import Any

from spanreel.replay.timeline import ReplayStep, ToolCallRecord


def numbered(*steps: ReplayStep) -> list[ReplayStep]:
    """Steps numbered as a run numbers them."""
    return [step.model_copy(update={"number": number}) for number, step in enumerate(steps, 1)]


def tool(name: str, result: Any = "ok", call_id: str | None = None, **arguments: Any) -> ReplayStep:
    """A tool call."""
    record = ToolCallRecord(tool_name=name, tool_args=arguments, result=result, tool_call_id=call_id)
    return ReplayStep(number=0, kind="tool", name=name, tool=record)


def chat(asked: str, answer: str, model: str = "gpt-4o", **more: Any) -> ReplayStep:
    """A model call: what was asked, what was answered."""
    return ReplayStep(
        number=0,
        kind="llm",
        name=f"chat {model}",
        model=model,
        input_messages=[{"role": "user", "parts": [{"type": "text", "content": asked}]}],
        output_messages=[{"role": "assistant", "parts": [{"type": "text", "content": answer}]}],
        **more,
    )
