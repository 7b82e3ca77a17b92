"""A graph as one self-contained SVG: no script, no font, no link; light and dark. Quiet.

Colours are attributes, so that every viewer shows them; what the dark scheme changes is in a style that others skip.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from spanreel.replay.report.layout import Point, Size, lay_out
from spanreel.replay.report.mermaid import lines_of, tone_of
from spanreel.replay.report.text import cells, clean, truncated

if TYPE_CHECKING:
    from spanreel.replay.report.graph import Graph, GraphEdge, GraphNode

_CELL: Final = 8.0  # width of a column of bold text at 13 pixels, in a wide font
_SMALL: Final = 6.4  # and of plain text at 11
_LINE: Final = 17.0
_COLUMNS: Final = 44
_TONES: Final = {
    "llm": ("#e8e0ff", "#6b4fbb"), "tool": ("#e3f0ff", "#2f6fb0"), "write": ("#fff1d6", "#b07a1e"),
    "gate": ("#fde8ef", "#b0456f"), "bad": ("#ffe3e0", "#b3261e"), "plain": ("#f3f4f6", "#6b7280"),
}  # fmt: skip
_DARK_TONES: Final = {
    "llm": "#2c2250", "tool": "#10304d", "write": "#43300b", "gate": "#471a2b", "bad": "#551a15", "plain": "#2b2f36",
}  # fmt: skip
_LINES: Final = {"failure": "#b3261e", "reject": "#b0456f", "approve": "#1a7f37"}
_PLAIN_LINE: Final = "#6b7280"
_STYLE: Final = (
    ".spanreel-graph text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}"
    "@media(prefers-color-scheme:dark){.spanreel-graph .page{fill:#0d1117}.spanreel-graph text{fill:#e6edf3}"
    + "".join(f".spanreel-graph .{tone}{{fill:{colour}}}" for tone, colour in _DARK_TONES.items())
    + "}"
)
_FORBIDDEN: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML may hold, even escaped."""


def svg(graph: Graph) -> str:
    """The text of an SVG file."""
    texts = {node.id: [truncated(line, _COLUMNS) for line in lines_of(node)] for node in graph.nodes}
    sizes = {node.id: _size(node, texts[node.id]) for node in graph.nodes}
    labels = [truncated(edge.text, _COLUMNS) for edge in graph.edges]
    room = [cells(label) * _SMALL + 8 if label else 0.0 for label in labels]
    layout = lay_out(sizes, [(edge.source, edge.target) for edge in graph.edges], room)
    width, height = layout.size
    edges = [_edge(edge, route) for edge, route in zip(graph.edges, layout.routes, strict=True)]
    words = [_label(spot, label) for spot, label in zip(layout.labels, labels, strict=True) if label]
    nodes = [_node(node, layout.places[node.id], sizes[node.id], texts[node.id]) for node in graph.nodes]
    colours = dict.fromkeys([_PLAIN_LINE, *_LINES.values()])
    heads = "".join(
        f'<marker id="to{colour[1:]}" viewBox="0 0 10 10" refX="9" refY="5" markerUnits="userSpaceOnUse" markerWidth="9" markerHeight="9" orient="auto-start-reverse">'
        f'<path d="M0 0L10 5L0 10z" fill="{colour}"/></marker>'
        for colour in colours
    )
    title = _text(graph.title)
    return (
        f'<svg class="spanreel-graph" xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'role="img" aria-label="{title}"><title>{title}</title><style>{_STYLE}</style><defs>{heads}</defs>'
        f'<rect class="page" width="100%" height="100%" fill="#ffffff"/>\n'
        + "\n".join([*edges, *nodes, *words])
        + "\n</svg>\n"
    )


def _size(node: GraphNode, lines: Sequence[str]) -> Size:
    widest = max((cells(line) * (_SMALL if at else _CELL) for at, line in enumerate(lines)), default=0.0)
    pointed = 34.0 if node.kind in ("branch", "approval") else 0.0
    return max(72.0, widest + 28) + pointed, len(lines) * _LINE + 16


def _node(node: GraphNode, place: Point, size: Size, lines: Sequence[str]) -> str:
    (x, y), (width, height) = place, size
    left, top, tone = x - width / 2, y - height / 2, tone_of(node)
    fill, stroke = _TONES[tone]
    look = f'class="{tone}" fill="{fill}" stroke="{stroke}" stroke-width="1.4"'
    if node.kind in ("branch", "approval"):
        nose = 14
        points = [
            (left, y), (left + nose, top), (left + width - nose, top),
            (left + width, y), (left + width - nose, top + height), (left + nose, top + height),
        ]  # fmt: skip
        shape = f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}" {look}/>'
    else:
        round_ = height / 2 if node.kind in ("start", "end") else 6
        dashed = ' stroke-dasharray="5 4"' if node.kind == "missing" else ""
        shape = f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{min(round_, 22):.1f}" {look}{dashed}/>'
    said = "".join(
        f'<text x="{x:.1f}" y="{top + 8 + _LINE * (at + 0.72):.1f}" text-anchor="middle" fill="#1f2328" '
        + (
            f'font-size="11" opacity=".8">{_text(line)}</text>'
            if at
            else f'font-size="13" font-weight="600">{_text(line)}</text>'
        )
        for at, line in enumerate(lines)
    )
    return f"<g>{shape}{said}</g>"


def _edge(edge: GraphEdge, route: Sequence[Point]) -> str:
    colour = _line(edge)
    weight = 1.4 if not edge.count else min(5.0, 1.2 + 0.5 * edge.count.bit_length())
    dashes = ' stroke-dasharray="5 4"' if edge.kind in ("failure", "reject", "inside") else ""
    return (
        f'<path d="{_curve(route, loop=edge.source == edge.target)}" fill="none" stroke="{colour}" stroke-width="{weight:.1f}"'
        f'{dashes} marker-end="url(#to{colour[1:]})"/>'
    )


def _line(edge: GraphEdge) -> str:
    return _LINES["failure"] if edge.errors else _LINES.get(edge.kind, _PLAIN_LINE)


def _curve(route: Sequence[Point], *, loop: bool) -> str:
    if loop:
        a, b, c, d = route
        return f"M{_xy(a)}C{_xy(b)} {_xy(c)} {_xy(d)}"
    path = [f"M{_xy(route[0])}"]
    for (x1, y1), (x2, y2) in pairwise(route):
        half = (y1 + y2) / 2
        path.append(f"C{_xy((x1, half))} {_xy((x2, half))} {_xy((x2, y2))}")
    return "".join(path)


def _label(spot: Point, label: str) -> str:
    look = f'x="{spot[0]:.1f}" y="{spot[1] + 4:.1f}" text-anchor="middle" font-size="11"'
    width = cells(label) * _SMALL + 4
    return (
        f'<rect class="page" x="{spot[0] - width / 2:.1f}" y="{spot[1] - 8:.1f}" width="{width:.1f}" height="16" rx="3" fill="#ffffff"/>'
        f'<text {look} fill="#1f2328">{_text(label)}</text>'
    )


def _xy(point: Point) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"


def _text(text: str) -> str:
    return escape(_FORBIDDEN.sub("�", clean(text)), quote=True)
