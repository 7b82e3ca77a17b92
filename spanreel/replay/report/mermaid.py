"""A graph as Mermaid flowchart text. Quiet.

Whatever came from outside stands only inside quoted labels, and there every character that could mean something to
Mermaid, to Markdown or to HTML is an entity code.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from spanreel.replay.report.text import clean, truncated

if TYPE_CHECKING:
    from spanreel.replay.report.graph import Graph, GraphEdge, GraphNode

SHAPES: Final = {
    "start": ("([", "])"), "end": ("([", "])"), "branch": ("{", "}"), "approval": ("{{", "}}"), "llm": ("(", ")"),
    "playbook": ("[[", "]]"), "missing": (">", "]"),
}  # fmt: skip
_ARROWS: Final = {"failure": "-.->", "reject": "-.->", "inside": "-.->"}
_CLASSES: Final = (
    "classDef llm fill:#e8e0ff,stroke:#6b4fbb,color:#1d1433",
    "classDef tool fill:#e3f0ff,stroke:#2f6fb0,color:#0c2238",
    "classDef write fill:#fff1d6,stroke:#b07a1e,color:#3a2705",
    "classDef gate fill:#fde8ef,stroke:#b0456f,color:#3a0c20",
    "classDef bad fill:#ffe3e0,stroke:#b3261e,color:#410e0b",
)
_PLAIN: Final = re.compile(r"[^\w .,:/()+\-=×·≤›…?!']")
_LONG: Final = 120


def mermaid(graph: Graph) -> str:
    """The text of a flowchart, as a page in Markdown shows it between fences."""
    lines = ["flowchart TD"]
    lines += [f"  {_node(node)}" for node in graph.nodes]
    lines += [f"  {_edge(edge)}" for edge in graph.edges]
    used = {
        tone: [node.id for node in graph.nodes if tone_of(node) == tone]
        for tone in ("llm", "tool", "write", "gate", "bad")
    }
    lines += [f"  {one}" for one in _CLASSES if used[one.split()[1]]]
    lines += [f"  class {','.join(ids)} {tone}" for tone, ids in used.items() if ids]
    return "\n".join(lines) + "\n"


def tone_of(node: GraphNode) -> str:
    """How a node is coloured: bad, write, gate, llm, tool, or plain."""
    if node.failed or node.kind == "missing":
        return "bad"
    if {"write", "irreversible"} & set(node.marks):
        return "write"
    return {"approval": "gate", "assert": "gate", "llm": "llm", "tool": "tool"}.get(node.kind, "plain")


def lines_of(node: GraphNode) -> list[str]:
    """What is written in a node, line by line: its name, what it does, its guards."""
    count = f" {node.count}×" if node.count is not None else ""
    marks = [" · ".join(node.marks)] if node.marks else []
    return [truncated(clean(line), _LONG) for line in (f"{node.label}{count}", *node.details, *marks)]


def escaped(text: str) -> str:
    """Text for a quoted label: what is no letter, digit or harmless sign is its entity code."""
    plain = " ".join(clean(text).encode("utf-8", "replace").decode("utf-8").split())
    return _PLAIN.sub(lambda found: f"#{ord(found[0])};", plain)


def _node(node: GraphNode) -> str:
    opening, closing = SHAPES.get(node.kind, ("[", "]"))
    label = "<br/>".join(escaped(line) for line in lines_of(node))
    return f'{node.id}{opening}"{label}"{closing}'


def _edge(edge: GraphEdge) -> str:
    arrow = _ARROWS.get(edge.kind, "-->")
    label = escaped(truncated(edge.text, _LONG))
    return (
        f'{edge.source} {arrow}|"{label}"| {edge.target}' if label else f"{edge.source} {arrow} {edge.target}"
    )
