"""A run as an HTML fragment for notebooks. Quiet; self-contained, without scripts.

Whatever a model, a tool or an emitter said is escaped, always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.replay import conversation
from spanreel.replay.report.page import as_json, fragment, pre, table, text
from spanreel.replay.report.text import cost_text, count_text, duration_text, step_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanreel.replay.timeline import Message, Replay, ReplayStep

LINE = 160  # characters of a step's line
MAX_STEPS = 500  # a notebook cell is no place for more


def replay_html(run: Replay) -> str:
    """The run: what it was, its steps (each opens), its answer."""
    rows = "".join(_step_row(step) for step in run.steps[:MAX_STEPS])
    left_out = len(run.steps) - MAX_STEPS
    more = f"<p>… and {left_out} more steps</p>" if left_out > 0 else ""
    answer = f"<h4>Answer</h4>{pre(run.content)}" if run.content else ""
    return fragment(
        f"<h3>{text(run.agent_name or run.run_id)}</h3>{_facts(run)}{_warnings(run.warnings)}"
        f"<table><tr><th class=n>#</th><th>step</th><th></th><th class=n>tokens</th><th class=n>cost</th><th class=n>time</th></tr>"
        f"{rows}</table>{more}{answer}"
    )


def _facts(run: Replay) -> str:
    facts = [
        ("run", run.run_id),
        ("status", run.status),
        ("error", run.error or ""),
        ("model", run.model or ""),
        ("started", run.started_at or ""),
        ("time", duration_text(run.duration)),
        ("tokens", count_text(run.tokens.total_tokens)),
        ("cost", cost_text(run.cost)),
    ]
    return table([fact for fact in facts if fact[1]])


def _warnings(warnings: Iterable[str]) -> str:
    return "".join(f"<p class=bad>{text(warning)}</p>" for warning in warnings)


def _step_row(step: ReplayStep) -> str:
    inside = "".join(
        f"<b>{name}</b>{pre(value)}" for name, value in _inside(step) if value not in (None, "", [], {})
    )
    line = text(step_line(step, LINE)) or "&nbsp;"
    told = f"<details><summary>{line}</summary>{inside}</details>" if inside else line
    bad = " class=bad" if step.status == "error" else ""
    return (
        f"<tr{bad}><td class=n>{_number(step)}</td><td>{text(step.name)}</td><td>{told}</td>"
        f"<td class=n>{count_text(step.tokens.total_tokens)}</td><td class=n>{cost_text(step.cost)}</td>"
        f"<td class=n>{duration_text(step.duration)}</td></tr>"
    )


def _inside(step: ReplayStep) -> list[tuple[str, Any]]:
    if step.tool:
        return [("arguments", step.tool.tool_args), ("result", step.tool.result), ("error", step.tool.error)]
    return [
        ("instructions", conversation.text([{"parts": step.system or []}])),
        ("messages added", "\n".join(_spoken(message) for message in step.input_messages or ())),
        ("answer", "\n".join(_spoken(message) for message in step.output_messages or ())),
        ("parameters", step.parameters),
        ("error", step.error),
    ]


def _spoken(message: Message) -> str:
    found = message.get("parts")
    pieces = [
        str(part["content"]) if part.get("type") == "text" and "content" in part else as_json(part)
        for part in (found if isinstance(found, list) else ())
        if isinstance(part, dict)
    ]
    return f"{message.get('role', '')}: " + "\n".join(pieces)


def _number(step: ReplayStep | None) -> str:
    return "" if step is None or step.number is None else str(step.number)
