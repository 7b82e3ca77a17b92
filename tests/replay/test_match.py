"""Which recorded call answers: by identity, in tiers, each once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from recorded_effects import asked, model, recording, request, tool

from spanreel.replay.match import Consumed, Drift, Hit, Matcher, Miss, verdict_of


def hit(found: Hit | Miss) -> Hit:
    """What was found."""
    assert isinstance(found, Hit), found
    return found


def miss(found: Hit | Miss) -> Miss:
    """Why nothing was."""
    assert isinstance(found, Miss), found
    return found


def test_equal_bytes_are_the_same_call():
    """A request of the recorded bytes is answered in the first tier, without drift."""
    found = hit(Matcher(recording(model("hi"))).model(request("hi"), Consumed()))
    assert (found.tier, found.drift) == ("exact", None)


def test_order_of_keys_does_not_matter():
    """Two spellings of one JSON value are one request."""
    matcher = Matcher(recording(model("hi", temperature=1)), "strict")
    other = replace(
        request("hi"), body=b'{"temperature":1,"messages":[{"content":"hi","role":"user"}],"model":"m-1"}'
    )
    assert hit(matcher.model(other, Consumed())).tier == "exact"


def test_the_host_does_not_matter():
    """Another base URL asks for the same."""
    elsewhere = replace(request("hi"), url="http://127.0.0.1:9/v1/chat/completions?api-version=1")
    assert hit(Matcher(recording(model("hi"))).model(elsewhere, Consumed())).tier == "exact"


def test_volatile_fields_match_structurally_and_leave_a_drift():
    """A changed `user` is served in the second tier, and the drift names where it differs."""
    matcher = Matcher(recording(model("hi", user="a")))
    found = hit(matcher.model(request("hi", user="b"), Consumed()))
    assert found.tier == "structural"
    assert found.drift is not None
    assert (found.drift.path, found.drift.step) == ("$.user", 1)


def test_strict_matching_stops_at_the_first_tier():
    """`strict` serves nothing structural."""
    matcher = Matcher(recording(model("hi", user="a")), "strict")
    assert miss(matcher.model(request("hi", user="b"), Consumed())).kind == "unmatched"


@pytest.mark.parametrize("changed", [("ho",), ("hi", "more")])
def test_another_prompt_is_no_match(changed):
    """Position alone never serves."""
    found = miss(Matcher(recording(model("hi"))).model(request(*changed), Consumed()))
    assert [tier for tier, _ in found.tried] == ["exact", "structural"]


def test_a_stream_is_not_a_whole_answer():
    """`stream` is part of the identity."""
    assert isinstance(Matcher(recording(model("hi"))).model(request("hi", stream=True), Consumed()), Miss)


def test_identical_calls_are_served_by_lane_then_in_recorded_order():
    """A thread gets what its own lane recorded; a lane that recorded nothing more takes the oldest."""
    matcher = Matcher(recording(model("hi", lane="0.1"), model("hi", lane="0.0"), model("hi", lane="0.0")))
    consumed = Consumed()
    lanes = ["0.0", "0.0", "0.0"]
    assert [hit(matcher.model(request("hi", lane=lane), consumed)).effect.index for lane in lanes] == [
        1,
        2,
        0,
    ]
    assert miss(matcher.model(request("hi"), consumed)).kind == "served"


def test_a_call_that_failed_to_the_end_answers_as_often_as_it_did():
    """Three recorded attempts answer three, in order, and not a fourth."""
    matcher, consumed = Matcher(recording(model("hi", statuses=(500, 502, 503)))), Consumed()
    found = [hit(matcher.model(request("hi", attempt=n), consumed)).answer for n in range(3)]
    assert [one.status for one in found if one] == [500, 502, 503]
    assert miss(matcher.model(request("hi", attempt=3), consumed)).kind == "served"


def test_a_resend_goes_on_with_the_call_that_failed():
    """The first attempt of an identical call never takes the second answer of another."""
    matcher, consumed = Matcher(recording(model("hi", statuses=(500, 500)), model("hi"))), Consumed()
    served = [hit(matcher.model(request("hi", attempt=n), consumed)).effect.index for n in (0, 0, 1)]
    assert served == [0, 1, 0]


def test_tools_are_matched_by_the_id_that_the_model_gave():
    """Equal arguments do not swap results between calls of different ids."""
    matcher = Matcher(
        recording(tool("pay", {"n": 1}, "c1", encoded='"a"'), tool("pay", {"n": 1}, "c2", encoded='"b"'))
    )
    consumed = Consumed()
    served = [hit(matcher.tool(asked("pay", {"n": 1}, call), consumed)).effect for call in ("c2", "c1")]
    assert [one.call_id for one in served] == ["c2", "c1"]


@pytest.mark.parametrize("request_", [asked("pay", {"n": 2}, "c1"), asked("refund", {"n": 1}, "c1")])
def test_an_id_alone_does_not_serve_a_tool(request_):
    """Name and arguments must fit as well."""
    assert (
        miss(Matcher(recording(tool("pay", {"n": 1}, "c1"))).tool(request_, Consumed())).kind == "unmatched"
    )


def test_tools_without_an_id_are_served_in_order_and_by_lane():
    """Name and arguments, the same lane first."""
    matcher = Matcher(recording(tool("now", {}, lane="0.1"), tool("now", {}), tool("now", {})))
    consumed = Consumed()
    served = [hit(matcher.tool(asked("now", {}), consumed)).effect.index for _ in range(3)]
    assert served == [1, 2, 0]


def test_another_id_with_the_same_arguments_is_served_with_a_drift():
    """Ids that the client mints differ in every run."""
    found = hit(Matcher(recording(tool("now", {}, "c1"))).tool(asked("now", {}, "c9"), Consumed()))
    assert (found.tier, found.drift.path if found.drift else None) == ("structural", "$.id")


def test_arguments_are_compared_as_json():
    """1, 1.0 and true are three values."""
    for other in (1.0, True, "1"):
        assert isinstance(
            Matcher(recording(tool("f", {"n": 1}))).tool(asked("f", {"n": other}), Consumed()), Miss
        )


def test_an_opaque_result_is_refused_by_name():
    """What could not be stored is not given back."""
    matcher = Matcher(recording(tool("connect", {}, fidelity="opaque")))
    found = miss(matcher.tool(asked("connect", {}), Consumed()))
    assert (found.kind, found.effect.title if found.effect else None) == ("opaque", "tool connect")


def test_a_tool_that_never_ended_is_in_doubt():
    """Nobody knows what it would have given."""
    found = miss(
        Matcher(recording(tool("pay", {}, open=True, encoded=None))).tool(asked("pay", {}), Consumed())
    )
    assert found.kind == "in_doubt"


def test_what_happened_inside_a_served_tool_is_not_asked_for_again():
    """Serving a tool uses up its model calls and tools."""
    outer = replace(tool("research", {}), span_id="outer")
    inner = replace(model("inside"), within=("outer",))
    matcher, consumed = Matcher(recording(outer, inner, model("after"))), Consumed()
    hit(matcher.tool(asked("research", {}), consumed))
    assert [one.index for one in matcher.unused(consumed)] == [2]
    assert miss(matcher.model(request("inside"), consumed)).kind == "served"


def test_secrets_are_blanked_before_a_request_is_compared():
    """A recording whose secrets were blanked answers a request that has them."""
    matcher = Matcher(
        recording(model("key [redacted:x]"), redacted=True),
        "strict",
        lambda b: b.replace(b"sk-1", b"[redacted:x]"),
    )
    assert hit(matcher.model(request("key sk-1"), Consumed())).tier == "exact"


def test_a_blanked_answer_leaves_a_drift():
    """It is served, and said."""
    effect = model("hi")
    blanked = replace(effect, answers=(replace(effect.answers[0], redacted=True),))
    found = hit(Matcher(recording(blanked)).model(request("hi"), Consumed()))
    assert found.drift is not None
    assert "blanked" in found.drift.note


def test_a_miss_says_that_nothing_is_left():
    """A call after the last recorded one is told from one that differs."""
    matcher, consumed = Matcher(recording(model("hi"))), Consumed()
    hit(matcher.model(request("hi"), consumed))
    assert miss(matcher.model(request("more"), consumed)).kind == "nothing_left"


def test_a_body_that_is_no_json_matches_its_own_bytes_only():
    """Bytes from outside never crash the matcher."""
    raw = replace(model("x"), body=b"\xff{")
    matcher = Matcher(recording(raw))
    assert isinstance(matcher.model(replace(request("x"), body=b"\xfe{"), Consumed()), Miss)
    assert hit(matcher.model(replace(request("x"), body=b"\xff{"), Consumed())).tier == "exact"


UUIDS = [f"6ba7b810-9dad-11d1-80b4-00c04fd430c{n}" for n in range(6)]


def test_scrubbed_serves_what_differs_by_the_clock_and_says_so():
    """Another time in the prompt is the same call in the third tier only, with the place named."""
    effects = recording(model("hi", "yes", "now 2026-11-22 10:00:00"))
    ask = request("hi", "yes", "now 2026-11-23 11:11:11")
    assert miss(Matcher(effects).model(ask, Consumed())).kind == "unmatched"
    found = hit(Matcher(effects, "scrubbed").model(ask, Consumed()))
    assert (found.tier, found.message) == ("scrubbed", 2)
    assert found.drift is not None
    assert (found.drift.path, found.drift.message) == ("$.messages[2].content", 2)
    assert verdict_of([found.drift]) == "equivalent"


def test_a_strict_match_is_never_given_away_by_a_looser_one():
    """Over all calls that are left the strictest tier is tried first, wherever they stand."""
    effects = recording(model("at 2026-11-22"), model("at 2026-11-23"))
    matcher, consumed = Matcher(effects, "scrubbed"), Consumed()
    found = [hit(matcher.model(request(f"at 2026-11-{day}"), consumed)) for day in (23, 24)]
    assert [(one.effect.index, one.tier) for one in found] == [(1, "exact"), (0, "scrubbed")]


def test_what_two_calls_have_in_common_tells_them_apart():
    """A customer's uuid decides where only the time differs, whatever was recorded first."""
    effects = recording(*(model(f"{UUIDS[n]} at 2026-11-22 10:00:0{n}") for n in range(3)))
    matcher, consumed = Matcher(effects, "scrubbed"), Consumed()
    found = [hit(matcher.model(request(f"{UUIDS[n]} at 2026-11-23 11:00:00"), consumed)) for n in (2, 0, 1)]
    assert [one.effect.index for one in found] == [2, 0, 1]


def test_what_was_asked_word_for_word_is_not_minted():
    """A call whose uuid this replay asked for elsewhere as recorded is left for whoever has that uuid."""
    effects = recording(model(UUIDS[0]), model(f"go on {UUIDS[0]}"), model(f"go on {UUIDS[1]}"))
    matcher, consumed = Matcher(effects, "scrubbed"), Consumed()
    asked_ = (UUIDS[0], f"go on {UUIDS[5]}", f"go on {UUIDS[0]}")
    assert [hit(matcher.model(request(one), consumed)).effect.index for one in asked_] == [0, 2, 1]


def test_ids_decide_between_structurally_equal_calls():
    """Two follow-ups that differ in the response they go on from only, and in who asks."""
    effects = recording(*(model("go on", previous_response_id=f"resp_{n}", user="a") for n in "12"))
    found = hit(Matcher(effects).model(request("go on", previous_response_id="resp_2", user="b"), Consumed()))
    assert (found.tier, found.effect.index) == ("structural", 1)


def test_nothing_in_common_falls_back_to_the_lane():
    """Calls that mint everything anew are told apart by the thread that makes them."""
    effects = recording(model(UUIDS[0], lane="0.0"), model(UUIDS[1], lane="0.1"))
    matcher, consumed = Matcher(effects, "scrubbed"), Consumed()
    found = [hit(matcher.model(request(UUIDS[n + 2], lane=f"0.{n}"), consumed)) for n in (1, 0)]
    assert [one.effect.index for one in found] == [1, 0]


def test_explore_serves_the_nearest_and_says_how_near():
    """An edited prompt is answered by the call it is most like; one that is like nothing is not answered."""
    effects = recording(model("hi", "yes", "pay the red bill now please"), model("look at the weather"))
    matcher, consumed = Matcher(effects, "explore"), Consumed()
    found = hit(matcher.model(request("hi", "yes", "pay the blue bill now please"), consumed))
    assert found.drift is not None
    assert (found.tier, found.effect.index, found.drift.message, found.drift.path) == (
        "neighbour",
        0,
        2,
        "$.messages[2].content",
    )
    assert found.score is not None
    assert 0.9 < found.score < 1
    assert verdict_of([found.drift]) == "drifted"
    refused = miss(matcher.model(request("something else entirely"), consumed))
    assert [tier for tier, _ in refused.tried] == ["exact", "structural", "scrubbed", "neighbour"]


def test_a_neighbour_streams_if_the_call_does():
    """A whole answer is no stream, however near."""
    matcher = Matcher(recording(model("pay the red bill now please")), "explore")
    ask = request("pay the blue bill now please", stream=True)
    assert isinstance(matcher.model(ask, Consumed()), Miss)


def test_only_reading_tools_have_neighbours():
    """What a tool that does something did for others is never given back."""
    ask = asked("find", {"text": "all the red bills of May"})
    near = tool("find", {"text": "all the blue bills of May"}, safety="read")
    assert isinstance(Matcher(recording(near), "explore").tool(ask, Consumed()), Miss)
    reading = replace(ask, safety="read")
    assert isinstance(
        Matcher(recording(replace(near, safety="write")), "explore").tool(reading, Consumed()), Miss
    )
    found = hit(Matcher(recording(near), "explore").tool(reading, Consumed()))
    assert found.drift is not None
    assert (found.tier, found.drift.path) == ("neighbour", "$.arguments.text")
    assert isinstance(Matcher(recording(near), "scrubbed").tool(reading, Consumed()), Miss)


def test_arguments_are_scrubbed_where_that_is_asked_for():
    """A tool called with the time is found by its id, else by what else it says; exact arguments come first."""
    effects = recording(
        tool("log", {"at": "2026-11-22 10:00:00", "n": 1}, "c1"),
        tool("log", {"at": "2026-11-22 10:00:01", "n": 1}, "c2"),
        tool("log", {"at": "2026-11-22 10:00:02", "n": 1}),
    )
    matcher, consumed = Matcher(effects, "scrubbed"), Consumed()
    exactly = hit(matcher.tool(asked("log", {"at": "2026-11-22 10:00:02", "n": 1}), consumed))
    assert (exactly.effect.index, exactly.tier) == (2, "exact")
    later = asked("log", {"at": "2026-11-23 11:00:00", "n": 1}, "c2")
    found = hit(matcher.tool(later, consumed))
    assert (found.effect.index, found.tier, found.drift.path if found.drift else None) == (
        1,
        "scrubbed",
        "$.arguments.at",
    )
    assert isinstance(Matcher(effects).tool(later, Consumed()), Miss)


def test_the_worst_hit_decides():
    """Exact, equivalent, drifted."""
    one, two, three = (Drift(tier, 1, "s") for tier in ("structural", "scrubbed", "neighbour"))
    blanked = Drift("exact", 1, "s", None, "a secret in the answer was blanked")
    words = [verdict_of(some) for some in ([], [one], [blanked], [one, two], [three, two])]
    assert words == ["exact", "exact", "equivalent", "equivalent", "drifted"]


PROMPTS = st.sampled_from(["a", "b", "c"])
LANES = st.sampled_from(["0", "0.0", "0.1"])
CALLS = st.one_of(
    st.builds(lambda p, lane, n: model(p, lane=lane, statuses=(500,) * n), PROMPTS, LANES, st.integers(1, 3)),
    st.builds(lambda p, lane: model(p, lane=lane), PROMPTS, LANES),
    st.builds(
        lambda name, n, call, lane: tool(name, {"n": n}, call, lane=lane),
        st.sampled_from(["x", "y"]), st.integers(0, 1), st.sampled_from([None, "c1", "c2"]), LANES,
    ),
)  # fmt: skip


class Playing(RuleBasedStateMachine):
    """Whatever is asked in whatever order: each recorded answer is given at most once, and only to its own request."""

    @initialize(effects=st.lists(CALLS, min_size=1, max_size=8))
    def start(self, effects):
        self.matcher = Matcher(recording(*effects))
        self.consumed = Consumed()
        self.given: list[tuple[int, object]] = []

    @rule(prompt=PROMPTS, lane=LANES, attempt=st.sampled_from([None, 0, 1, 2]))
    def ask_model(self, prompt, lane, attempt):
        found = self.matcher.model(request(prompt, lane=lane, attempt=attempt), self.consumed)
        if isinstance(found, Hit):
            assert found.effect.body == request(prompt).body
            self.given.append((found.effect.index, found.effect.answers.index(found.answer)))
        else:
            left = [
                one
                for one in self.matcher.unused(self.consumed)
                if getattr(one, "body", b"") == request(prompt).body
            ]
            assert not left or attempt, "an untouched call of this identity must have been served"

    @rule(
        name=st.sampled_from(["x", "y"]),
        n=st.integers(0, 1),
        call=st.sampled_from([None, "c1", "c2"]),
        lane=LANES,
    )
    def ask_tool(self, name, n, call, lane):
        before = [
            one
            for one in self.matcher.unused(self.consumed)
            if getattr(one, "name", None) == name and one.arguments == {"n": n}
        ]
        found = self.matcher.tool(asked(name, {"n": n}, call, lane), self.consumed)
        assert isinstance(found, Hit) == bool(before)
        if isinstance(found, Hit):
            assert (found.effect.name, found.effect.arguments) == (name, {"n": n})
            if call and any(one.call_id == call for one in before):
                assert found.effect.call_id == call
            self.given.append((found.effect.index, 0))

    @invariant()
    def nothing_is_given_twice(self):
        given = getattr(self, "given", [])
        assert len(given) == len(set(given))

    def teardown(self):
        """The recorded order itself is always answered exactly, and to the end."""
        if not hasattr(self, "matcher"):
            return
        consumed = Consumed()
        for effect in self.matcher.recording.effects:
            if hasattr(effect, "answers"):
                for attempt, answer in enumerate(effect.answers):
                    ask = replace(request("x", lane=effect.lane, attempt=attempt), body=effect.body)
                    found = hit(self.matcher.model(ask, consumed))
                    assert (found.tier, found.effect.body, found.answer.status) == (
                        "exact",
                        effect.body,
                        answer.status,
                    )
            else:
                found = hit(
                    self.matcher.tool(
                        asked(effect.name, effect.arguments, effect.call_id, effect.lane), consumed
                    )
                )
                assert found.effect.call_id == effect.call_id
        assert self.matcher.unused(consumed) == []


TestPlaying = Playing.TestCase
TestPlaying.settings = settings(stateful_step_count=20, deadline=None)
