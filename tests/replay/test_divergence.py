"""A report names the step, the nearest recorded call, the message, and the words."""

from __future__ import annotations

import jsonschema
from hypothesis import given
from hypothesis import strategies as st
from recorded_effects import asked, model, recording, request, tool

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


def test_only_commands_that_exist_are_named():
    """What to do next can be done with this version."""
    report = reported(Matcher(recording(model("a"))), Consumed(), request("b"))
    assert [command.split()[:2] for command in report.next if command.startswith("spanreel")] == [
        ["spanreel", "show"],
        ["spanreel", "diff"],
    ]


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
