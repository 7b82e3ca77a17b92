"""One run as a tree: agents, the model calls and tool calls inside them, and what each said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

from spanreel.cli import words
from spanreel.cli.render.palette import BAD, DIM, DOUBT, KIND, MODEL, NAME, TOOL, status, text
from spanreel.replay.report.text import call_line, clean, cost_text, count_text, duration_text, truncated
from spanreel.replay.timeline import Message, Replay, ReplayApproval, ReplayStep, ToolCallRecord


@dataclass(slots=True)
class Node:
    """A line of the tree and what hangs below it; `step` is None for a nested agent."""

    name: str
    step: ReplayStep | None = None
    children: list[Node] = field(default_factory=list["Node"])


def header(run: Replay, width: int) -> list[Text]:
    """Which run it is, how it went, what it cost, what it was asked."""
    title = Text.assemble(text(run.agent_name or "run", NAME), "  ", status(run.status), no_wrap=True)
    pairs = [
        ("run", run.run_id),
        ("alias", run.alias if run.alias != run.run_id else None),
        ("replay of", run.source_run_id if run.fork_step is None else None),
        ("fork of", f"{run.source_run_id} at step {run.fork_step}" if run.fork_step else None),
        ("segments", len(run.segments) or None),
        ("session", run.session_id),
        ("model", run.model),
        ("started", f"{words.moment(run.started_at)}, took {duration_text(run.duration)}"),
        ("tokens", _tokens(run)),
        ("cost", cost_text(run.cost) if run.cost else None),
        *_procedure(run),
    ]
    lines = [title]
    lines += [_pair(name, str(found), width) for name, found in pairs if found]
    if run.error:
        lines.append(_pair("error", run.error, width, BAD))
    lines += [_pair("approval", _gate(run, one), width, DOUBT) for one in run.approvals]
    lines += [_pair("warning", warning, width, DOUBT) for warning in run.warnings]
    return lines


def _procedure(run: Replay) -> list[tuple[str, str | None]]:
    """What the run was given; of a playbook's execution, which one it is and where it went."""
    of = run.playbook
    if of is None:
        return [("input", words.flat(run.input) if run.input is not None else None)]
    which = [of.name, (of.hash or "").removeprefix("sha256:")[:12], of.mode if of.mode != "strict" else ""]
    states = [
        ".".join([*one.inside, one.state]) + (f" ✗ {one.guard}" if one.guard else "") for one in of.states
    ]
    return [
        ("playbook", " ".join(filter(None, which))),
        ("input", words.flat(of.params)),
        ("states", " → ".join(states)),
    ]


def _gate(run: Replay, gate: ReplayApproval) -> str:
    """What somebody has to do about it, or what they did."""
    said = f"{gate.id}: {gate.summary}" if gate.summary else gate.id
    short = run.run_id[:12]
    if gate.status == "pending":
        return f"{said}; waits: spanreel approve {short} {gate.id}"
    actor = gate.actor.get("name", gate.actor) if isinstance(gate.actor, dict) else gate.actor
    decided = f"{said}; {gate.status}" + (f" by {actor}" if actor else "")
    return decided + (f", resume it: spanreel resume {short}" if run.status == "paused" else "")


def _pair(name: str, found: str, width: int, style: str = "") -> Text:
    return Text.assemble(
        (f"  {name:<9} ", style or DIM),
        text(truncated(words.flat(found), width - 12), style),
    )


def _tokens(run: Replay) -> str | None:
    tokens = run.tokens
    if tokens.total_tokens is None:
        return None
    said = f"{count_text(tokens.input_tokens)} in, {count_text(tokens.output_tokens)} out"
    extra = [
        f"{count_text(number)} {name}"
        for name, number in (
            ("from cache", tokens.cache_read_tokens),
            ("into cache", tokens.cache_write_tokens),
            ("reasoning", tokens.reasoning_tokens),
        )
        if number
    ]
    return f"{said} ({', '.join(extra)})" if extra else said


def nodes(run: Replay) -> list[Node]:
    """The steps of the run, each under the agent and the step that it happened inside of."""
    top = Node("")
    by_step: dict[int, Node] = {}
    for step in run.steps:
        inside = by_step.get(step.parent_step) if step.parent_step is not None else None
        above = inside.step.agents if inside and inside.step else run.steps[0].agents[:1]
        parent = inside or top
        for agent in step.agents[len(above) :]:
            last = parent.children[-1] if parent.children else None
            if last is None or last.step is not None or last.name != agent:
                last = Node(agent)
                parent.children.append(last)
            parent = last
        node = Node(step.name, step)
        parent.children.append(node)
        if step.number is not None:
            by_step[step.number] = node
    return top.children


def lines(run: Replay, width: int, full: bool = False) -> Iterator[Text]:
    """The tree, one text a line; `full` adds whole messages, arguments and results."""
    drawing = _Drawing(
        width,
        full,
        digits=max([1, *(len(str(step.number)) for step in run.steps)]),
        tokens=max([0, *(len(_counted(step)) for step in run.steps)]),
        times=max([0, *(len(duration_text(step.duration)) for step in run.steps)]),
    )
    found = nodes(run)
    for position, node in enumerate(found):
        yield from drawing.branch(node, "", position == len(found) - 1)


def _counted(step: ReplayStep) -> str:
    tokens = step.tokens
    if tokens.total_tokens is None:
        return ""
    return f"{count_text(tokens.input_tokens)}→{count_text(tokens.output_tokens)}"


@dataclass(frozen=True, slots=True)
class _Drawing:
    """How wide the tree and its columns are."""

    width: int
    full: bool
    digits: int
    tokens: int
    times: int

    def branch(self, node: Node, indent: str, last: bool) -> Iterator[Text]:
        guide = indent + ("└─ " if last else "├─ ")
        below = indent + ("   " if last else "│  ")
        if node.step is None:
            yield Text.assemble((guide, DIM), text(node.name, NAME), no_wrap=True)
        else:
            yield self._line(node.step, guide)
            yield from self._below(
                node.step, below + ("│" if node.children else " ") + " " * (self.digits + 1)
            )
        for position, child in enumerate(node.children):
            yield from self.branch(child, below, position == len(node.children) - 1)

    def _line(self, step: ReplayStep, guide: str) -> Text:
        tokens = f"{_counted(step):>{self.tokens}}  " if self.tokens else ""
        right = tokens + f"{duration_text(step.duration):>{self.times}}"
        number = "·" if step.number is None else str(step.number)
        left = Text.assemble((guide, DIM), (f"{number:>{self.digits}} ", DIM), summary(step), no_wrap=True)
        left.truncate(max(10, self.width - len(right) - 2), overflow="ellipsis", pad=True)
        return Text.assemble(left, "  ", (right, DIM), no_wrap=True)

    def _below(self, step: ReplayStep, indent: str) -> Iterator[Text]:
        if step.error:
            said = truncated(f"error: {words.flat(step.error)}", self.width - len(indent))
            yield Text.assemble((indent, DIM), text(said, BAD))
        if self.full:
            yield from _details(step, indent)


def summary(step: ReplayStep) -> Text:
    """What the step was, and in short what came of it."""
    line = _tool(step.tool) if step.tool else _model(step)
    if step.attempts > 1:
        line.append(f" ({step.attempts} attempts)", DOUBT)
    if step.status == "open":
        line.append(" (no end was recorded)", DOUBT)
    return line


def _tool(call: ToolCallRecord) -> Text:
    line = Text(no_wrap=True)
    line.append_text(text(call.tool_name, TOOL))
    line.append(call_line("", call.tool_args))
    if call.safety in ("write", "irreversible"):
        line.append(f" {call.safety}", DOUBT)
    if call.error is None and call.result is not None:
        line.append(" → ", DIM)
        line.append(words.flat(call.result))
    return line


def _model(step: ReplayStep) -> Text:
    name = (step.model if step.kind in ("llm", "embedding") else None) or step.name
    line = Text(no_wrap=True)
    line.append_text(text(name, KIND.get(step.kind, "")))
    if step.kind not in ("llm", "tool"):
        line.append(f" {step.kind}", DIM)
    if said := answer(step.output_messages):
        line.append(" → ", DIM)
        line.append(said)
    return line


def answer(messages: Sequence[Message] | None) -> str:
    """What a model answered, in one line: its text, then the tools it asked for."""
    texts: list[str] = []
    calls: list[str] = []
    for part in _parts(messages):
        if part.get("type") == "text":
            texts.append(str(part.get("content", "")))
        elif part.get("type") == "tool_call":
            calls.append(str(part.get("name", "")))
    asked = f"asks for {', '.join(calls)}" if calls else ""
    return "; ".join(filter(None, [words.quoted(" ".join(texts)) if any(texts) else "", words.flat(asked)]))


def _parts(messages: Sequence[Message] | None) -> Iterator[dict[str, Any]]:
    for message in messages or ():
        for part in message.get("parts") or ():
            if isinstance(part, dict):
                yield part


def _details(step: ReplayStep, indent: str) -> Iterator[Text]:
    if step.tool:
        yield from _block("arguments", step.tool.tool_args, indent)
        yield from _block("result", step.tool.result, indent)
        return
    if step.system:
        yield from _block("system", _said(step.system), indent)
    if step.input_from is not None and step.input_messages is not None:
        yield Text.assemble((indent, DIM), (f"input: that of step {step.input_from}, and", DIM))
    for message in [*(step.input_messages or ()), *(step.output_messages or ())]:
        yield from _block(str(message.get("role", "message")), _said(message.get("parts")), indent)


def _said(parts: Any) -> Any:
    """The parts of a message as a person reads them, one below the other."""
    if not isinstance(parts, list):
        return parts
    return "\n".join(_part(part) for part in parts)


def _part(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "reasoning") and isinstance(part.get("content"), str):
        return part["content"] if kind == "text" else f"(reasoning) {part['content']}"
    if kind == "tool_call":
        return f"asks for {call_line(str(part.get('name')), part.get('arguments'))}"
    if kind == "tool_call_response":
        return f"result: {words.flat(part.get('response', part.get('result')))}"
    return json.dumps(part, ensure_ascii=False, default=str)


def _block(name: str, found: Any, indent: str) -> Iterator[Text]:
    if found is None:
        return
    written = (
        found if isinstance(found, str) else json.dumps(found, indent=2, ensure_ascii=False, default=str)
    )
    yield Text.assemble((indent, DIM), (f"{words.flat(name)}:", MODEL))
    for line in clean(written).splitlines():
        yield Text.assemble((indent, DIM), "  ", line)
