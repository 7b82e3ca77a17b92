"""The command line as a user has it: a process, its output, its exit code; and runs to use it on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from spanreel.wire.spans import Span

ROOT = Path(__file__).resolve().parents[1]
SECOND = 1_000_000_000
NOON = 1_763_812_800 * SECOND  # 2025-11-22 12:00 UTC


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its stdout as JSON."""
        return json.loads(self.out)


class Cli(Protocol):
    """Runs one command."""

    def __call__(
        self,
        *words: str | Path,
        columns: int = 80,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        process: bool = False,
    ) -> Done: ...


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """The variables of this process, with spanreel importable from anywhere and warnings as errors."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "HOME": str(tmp_path),
        "TZ": "UTC",
        **more,
    }


Fill = Callable[[Sequence[Span]], None]


def run_spans(
    number: int,
    *,
    agent: str = "support",
    answer: str = "All done.",
    tool: str = "get_order",
    error: str = "",
) -> list[Span]:
    """A run of one model call that asks for a tool, the tool, and a model call that answers.

    Its id begins with `number` in eight hex digits. It starts `number` minutes after noon and takes four seconds.
    """
    trace = f"{number:08x}" + "0" * 23 + "1"
    start = NOON + number * 60 * SECOND

    def span(
        name: str, place: int, seconds: tuple[float, float], attributes: dict[str, Any], **more: Any
    ) -> Span:
        ns = [start + int(at * SECOND) for at in seconds]
        parent = None if place == 1 else f"{1:016x}"
        return Span(trace, f"{place:016x}", name, parent, 1, ns[0], ns[1], attributes=attributes, **more)

    def said(role: str, *parts: dict[str, Any]) -> str:
        return json.dumps([{"role": role, "parts": list(parts)}])

    call = {"type": "tool_call", "id": "call_1", "name": tool, "arguments": {"order_id": "1042"}}
    model = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini",
    }
    usage = {"gen_ai.usage.input_tokens": 200, "gen_ai.usage.output_tokens": 20}
    asked = said("user", {"type": "text", "content": "Where is order 1042?"})
    failed = {"status": 2, "status_message": error} if error else {}
    return [
        span(
            f"invoke_agent {agent}",
            1,
            (0, 4),
            {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent},
            **failed,
        ),
        span(
            "chat gpt-5-mini",
            2,
            (0.5, 1.5),
            {
                **model,
                **usage,
                "gen_ai.input.messages": asked,
                "gen_ai.output.messages": said("assistant", call),
            },
        ),
        span(
            f"execute_tool {tool}",
            3,
            (1.5, 2),
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": tool,
                "gen_ai.tool.call.id": "call_1",
                "gen_ai.tool.call.arguments": '{"order_id": "1042"}',
                "gen_ai.tool.call.result": '{"state": "sent"}',
            },
            **failed,
        ),
        span(
            "chat gpt-5-mini",
            4,
            (2, 3.5),
            {
                **model,
                **usage,
                "gen_ai.input.messages": asked,
                "gen_ai.output.messages": said("assistant", {"type": "text", "content": answer}),
            },
        ),
    ]
