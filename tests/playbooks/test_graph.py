"""Playbooks, runs and what followed what, drawn: whatever a name holds, the text stays a graph and the picture a picture."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import resvg_py
from commands import NOON, SECOND, run_spans
from hypothesis import given
from hypothesis import strategies as st

import spanreel
from spanreel.collector.store import open_writer
from spanreel.exceptions import SpanreelError
from spanreel.replay.graphs import observed_of, since_ns
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.playbook import Playbook
from spanreel.replay.report.graph import Graph, GraphEdge, GraphNode, of_playbook, of_run
from spanreel.replay.report.layout import lay_out
from spanreel.replay.report.mermaid import mermaid
from spanreel.replay.report.svg import svg
from spanreel.replay.timeline import Replay

BODY = {
    "name": "exchange-item",
    "initial": "order",
    "params": {"order_id": {"type": "string"}, "note": {"type": "string", "required": False}},
    "states": {
        "order": {"tool": "get_order", "save_as": "order", "expect": {"json": {}}, "retry": {"max_attempts": 3}, "next": "which", "on_failure": "sorry"},
        "which": {"branch": {"on": "{{ order.status }}", "cases": {"delivered": "confirm", "pending": "order"}, "default": "sorry"}},
        "confirm": {"approval": {"id": "x", "summary": "Exchange?"}, "on_approve": "exchange", "on_reject": "end"},
        "exchange": {"tool": "exchange", "safety": "write", "pre": [{"json": "order", "exists": True}], "post": [{"json": "ok", "equals": True}], "compensate": {"tool": "cancel"}, "next": "gone"},
        "sorry": {"llm": {"prompt": "Say sorry"}},
    },
}  # fmt: skip
LINE = re.compile(
    r'  n\d+(\(\[|\(|\[|\[\[|\{|\{\{|>)"(?P<label>[^"`<>]|<br/>)*"(\]\)|\)|\]|\]\]|\}|\}\})'
    r'|  n\d+ (-->|-\.->)(\|"[^"`<>|]+"\|)? n\d+'
    r"|  classDef \w+ [\w:#,]+|  class n\d+(,n\d+)* \w+"
)
SVG = "{http://www.w3.org/2000/svg}"


def check_text(graph: Graph) -> None:
    """Each line of the text is one that a graph has, and every node is declared once."""
    first, *lines = mermaid(graph).split("\n")[:-1]
    assert first == "flowchart TD"
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    declared = [line for line in lines if re.match(r'  n\d+\S*"', line)]
    assert len(declared) == len(graph.nodes)


def check_picture(graph: Graph) -> ET.Element:
    """The picture is XML with nothing in it that acts; all texts are there, and no two nodes overlap."""
    root = ET.fromstring(svg(graph))
    tags = {element.tag for element in root.iter()}
    known = ("svg", "title", "style", "defs", "marker", "path", "rect", "polygon", "text", "g")
    assert tags <= {f"{SVG}{tag}" for tag in known}
    assert not [
        name for element in root.iter() for name in element.attrib if name.startswith("on") or "href" in name
    ]
    assert len(root.findall(f"{SVG}g")) == len(graph.nodes)
    return root


def edges(graph: Graph) -> set[tuple[str, str, str, str]]:
    """By label."""
    names = {node.id: node.label for node in graph.nodes}
    return {(names[one.source], names[one.target], one.kind, one.text) for one in graph.edges}


def test_a_playbook_shows_its_states_and_every_way() -> None:
    """Edges say approve, reject, case and failure; guards are marks; a target that is missing is seen."""
    graph = of_playbook(Body.model_validate(BODY))
    assert edges(graph) == {
        ("exchange-item", "order", "next", ""),
        ("order", "which", "next", ""),
        ("order", "sorry", "failure", "failed"),
        ("which", "confirm", "case", "delivered"),
        ("which", "order", "case", "pending"),
        ("which", "sorry", "case", "else"),
        ("confirm", "exchange", "approve", "approved"),
        ("confirm", "end", "reject", "rejected"),
        ("exchange", "gone", "next", ""),
        ("sorry", "end", "next", ""),
    }
    nodes = {node.label: node for node in graph.nodes}
    assert nodes["exchange-item"].details == ["order_id: string", "note: string?"]
    assert nodes["exchange"].marks == ["write", "1 pre", "1 post", "undo cancel"]
    assert nodes["order"].marks == ["expect", "retry 3"]
    assert nodes["gone"].kind == "missing"
    check_text(graph)
    texts = [element.text for element in check_picture(graph).iter(f"{SVG}text")]
    assert {"exchange", "tool exchange", "approved", "rejected", "delivered", "failed"} <= set(texts)


def test_a_playbook_is_its_picture_in_a_notebook() -> None:
    """A cell that ends with a playbook shows it."""
    body = {"name": "shown", "initial": "only", "states": {"only": {"set": {"a": 1}}}}
    playbook = Playbook.load(body)
    assert playbook._repr_html_() == svg(of_playbook(playbook.body))


def test_a_run_shows_its_steps_in_order() -> None:
    """Each step once, by its number; what failed is marked, what ran at once stands side by side."""
    spans = run_spans(1, error="no such order")
    graph = of_run(Replay.from_spans(spans))
    assert [node.label for node in graph.nodes][1:4] == ["1 gpt-5-mini", "2 get_order", "3 gpt-5-mini"]
    assert [node.failed for node in graph.nodes] == [False, False, True, False, True]
    assert len(graph.edges) == 4
    said = {**spans[2].attributes, "gen_ai.tool.call.id": "call_2", "gen_ai.tool.name": "get_user"}
    twin = dataclasses.replace(spans[2], span_id="f" * 16, attributes=said)
    beside = of_run(Replay.from_spans([*spans, twin]))
    assert len(beside.edges) == 1 + 2 + 2 + 1
    check_text(beside)
    check_picture(beside)


def test_nodes_of_a_layer_do_not_overlap() -> None:
    """Whatever leads where, places are apart and inside of the picture; edges run from node to node."""

    @given(st.integers(1, 9), st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=25))
    def holds(count: int, ways: list[tuple[int, int]]) -> None:
        sizes = {f"n{n}": (60.0 + 10 * n, 30.0) for n in range(count)}
        asked = [(f"n{a % count}", f"n{b % count}") for a, b in ways]
        found = lay_out(sizes, asked, [float(20 * (n % 3)) for n in range(len(asked))])
        boxes = [(x, y, *sizes[name]) for name, (x, y) in found.places.items()]
        for at, (x, y, width, height) in enumerate(boxes):
            assert x - width / 2 >= 0
            assert x + width / 2 <= found.size[0]
            assert y + height / 2 <= found.size[1]
            for x2, y2, width2, height2 in boxes[at + 1 :]:
                apart = (
                    abs(x - x2) >= (width + width2) / 2 - 1e-6 or abs(y - y2) >= (height + height2) / 2 - 1e-6
                )
                assert apart
        for (source, target), route in zip(asked, found.routes, strict=True):
            for name, point in ((source, route[0]), (target, route[-1])):
                (x, y), (width, height) = found.places[name], sizes[name]
                assert abs(point[0] - x) <= width / 2 + 1e-6
                assert abs(point[1] - y) <= height / 2 + 1e-6

    holds()


ANY = st.text(st.characters(), max_size=40) | st.sampled_from(
    ['"]; click n0 "javascript:x"', "<script>alert(1)</script>", "end", "%%{init: {}}%%", "a|b", "`md`", "\x1b[31m", "\ud800", "]]>", "&amp;", "#quot;", "-->"]
)  # fmt: skip


@given(labels=st.lists(ANY, min_size=1, max_size=5), said=ANY)
def test_no_name_changes_what_is_drawn(labels: list[str], said: str) -> None:
    """Names, details, marks and labels from outside stay text, in Mermaid and in SVG."""
    nodes = [
        GraphNode(id=f"n{n}", kind="tool", label=label, details=[said], marks=[said])
        for n, label in enumerate(labels)
    ]
    ways = [GraphEdge(source="n0", target=node.id, label=said) for node in nodes]
    graph = Graph(of="playbook", title=said, nodes=nodes, edges=ways)
    check_text(graph)
    check_picture(graph)


def test_what_was_observed_is_counted(tmp_path: Path) -> None:
    """Counts, mean time and share of failures are on the edges; an agent's runs only, and only since a time."""
    store = tmp_path / "spans.db"
    runs = [run_spans(1), run_spans(2, error="gone"), run_spans(3), run_spans(4, agent="other")]
    with open_writer(store) as writer:
        writer.add([span for run in runs for span in run])
    graph = observed_of(agent="support", store=store, models=True)
    assert graph.runs == 3
    assert edges(graph) == {
        ("support", "gpt-5-mini", "next", "3× · 1.0 s"),
        ("gpt-5-mini", "get_order", "next", "3× · 500 ms · 33% failed"),
        ("get_order", "gpt-5-mini", "next", "3× · 1.5 s"),
        ("gpt-5-mini", "completed", "next", "2×"),
        ("gpt-5-mini", "error", "next", "1× · 100% failed"),
    }
    assert edges(observed_of(agent="support", store=store)) == {
        ("support", "get_order", "next", "3× · 500 ms · 33% failed"),
        ("get_order", "completed", "next", "2×"),
        ("get_order", "error", "next", "1× · 100% failed"),
    }
    assert observed_of(store=store).runs == 4
    assert observed_of(agent="support", since="2025-11-22T12:02:30", store=store).runs == 1
    with pytest.raises(SpanreelError, match="no run of support is in the store since 7d"):
        observed_of(agent="support", since="7d", store=store)
    with pytest.raises(SpanreelError, match="'soon' is no time"):
        since_ns("soon")
    assert since_ns("2025-11-22T12:00:00+00:00") == NOON
    assert abs(since_ns("1h") + 3600 * SECOND - since_ns("0s")) < SECOND


@spanreel.tool(name="graph_get", safety="read")
def graph_get(order: str) -> dict[str, str]:
    return {"status": "delivered" if order == "W1" else "lost"}


def test_the_states_of_executions_are_observed(tmp_path: Path) -> None:
    """Of a playbook the states are counted, and where its guards stopped it."""
    body = {
        "name": "graphed",
        "initial": "get",
        "params": {"order": {}},
        "states": {
            "get": {
                "tool": "graph_get",
                "args": {"order": "{{ params.order }}"},
                "save_as": "order",
                "next": "check",
            },
            "check": {"assert": [{"json": "order.status", "equals": "delivered"}], "next": "end"},
        },
    }
    store = tmp_path / "spans.db"
    spanreel.instrument(store=store)
    for order in ("W1", "W1", "W2"):
        Playbook.load(body).run(order=order)
    spanreel.uninstrument()
    graph = observed_of("graphed", store=store)
    ways = {(a, b): text.split(" · ")[0] + text[-4:] for a, b, _, text in edges(graph)}
    assert {key: text[:2] for key, text in ways.items()} == {
        ("graphed", "get"): "3×",
        ("get", "check"): "3×",
        ("check", "end"): "2×",
        ("check", "stopped"): "1×",
    }
    assert next(one for one in graph.edges if one.count == 1).errors == 1
    with pytest.raises(SpanreelError, match="no execution of playbook nobody"):
        observed_of("nobody", store=store)


def test_a_picture_is_readable_by_a_renderer() -> None:
    """A renderer that is not ours draws it, and draws something."""
    drawn = resvg_py.svg_to_bytes(svg_string=svg(of_playbook(Body.model_validate(BODY))))
    assert drawn.startswith(b"\x89PNG")
    nothing = resvg_py.svg_to_bytes(
        svg_string='<svg xmlns="http://www.w3.org/2000/svg" width="600" height="600"/>'
    )
    assert len(drawn) > 2 * len(nothing)
