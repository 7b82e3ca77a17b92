"""A run and a comparison as HTML fragments for notebooks. Quiet; self-contained, without scripts.

Whatever a model, a tool or an emitter said is escaped, always.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

from spanreel.replay import conversation
from spanreel.replay.report.text import clean, cost_text, count_text, duration_text, pair_line, step_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanreel.replay.compare import ReplayComparison
    from spanreel.replay.timeline import Message, Replay, ReplayStep

LINE = 160  # characters of a step's line
MAX_STEPS = 500  # a notebook cell is no place for more

_STYLE = (
    "<style>.spanreel{font:13px/1.45 system-ui,sans-serif;max-width:72em}.spanreel table{border-collapse:collapse;width:100%}"
    ".spanreel td,.spanreel th{text-align:left;padding:2px 10px 2px 0;vertical-align:top}.spanreel th{font-weight:600}"
    ".spanreel .n{text-align:right;white-space:nowrap;opacity:.75}.spanreel pre{white-space:pre-wrap;margin:2px 0 8px;"
    "overflow-wrap:anywhere;font:12px/1.4 ui-monospace,monospace}.spanreel summary{cursor:pointer;overflow-wrap:anywhere}"
    ".spanreel .bad,.spanreel .removed{color:#c62828}.spanreel .added{color:#2e7d32}.spanreel .changed,.spanreel .moved{color:#a86200}"
    "</style>"
)


def replay_html(run: Replay) -> str:
    """The run: what it was, its steps (each opens), its answer."""
    rows = "".join(_step_row(step) for step in run.steps[:MAX_STEPS])
    left_out = len(run.steps) - MAX_STEPS
    more = f"<p>… and {left_out} more steps</p>" if left_out > 0 else ""
    answer = f"<h4>Answer</h4>{_pre(run.content)}" if run.content else ""
    return _page(
        f"<h3>{_text(run.agent_name or run.run_id)}</h3>{_facts(run)}{_warnings(run.warnings)}"
        f"<table><tr><th class=n>#</th><th>step</th><th></th><th class=n>tokens</th><th class=n>cost</th><th class=n>time</th></tr>"
        f"{rows}</table>{more}{answer}"
    )


def comparison_html(comparison: ReplayComparison) -> str:
    """The comparison: figures, first divergence, the aligned steps, the change of the answer."""
    calls = comparison.tool_calls_diff
    told = f"{calls.common} same, {len(calls.changed)} changed, {len(calls.added)} added"
    figures = [
        ("tokens", count_text(comparison.token_diff.total_tokens)),
        ("cost", cost_text(comparison.cost_diff)),
        ("time", duration_text(comparison.duration_diff)),
        ("tool calls", f"{told}, {len(calls.removed)} removed, {len(calls.reordered)} moved"),
    ]
    first = comparison.first_divergence
    cause = (
        f"<p>First difference: {_text(first.name)}, {_text(first.what)}</p>"
        if first
        else "<p>The runs are the same.</p>"
    )
    rows = "".join(
        f"<tr class={pair.relation}><td class=n>{_number(pair.a)}</td><td class=n>{_number(pair.b)}</td>"
        f"<td>{pair.relation}</td><td>{_text(pair_line(pair, LINE))}</td></tr>"
        for pair in comparison.steps[:MAX_STEPS]
    )
    answer = f"<h4>Answer</h4>{_pre(comparison.content_diff)}" if comparison.content_diff else ""
    title = f"{comparison.original.run_id} → {comparison.replayed.run_id}"
    return _page(
        f"<h3>{_text(title)}</h3>{_table(figures)}{cause}"
        f"<table><tr><th class=n>a</th><th class=n>b</th><th></th><th>step</th></tr>{rows}</table>{answer}"
    )


def _page(body: str) -> str:
    return f'{_STYLE}<div class="spanreel">{body}</div>'


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
    return _table([fact for fact in facts if fact[1]])


def _table(facts: Iterable[tuple[str, str]]) -> str:
    return (
        "<table>"
        + "".join(f"<tr><th>{name}</th><td>{_text(value)}</td></tr>" for name, value in facts)
        + "</table>"
    )


def _warnings(warnings: Iterable[str]) -> str:
    return "".join(f"<p class=bad>{_text(warning)}</p>" for warning in warnings)


def _step_row(step: ReplayStep) -> str:
    inside = "".join(
        f"<b>{name}</b>{_pre(value)}" for name, value in _inside(step) if value not in (None, "", [], {})
    )
    line = _text(step_line(step, LINE)) or "&nbsp;"
    told = f"<details><summary>{line}</summary>{inside}</details>" if inside else line
    bad = " class=bad" if step.status == "error" else ""
    return (
        f"<tr{bad}><td class=n>{_number(step)}</td><td>{_text(step.name)}</td><td>{told}</td>"
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
        str(part["content"]) if part.get("type") == "text" and "content" in part else _json(part)
        for part in (found if isinstance(found, list) else ())
        if isinstance(part, dict)
    ]
    return f"{message.get('role', '')}: " + "\n".join(pieces)


def _number(step: ReplayStep | None) -> str:
    return "" if step is None or step.number is None else str(step.number)


def _pre(value: Any) -> str:
    return f"<pre>{_text(value if isinstance(value, str) else _json(value))}</pre>"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _text(value: str) -> str:
    return escape(clean(value), quote=True)
