"""A report names the step, the nearest recorded call, the message, and the words."""

from __future__ import annotations

import jsonschema
from hypothesis import given
from hypothesis import strategies as st
from recorded_effects import asked, model, recording, request, tool

from spanreel.exceptions import Divergence
from spanreel.instrument.responder import ModelRequest, ToolRequest
from spanreel.replay import divergence
from spanreel.replay.divergence import DivergenceReport
from spanreel.replay.match import Consumed, Hit, Matcher, Miss


def reported(matcher: Matcher, consumed: Consumed, ask: ModelRequest | ToolRequest) -> DivergenceReport:
    """The report of a call that nothing answers."""
    found = matcher.tool(ask, consumed) if isinstance(ask, ToolRequest) else matcher.model(ask, consumed)
    assert isinstance(found, Miss)
    return divergence.report(matcher, consumed, ask, found, "agent.py:7")


def test_the_changed_message_is_named_with_its_words():
    """Of three recorded calls the one with the longest equal beginning is nearest, and its changed words are marked."""
    matcher, consumed = (
        Matcher(recording(model("a"), model("a", "b", "pay the red bill"), model("z"))),
        Consumed(),
    )
    assert isinstance(matcher.model(request("a"), consumed), Hit)
    report = reported(matcher, consumed, request("a", "b", "pay the blue bill"))
    assert (report.step, report.kind, report.code_line) == (2, "unmatched", "agent.py:7")
    assert report.nearest is not None
    assert (report.nearest.step, report.nearest.message, report.nearest.role) == (2, 2, "user")
    assert report.nearest.path == "$.messages[2].content"
    assert report.nearest.words == "pay the [-red-]{+blue+} bill"
    assert "step 2: openai.chat m-1 is not the recorded call" in report.text()


def test_a_changed_parameter_is_named_by_its_path():
    """Equal messages, another temperature."""
    report = reported(Matcher(recording(model("a", temperature=0))), Consumed(), request("a", temperature=1))
    assert report.nearest is not None
    assert (report.nearest.path, report.nearest.recorded, report.nearest.asked) == ("$.temperature", 0, 1)
    assert report.nearest.message is None


def test_a_changed_tool_argument_is_named_by_its_path():
    """The nearest tool call is the one of the same name."""
    matcher = Matcher(recording(tool("pay", {"to": "x", "n": 1}), tool("look", {})))
    report = reported(matcher, Consumed(), asked("pay", {"to": "x", "n": 2}))
    assert report.nearest is not None
    assert (report.nearest.step, report.nearest.path) == (1, "$.arguments.n")
    assert report.asked.tool == "pay"


def test_a_call_past_the_end_has_the_next_step():
    """Where everything has been served, the step is the one after the last."""
    matcher, consumed = Matcher(recording(model("a"))), Consumed()
    assert isinstance(matcher.model(request("a"), consumed), Hit)
    report = reported(matcher, consumed, request("b"))
    assert (report.step, report.kind, report.nearest) == (2, "nothing_left", None)


def test_three_commands_go_on():
    """Accept and go live from that step, the same with the step edited, record anew; by the name that means the recording."""
    from dataclasses import replace

    effects = recording(model("a"))
    report = reported(Matcher(effects), Consumed(), request("b"))
    assert report.next == [
        "spanreel fork r1 --at 1",
        "spanreel fork r1 --at 1 --edit 1",
        "run the agent again with recording on",
    ]
    assert report.see == ["spanreel show r1", "spanreel diff r1 last"]
    filed = replace(effects, name="/a b/x.jsonl#r1", command=("agent.py", "two words"))
    report = reported(Matcher(filed), Consumed(), request("b"))
    assert report.next == [
        "spanreel fork '/a b/x.jsonl#r1' --at 1",
        "spanreel fork '/a b/x.jsonl#r1' --at 1 --edit 1",
        "spanreel run -- python agent.py 'two words'",
    ]


def test_each_tier_says_why_it_failed():
    """In its own form: what a looser tier passes over is not what it failed for."""
    effects = recording(model("now 2026-11-22", "yes", "pay the red bill", user="u1"))
    ask = request("now 2026-11-23", "yes", "pay the blue bill", user="u2")
    why = {one.tier: one.why for one in reported(Matcher(effects, "scrubbed"), Consumed(), ask).tried}
    assert why == {
        "exact": 'at $.messages[0].content: "now 2026-11-22" was recorded, "now 2026-11-23" was asked',
        "structural": 'at $.messages[0].content: "now 2026-11-22" was recorded, "now 2026-11-23" was asked',
        "scrubbed": 'at $.messages[2].content: "pay the red bill" was recorded, "pay the blue bill" was asked',
    }
    only_user = reported(
        Matcher(recording(model("a", user="u1")), "strict"), Consumed(), request("a", user="u2")
    )
    assert [one.why for one in only_user.tried] == ['at $.user: "u1" was recorded, "u2" was asked']


def test_explore_says_why_no_neighbour_was_served():
    """Too little alike, or a tool that does something."""
    far = reported(Matcher(recording(model("one thing")), "explore"), Consumed(), request("quite another"))
    assert "60% is the least that is served" in far.tried[-1].why
    writes = reported(
        Matcher(recording(tool("pay", {"n": 1})), "explore"), Consumed(), asked("pay", {"n": 2})
    )
    assert "not declared read" in writes.tried[-1].why
    assert writes.tried[0].why == "at $.arguments.n: 1 was recorded, 2 was asked"


def test_an_edited_first_message_does_not_hide_the_nearest_call():
    """Of a long conversation whose first word changed, the recorded call of the same length is nearest."""
    said = ["you are kind", *(f"line {n}" for n in range(8))]
    effects = recording(*(model(*said[: 2 * n + 1]) for n in range(5)))
    report = reported(Matcher(effects), Consumed(), request("you are curt", *said[1:5]))
    assert report.nearest is not None
    assert (report.nearest.step, report.nearest.message, report.nearest.words) == (
        3,
        0,
        "you are [-kind-]{+curt+}",
    )


def test_the_exception_carries_the_report():
    """Whoever catches it finds the step, the line, the nearest call and what to do next."""
    report = reported(Matcher(recording(model("a"))), Consumed(), request("b"))
    error = Divergence(report.text(), report.as_dict())
    assert (error.step, error.kind, error.code_line, error.next) == (
        1,
        "unmatched",
        "agent.py:7",
        report.next,
    )
    assert error.nearest is not None
    assert error.nearest["message"] == 0
    assert error.report["schema"] == "spanreel.divergence.v1"
    assert (Divergence("x").step, Divergence("x").nearest, Divergence("x").next) == (0, None, [])


def test_the_json_object_fits_its_schema():
    """What is printed with --json is what the schema says."""
    report = reported(Matcher(recording(model("a"))), Consumed(), request("b"))
    jsonschema.validate(
        report.as_dict(), DivergenceReport.model_json_schema(by_alias=True, mode="serialization")
    )
    assert report.as_dict()["schema"] == "spanreel.divergence.v1"


BODIES = st.one_of(st.binary(max_size=40), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["messages", "input", "role", "content", "x"]), inner, max_size=3),
).map(lambda value: __import__("json").dumps(value).encode()))  # fmt: skip


@given(BODIES, BODIES)
def test_a_report_can_be_made_of_any_two_bodies(recorded, asked_):
    """Bytes that are no request at all are reported like any other."""
    from dataclasses import replace

    matcher, ask = Matcher(recording(replace(model("x"), body=recorded))), replace(request("x"), body=asked_)
    found = matcher.model(ask, Consumed())
    if isinstance(found, Miss):
        assert divergence.report(matcher, Consumed(), ask, found).text()
