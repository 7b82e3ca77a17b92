"""Concurrent callers in any interleaving: each gets what it was recorded with, whatever the others do meanwhile.

Callers keep conversations, some in lanes of their own, some word for word like another; calls fail and are sent again, tools hold
calls of their own. `bench/interleavings.py` does the same with real SDKs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from recorded_effects import asked, model, recording, request, tool

from spanreel.replay.match import Consumed, Hit, Matcher, Miss
from spanreel.replay.recording import Effect

UUID = "6ba7b810-9dad-11d1-80b4-00c04fd4{:04d}"
KINDS = st.sampled_from(["ask", "ask", "ask", "tool", "fail"])
CALLERS = st.lists(
    st.tuples(st.lists(KINDS, min_size=1, max_size=4), st.booleans(), st.booleans()), min_size=1, max_size=5
)
"""What each does; whether it has a lane of its own; whether it says what every other such caller says."""


class Caller:
    """One conversation, as it was recorded (`now` 0) or as it is asked again.

    twin: it says nothing of its own, so it is told apart by its lane only.
    """

    def __init__(self, number: int, kinds: list[str], lane: str, twin: bool, now: int) -> None:
        self.kinds, self.lane, self.twin, self.now = kinds, lane, twin, now
        self.name = "twin" if twin else f"caller {UUID.format(number)}"
        self.said: list[str] = []
        self.place = 0

    @property
    def kind(self) -> str:
        """Of the next call: a twin only asks, since a tool of the same arguments would be anybody's."""
        return "ask" if self.twin and self.kinds[self.place] == "tool" else self.kinds[self.place]

    def prompt(self) -> str:
        """What it says next."""
        when = f" at 2026-11-2{self.now} 10:00:00" if self.now >= 0 else ""
        return f"{self.name} question {self.place}{when}"

    def heard(self, answer: str) -> None:
        """Go on with an answer."""
        self.said += [self.prompt(), answer]
        self.place += 1

    @property
    def done(self) -> bool:
        return self.place == len(self.kinds)


def recorded(callers: list[Caller], order: Iterator[int]) -> tuple[list[Effect], dict[tuple[int, int], str]]:
    """The effects in the order in which the callers came, and which answer each call got, by caller and place."""
    effects: list[Effect] = []
    got: dict[tuple[int, int], str] = {}
    while waiting := [number for number, caller in enumerate(callers) if not caller.done]:
        number = waiting[next(order) % len(waiting)]
        caller = callers[number]
        answer = f"N{len(effects)}"
        got[number, caller.place] = answer
        if caller.kind == "tool":
            effects.append(
                replace(
                    tool("find", {"text": caller.prompt()}, lane=caller.lane), encoded=answer, span_id=answer
                )
            )
            effects.append(replace(model(f"inside {caller.prompt()}", lane=caller.lane), within=(answer,)))
        else:
            statuses = (500, 500, 200) if caller.kind == "fail" else (200,)
            effects.append(
                replace(
                    model(*caller.said, caller.prompt(), lane=caller.lane, statuses=statuses), span_id=answer
                )
            )
        caller.heard(answer)
    return effects, got


class Interleaved(RuleBasedStateMachine):
    """Any caller goes on at any time."""

    @initialize(
        callers=CALLERS, order=st.lists(st.integers(0, 99), min_size=30, max_size=30), clock=st.booleans()
    )
    def start(self, callers: list[tuple[list[str], bool, bool]], order: list[int], clock: bool) -> None:
        def made(now: int) -> list[Caller]:
            return [
                Caller(number, ["ask"] * 2 if twin else kinds, f"0.{number}" if own else "0", twin, now)
                for number, (kinds, own, twin) in enumerate(callers)
            ]

        effects, self.expected = recorded(made(1 if clock else -1), iter(order * 9))
        self.clock = clock
        self.matcher = Matcher(recording(*effects), "scrubbed" if clock else "structural")
        self.callers = made(2 if clock else -1)
        self.attempts = [0] * len(self.callers)
        self.got: dict[tuple[int, int], str] = {}
        self.consumed = Consumed()

    @rule(choice=st.integers(0, 99))
    def go_on(self, choice: int) -> None:
        waiting = [number for number, caller in enumerate(self.callers) if not caller.done]
        if waiting:
            self.step(waiting[choice % len(waiting)])

    def step(self, number: int) -> None:
        """The next call, or the next attempt of it."""
        caller = self.callers[number]
        found = self.ask(caller, number)
        assert isinstance(found, Hit), found
        tier = "scrubbed" if self.clock else "exact"
        assert found.tier == tier
        if found.answer is not None and found.answer.status == 500:
            self.attempts[number] += 1
            return
        self.attempts[number] = 0
        self.got[number, caller.place] = found.effect.span_id
        caller.heard(found.effect.span_id)

    def ask(self, caller: Caller, number: int) -> Hit | Miss:
        if caller.kind == "tool":
            return self.matcher.tool(
                asked("find", {"text": caller.prompt()}, lane=caller.lane), self.consumed
            )
        attempt = self.attempts[number] if caller.kind == "fail" else None
        ask: Any = request(*caller.said, caller.prompt(), lane=caller.lane, attempt=attempt)
        return self.matcher.model(ask, self.consumed)

    def teardown(self) -> None:
        """To the end: every caller got its own answers; twins of one lane share theirs, conversation by conversation."""
        if not hasattr(self, "callers"):
            return
        for number, caller in enumerate(self.callers):
            while not caller.done:
                self.step(number)
        assert self.matcher.unused(self.consumed) == []
        chains = [Counter(self.chains(answers)) for answers in (self.got, self.expected)]
        assert chains[0] == chains[1]

    def chains(self, answers: dict[tuple[int, int], str]) -> Iterator[tuple[str, ...]]:
        for number, caller in enumerate(self.callers):
            whose = f"twins of {caller.lane}" if caller.twin else str(number)
            yield (whose, *(answers[number, place] for place in range(caller.place)))


TestInterleaved = Interleaved.TestCase
TestInterleaved.settings = settings(stateful_step_count=20, max_examples=60, deadline=None)
