"""Every tool call is on file before and after it may write, and a recorded answer replaces the body."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from recorded import spans
from recorded_tools import RecordedTools

import spanreel
from spanreel.exceptions import ApprovalPending, Divergence, EffectDenied, SpanreelError
from spanreel.instrument import codec, responder
from spanreel.instrument.responder import ToolAnswer, ToolRequest
from spanreel.instrument.tool_call import Dispatch, Tool, call_tool, dispatched
from spanreel.wire import attributes as names
from spanreel.wire.spans import Span


@pytest.fixture(autouse=True)
def live_again() -> Iterator[None]:
    """No test leaves a responder behind."""
    yield
    responder.install(responder.LIVE)


def ended(store: Path) -> list[Span]:
    """Ended spans of tools, by start."""
    spanreel.uninstrument()
    return sorted(
        (span for span in spans(store) if span.end_ns and names.TOOL_NAME in span.attributes),
        key=lambda span: span.start_ns,
    )


@dataclass
class Receipt:
    number: int
    lines: tuple[str, ...]


class Declined(Exception):
    pass


BODIES = {"run": True}


def ran(value: Any) -> Any:
    """A tool's body: in a replay it must never run."""
    assert BODIES["run"], "a tool's body ran"
    return value


@spanreel.tool(safety="read")
def look(sku: str, *, depth: int = 1) -> dict[str, Any]:
    """Reads."""
    return ran({"sku": sku, "stock": (1, 2)})


@spanreel.tool
async def buy(sku: str) -> Receipt:
    """Writes."""
    await asyncio.sleep(0)
    return ran(Receipt(1, (sku,)))


@spanreel.tool(name="charge_card", safety="irreversible", idempotency_key="key")
def charge(amount: int, key: str) -> None:
    """Cannot be undone, and is declined."""
    ran(None)
    raise Declined(amount)


@spanreel.tool(safety="read")
def pages(count: int):
    """Yields; raises after too many."""
    yield from ran(range(count))
    if count > 2:
        raise Declined("too many")


@spanreel.tool(safety="read")
async def apages(count: int):
    """Yields, asynchronously."""
    for number in ran(range(count)):
        yield number


@spanreel.agent
def shop() -> list[Any]:
    """Uses every tool once."""

    async def rest() -> list[Any]:
        return [await buy("b"), [item async for item in apages(2)]]

    got: list[Any] = [look("a", depth=2), *asyncio.run(rest()), list(pages(2))]
    for bad in (lambda: charge(5, key="k1"), lambda: list(pages(3))):
        with pytest.raises(Declined) as declined:
            bad()
        got.append(declined.value.args)
    return got


def test_calls_are_recorded_and_then_answered_without_running(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sync, async, generators and exceptions: the same values of the same types, from the recording."""
    spanreel.instrument()
    first = shop()
    recorded = ended(store)
    assert [span.attributes[names.TOOL_NAME] for span in recorded] == [
        "look",
        "buy",
        "apages",
        "pages",
        "charge_card",
        "pages",
    ]
    charged = recorded[4]
    assert (charged.status, charged.attributes[names.ERROR_TYPE]) == (2, "test_tools.Declined")
    assert charged.attributes[names.TOOL_IDEMPOTENCY] == "k1"
    assert json.loads(str(recorded[0].attributes[names.TOOL_CALL_RESULT])) == {"sku": "a", "stock": [1, 2]}
    assert recorded[0].attributes[names.OPERATION] == "execute_tool"

    monkeypatch.setitem(BODIES, "run", False)
    answering = RecordedTools(recorded)
    responder.install(answering)
    monkeypatch.setenv("SPANREEL_STORE", str(store.with_name("again.db")))
    spanreel.instrument()
    assert shop() == first
    assert answering.left == []
    served = ended(store.with_name("again.db"))
    assert [span.attributes[names.EFFECT_SOURCE] for span in served] == ["recorded"] * 6
    assert [span.attributes[names.REPLAY_SOURCE_SPAN] for span in served] == [
        span.span_id for span in recorded
    ]
    assert [span.attributes[names.TOOL_CALL_RESULT] for span in served if not span.status] == [
        span.attributes[names.TOOL_CALL_RESULT] for span in recorded if not span.status
    ]
    root = next(span for span in spans(store.with_name("again.db")) if span.parent_span_id is None)
    assert root.attributes[names.SOURCE_RUN_ID] == "source"


def test_answers_come_also_while_nothing_is_recorded(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a replay must stop is stopped whether or not it records itself."""
    spanreel.instrument()
    look("a")
    recorded = ended(store)
    monkeypatch.setitem(BODIES, "run", False)
    responder.install(RecordedTools(recorded))
    assert look("a") == {"sku": "a", "stock": (1, 2)}


@pytest.mark.parametrize("signal", [Divergence("x"), EffectDenied("x"), ApprovalPending("x")])
def test_a_refusal_reaches_the_agent_and_the_body_does_not_run(
    signal: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signals pass untouched."""

    class Refuses(RecordedTools):
        def tool(self, request: ToolRequest) -> ToolAnswer:
            raise signal

    monkeypatch.setitem(BODIES, "run", False)
    responder.install(Refuses([]))
    spanreel.instrument()
    with pytest.raises(type(signal)) as raised:
        look("a")
    assert raised.value is signal


def test_a_result_that_cannot_be_rebuilt_is_a_divergence(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a wrong value, and never a live call."""

    class Strange(RecordedTools):
        def tool(self, request: ToolRequest) -> ToolAnswer:
            return ToolAnswer('{"$type":"dataclass","class":"nowhere:Thing","value":{}}')

    monkeypatch.setitem(BODIES, "run", False)
    responder.install(Strange([]))
    spanreel.instrument()
    with pytest.raises(Divergence, match=r"result of tool look cannot be rebuilt.*nowhere:Thing"):
        look("a")
    assert [span.status for span in ended(store)] == [2]


KILLED = """
import os, signal, sys, spanreel
spanreel.instrument()
@spanreel.tool(safety=sys.argv[1])
def pay(amount):
    if sys.argv[2] == "inside": os.kill(os.getpid(), signal.SIGKILL)
    return "paid"
pay(5)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("safety", "where", "expected"),
    [("write", "inside", [True]), ("irreversible", "after", [True, False]), ("read", "inside", [])],
)
def test_what_may_write_is_on_file_before_and_after(
    store: Path, safety: str, where: str, expected: list[bool]
) -> None:
    """A kill inside the body leaves an open record; a kill right after it finds the ended one."""
    environ = {
        **os.environ,
        "SPANREEL_STORE": str(store),
        "PYTHONPATH": str(Path(spanreel.__file__).parent.parent),
    }
    file = store.parent / "killed.py"
    file.write_text(KILLED)
    subprocess.run([sys.executable, str(file), safety, where], env=environ, check=False, timeout=60)
    found = [span for span in spans(store) if names.TOOL_NAME in span.attributes]
    assert [bool(span.attributes.get(names.OPEN)) for span in found] == expected
    assert [span.end_ns == 0 for span in found] == expected


def test_cancelled_and_interrupted_tools_are_told_apart(store: Path) -> None:
    """A cancelled tool is cancelled again in a replay; one that a signal stopped has no result at all."""

    @spanreel.tool
    async def slow() -> None:
        await asyncio.sleep(10)

    @spanreel.tool
    def waits() -> None:
        raise ApprovalPending("decide")

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await slow()

    spanreel.instrument()
    asyncio.run(main())
    with pytest.raises(ApprovalPending):
        waits()
    cancelled, paused = ended(store)
    assert cancelled.attributes[names.WIRE_OUTCOME] == "cancelled"
    assert isinstance(codec.decode(str(cancelled.attributes[names.TOOL_RESULT])), asyncio.CancelledError)
    assert names.TOOL_RESULT not in paused.attributes
    assert paused.attributes[names.TOOL_FIDELITY] == "opaque"


def test_a_generator_that_is_left_early_keeps_what_it_gave(store: Path) -> None:
    """The recorded prefix is the result."""
    spanreel.instrument()
    stream = pages(2)
    assert next(stream) == 0
    stream.close()
    (span,) = ended(store)
    assert (span.status, codec.decode(str(span.attributes[names.TOOL_RESULT]))) == (0, [0])


def test_a_framework_tool_over_a_marked_function_is_one_call(store: Path) -> None:
    """The outermost keeps the framework's call id; another call of that name inside it is its own."""
    spanreel.instrument()

    def body() -> Any:
        look("a")  # the function behind this very call
        return call_tool(
            Dispatch(Tool("look", "read"), {"sku": "b"}, call_id="call_2", framework="other"), lambda: "inner"
        )

    call_tool(Dispatch(Tool("look", "read"), '{"sku": "a"}', call_id="call_1", framework="other"), body)
    found = ended(store)
    assert [span.attributes[names.TOOL_CALL_ID] for span in found] == ["call_1", "call_2"]
    assert found[1].parent_span_id == found[0].span_id


def test_an_agent_inside_a_tool_may_call_a_tool_of_that_name(store: Path) -> None:
    """Its calls are its own, and below the tool."""

    @spanreel.agent
    def expert() -> Any:
        return look("deep")

    spanreel.instrument()
    call_tool(Dispatch(Tool("look", "read"), {"sku": "a"}), expert)
    assert [json.loads(str(span.attributes[names.TOOL_CALL_ARGUMENTS]))["sku"] for span in ended(store)] == [
        "a",
        "deep",
    ]


def test_a_native_tool_span_gives_its_call_id(store: Path) -> None:
    """Ours hangs below the framework's own span, with the same id, so that both are one step."""
    spanreel.instrument()
    tracer = TracerProvider().get_tracer("framework")
    native = {names.OPERATION: "execute_tool", names.TOOL_CALL_ID: "call_9"}
    with trace.use_span(tracer.start_span("execute_tool look", attributes=native)) as span:
        look("a")
    (ours,) = ended(store)
    assert ours.attributes[names.TOOL_CALL_ID] == "call_9"
    assert ours.parent_span_id == f"{span.get_span_context().span_id:016x}"


def test_methods_and_metadata() -> None:
    """The object of a method is no argument; what the author said is on the wrapper; the kind of function stays."""

    class Shop:
        @spanreel.tool(safety="read", pre=[{"json": "a"}], post=[len])
        def find(self, sku: str) -> str:
            return sku

    answering = RecordedTools([])
    responder.install(answering)
    with pytest.raises(Divergence):
        Shop().find("x")
    assert answering.asked[0].arguments == {"sku": "x"}
    assert Shop.find.__spanreel__ == Tool("find", "read", None, ({"json": "a"},), (len,))  # type: ignore[attr-defined]
    assert inspect.iscoroutinefunction(buy)
    assert inspect.isgeneratorfunction(pages)
    assert inspect.isasyncgenfunction(apages)
    assert list(inspect.signature(look).parameters) == ["sku", "depth"]


def test_keywords_of_any_name_are_arguments_like_others(store: Path) -> None:
    """What `**arguments` takes is recorded by its own names, and a replay is asked for it so."""

    @spanreel.tool(safety="read")
    def exchange(order: str, **arguments: Any) -> str:
        return ran("done")

    spanreel.instrument()
    exchange("#W1", item="i", to=["a"])
    (span,) = ended(store)
    assert json.loads(str(span.attributes[names.TOOL_CALL_ARGUMENTS])) == {
        "order": "#W1", "item": "i", "to": ["a"],
    }  # fmt: skip
    answering = RecordedTools([])
    responder.install(answering)
    with pytest.raises(Divergence):
        exchange(order="#W1", to=["a"], item="i")
    assert answering.asked[0].arguments == {"order": "#W1", "item": "i", "to": ["a"]}


@pytest.mark.parametrize("wrong", [{"safety": "safe"}, {"pre": ["text"]}])
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    """At definition, with what is right."""
    with pytest.raises(SpanreelError, match=r"use one of|such as"):
        spanreel.tool(**wrong)


def test_a_tool_that_is_not_recorded_costs_next_to_nothing(store: Path) -> None:
    """Pass-through: no spool, same result, the function's own error for wrong arguments."""
    assert look("a") == {"sku": "a", "stock": (1, 2)}
    with pytest.raises(TypeError):
        look()  # type: ignore[call-arg]  # the point of the test
    spanreel.instrument()
    with pytest.raises(TypeError):
        look()  # type: ignore[call-arg]  # the point of the test
    (span,) = ended(store)
    assert span.status == 2


def test_a_framework_call_that_cannot_be_read_is_let_through_but_never_in_a_replay(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A renamed argument costs a log line; a replay runs no tool that it could not read."""

    def unreadable() -> Dispatch:
        raise KeyError("arguments")

    assert dispatched("framework", unreadable) is None
    assert "recording failed in reading a call of framework" in caplog.text
    responder.install(RecordedTools([]))
    with pytest.raises(EffectDenied, match="framework could not be read"):
        dispatched("framework", unreadable)


def test_a_fault_while_recording_is_marked_and_not_seen_by_the_agent(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it strikes: the call goes on, and its span, or one beside it, says what is missing."""

    def broken(_: Any) -> Any:
        raise RuntimeError("a fault of ours")

    spanreel.instrument()
    assert call_tool(Dispatch(Tool("kept"), {}, kept=broken), lambda: 1) == 1
    assert call_tool(Dispatch(Tool("shown"), {}, shown=broken), lambda: 2) == 2
    assert call_tool(Dispatch(Tool("key", idempotency_key=broken), {"x": 1}), lambda: 3) == 3
    with pytest.raises(ValueError, match="own"):
        call_tool(Dispatch(Tool("raises"), {}, kept=broken), lambda: int("own"))
    spanreel.uninstrument()
    found = spans(store)
    marked = {
        span.name: span.attributes[names.INCOMPLETE] for span in found if names.INCOMPLETE in span.attributes
    }
    assert marked == {
        "execute_tool kept": "recording the result of tool kept: RuntimeError",
        "execute_tool shown": "recording tool shown: RuntimeError",
        "execute_tool key": "recording the arguments of tool key: TypeError",
    }
    assert all(
        span.end_ns
        for span in found
        if span.name == "execute_tool kept" and names.OPEN not in span.attributes
    )
