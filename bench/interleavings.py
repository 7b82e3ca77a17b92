"""Is an answer ever served to the wrong call? Random programs of concurrent calls, each replayed in many random interleavings.

usage: python bench/interleavings.py [--shapes 100] [--replays 100] [--edits 20] [--seed 1] [--out FILE]

A *shape* is a random program of 3 to 6 callers that run at once, by `asyncio.gather` or in a thread pool. Each keeps a conversation with a
model (the real openai and anthropic SDKs, and raw httpx), whole or streamed, a stream read in part or cancelled, a
first attempt that fails and is sent again by the SDK; calls tools inside of which an agent calls the model; and calls agents.
Some callers are *twins* that say the same, word for word. Some shapes have the time in every prompt and are matched scrubbed.

A shape is recorded once, from a server whose every answer carries a nonce; then it is replayed with nobody to ask, with random pauses before every
call and between the chunks of a stream (and, under asyncio, the callers begun in random order), and each caller must get the nonces that it was recorded
with. Twins in threads are told apart by their lanes; twins in one event loop are interchangeable: the set of their nonces must be the recorded one. Then
one character of one prompt is changed: the first divergence must be that call, its consequences the later calls of that conversation, and
every other caller must still get its own answers. The seed fixes the programs and the choices, not the operating system's threads.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
from nonce_server import NonceServer
from shapes import Op, Pauses, Shape, conversation

import spanreel
from spanreel.exceptions import Signal
from spanreel.replay.recording import ModelEffect, Recording
from spanreel.replay.stored import stored

RESULTS = Path(__file__).resolve().parent / "results"
PART = 2  # chunks of text read of a stream that is not read to its end
LOST = "?"  # what a caller goes on with when its call diverged


class EnoughError(Exception):
    """A caller gives up in the middle of a stream."""


def parts(sdk: str, event: Any) -> str:
    """The text in one event of a stream."""
    if sdk == "anthropic":
        return event.delta.text if event.type == "content_block_delta" else ""
    if sdk == "openai":
        return event.choices[0].delta.content or ""
    data = event.removeprefix("data: ")
    return json.loads(data)["choices"][0]["delta"].get("content", "") if data[:1] == "{" else ""


def text_of(sdk: str, answer: Any) -> str:
    if sdk == "anthropic":
        return answer.content[0].text
    return (
        answer.choices[0].message.content
        if sdk == "openai"
        else answer.json()["choices"][0]["message"]["content"]
    )


class Clients:
    """The SDKs against one server: `ask` for threads, `ask_async` for the event loop."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.openai = openai.OpenAI(base_url=f"{url}/v1", api_key="k")
        self.openai_async = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k")
        self.anthropic = anthropic.Anthropic(base_url=url, api_key="k")
        self.anthropic_async = anthropic.AsyncAnthropic(base_url=url, api_key="k")
        self.httpx, self.httpx_async = httpx.Client(), httpx.AsyncClient()

    def ask(self, op: Op, messages: list[dict[str, str]], pauses: Pauses) -> str:
        stream = op.mode in ("stream", "part", "cancel")
        if not stream:
            return text_of(op.sdk, self._create(self.openai, self.anthropic, self.httpx, op, messages))
        said: list[str] = []
        with contextlib.suppress(EnoughError), self._streamed(op, messages) as events:
            for event in events:
                if text := parts(op.sdk, event):
                    said.append(text)
                if op.mode != "stream" and len(said) == PART:
                    if op.mode == "cancel":
                        raise EnoughError
                    break
                pauses.sync()
        return "".join(said)

    async def ask_async(self, op: Op, messages: list[dict[str, str]], pauses: Pauses) -> str:
        if op.mode not in ("stream", "part", "cancel"):
            return text_of(
                op.sdk,
                await self._create(self.openai_async, self.anthropic_async, self.httpx_async, op, messages),
            )
        said: list[str] = []

        async def read() -> None:
            async with self._streamed_async(op, messages) as events:
                async for event in events:
                    if text := parts(op.sdk, event):
                        said.append(text)
                    if op.mode != "stream" and len(said) == PART:
                        if op.mode == "cancel":
                            task.cancel()
                            await asyncio.sleep(5)
                        break
                    await pauses.async_()

        task = asyncio.ensure_future(read())
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return "".join(said)

    def _create(
        self, chat: Any, claude: Any, http: Any, op: Op, messages: list[dict[str, str]], **more: Any
    ) -> Any:
        if op.sdk == "openai":
            return chat.chat.completions.create(model="m-1", messages=messages, **more)
        if op.sdk == "anthropic":
            return claude.messages.create(model="m-1", max_tokens=9, messages=messages, **more)
        return http.post(f"{self.url}/v1/chat/completions", json=self._body(messages, False))

    def _body(self, messages: list[dict[str, str]], stream: bool) -> dict[str, Any]:
        return {"model": "m-1", "messages": messages, **({"stream": True} if stream else {})}

    @contextlib.contextmanager
    def _streamed(self, op: Op, messages: list[dict[str, str]]) -> Iterator[Any]:
        if op.sdk == "httpx":
            url = f"{self.url}/v1/chat/completions"
            with self.httpx.stream("POST", url, json=self._body(messages, True)) as response:
                yield response.iter_lines()
        else:
            with self._create(self.openai, self.anthropic, None, op, messages, stream=True) as events:
                yield events

    @contextlib.asynccontextmanager
    async def _streamed_async(self, op: Op, messages: list[dict[str, str]]) -> AsyncIterator[Any]:
        if op.sdk == "httpx":
            url = f"{self.url}/v1/chat/completions"
            async with self.httpx_async.stream("POST", url, json=self._body(messages, True)) as response:
                yield response.aiter_lines()
        else:
            async with await self._create(
                self.openai_async, self.anthropic_async, None, op, messages, stream=True
            ) as events:
                yield events


class Programs:
    """Runs shapes: the same code when it is recorded and when it is replayed."""

    def __init__(self, url: str) -> None:
        clients = self.clients = Clients(url)
        self.loop = asyncio.new_event_loop()

        def inner(text: str) -> list[dict[str, str]]:
            return [{"role": "user", "content": f"inner {text}"}]

        @spanreel.agent
        def helper(op: Op) -> str:
            return clients.ask(Op("ask", op.text, op.sdk), inner(op.text), Pauses(op.text))

        @spanreel.agent
        async def helper_async(op: Op) -> str:
            return await clients.ask_async(Op("ask", op.text, op.sdk), inner(op.text), Pauses(op.text))

        @spanreel.tool
        def look_up(text: str, sdk: str) -> str:
            return helper(Op("agent", text, sdk))

        @spanreel.tool
        async def look_up_async(text: str, sdk: str) -> str:
            return await helper_async(Op("agent", text, sdk))

        self.helper, self.helper_async, self.look_up, self.look_up_async = (
            helper,
            helper_async,
            look_up,
            look_up_async,
        )

    def run(self, shape: Shape, seed: str) -> list[list[str]]:
        """What each caller got."""
        if shape.threads:
            with ThreadPoolExecutor(len(shape.callers)) as pool:
                work = [
                    pool.submit(self._caller, shape, number, f"{seed}/{number}")
                    for number in range(len(shape.callers))
                ]
                return [one.result() for one in work]
        return self.loop.run_until_complete(self._gathered(shape, seed))

    async def _gathered(self, shape: Shape, seed: str) -> list[list[str]]:
        order = list(range(len(shape.callers)))
        random.Random(seed).shuffle(order)
        tasks = {
            number: asyncio.ensure_future(self._caller_async(shape, number, f"{seed}/{number}"))
            for number in order
        }
        await asyncio.gather(*tasks.values())
        return [tasks[number].result() for number in sorted(order)]

    def _caller(self, shape: Shape, number: int, seed: str) -> list[str]:
        pauses, steps = Pauses(seed), conversation(shape.callers[number], shape.clock)
        try:
            op, given = next(steps)
            while True:
                pauses.sync()
                try:
                    said = self._do(op, given, pauses)
                except Signal:
                    said = LOST
                op, given = steps.send(said)
        except StopIteration as done:
            return done.value

    async def _caller_async(self, shape: Shape, number: int, seed: str) -> list[str]:
        pauses, steps = Pauses(seed), conversation(shape.callers[number], shape.clock)
        try:
            op, given = next(steps)
            while True:
                await pauses.async_()
                try:
                    said = await self._do_async(op, given, pauses)
                except Signal:
                    said = LOST
                op, given = steps.send(said)
        except StopIteration as done:
            return done.value

    def _do(self, op: Op, given: Any, pauses: Pauses) -> str:
        if op.kind == "ask":
            return self.clients.ask(op, given, pauses)
        return self.look_up(op.text, op.sdk) if op.kind == "tool" else self.helper(op)

    async def _do_async(self, op: Op, given: Any, pauses: Pauses) -> str:
        if op.kind == "ask":
            return await self.clients.ask_async(op, given, pauses)
        return await (self.look_up_async(op.text, op.sdk) if op.kind == "tool" else self.helper_async(op))


@dataclass
class Soak:
    """The books: what was counted, and every failure in words."""

    programs: Programs
    counts: Counter[str] = field(default_factory=Counter[str])
    failures: list[str] = field(default_factory=list[str])

    def shape(self, shape: Shape, seed: str, replays: int, edits: int) -> None:
        with spanreel.run("soak") as run:
            expected = self.programs.run(shape, seed)
        spanreel.instrument().flush()
        recording = stored(run.run_id, whole_process=False).recording
        self.counts["shapes"] += 1
        self.counts["shapes in threads"] += shape.threads
        self.counts["recorded calls"] += len(recording.effects)
        for number in range(replays):
            self.replay(shape, f"{seed}.{number}", recording, expected)
        for number in range(edits):
            self.edited(shape, f"{seed}.e{number}", recording, expected)

    def replay(self, shape: Shape, seed: str, recording: Recording, expected: list[list[str]]) -> None:
        match = "scrubbed" if shape.clock else "structural"
        try:
            with spanreel.replaying(recording, match=match) as execution:
                got = self.programs.run(shape, seed)
        except Signal as error:
            self.failures.append(f"{seed}: {error}")
            return
        self.counts["interleavings"] += 1
        self.counts["answers"] += execution.verdict.effects.recorded
        self.counts[f"verdict {execution.verdict.verdict}"] += 1
        wrong = self._wrong(shape, got, expected, set())
        self.counts["answers served to the wrong call"] += wrong
        if wrong or execution.verdict.verdict != ("equivalent" if shape.clock else "exact"):
            self.failures.append(
                f"{seed}: {wrong} wrong, {execution.verdict.verdict}: {got} instead of {expected}"
            )

    def edited(self, shape: Shape, seed: str, recording: Recording, expected: list[list[str]]) -> None:
        """One character of one prompt is another."""
        rng = random.Random(seed)
        caller = rng.choice([one for one in range(len(shape.callers)) if one not in shape.twins])
        ops = shape.callers[caller]
        place = rng.choice([number for number, op in enumerate(ops) if op.kind == "ask"])
        at = ops[place].text.index(": ") + 2 + rng.randrange(20)
        text = ops[place].text
        changed = Op(
            "ask",
            f"{text[:at]}{'q' if text[at] != 'q' else 'z'}{text[at + 1 :]}",
            ops[place].sdk,
            ops[place].mode,
        )
        callers = [*shape.callers]
        callers[caller] = (*ops[:place], changed, *ops[place + 1 :])
        match = "scrubbed" if shape.clock else "structural"
        execution = None
        try:
            with spanreel.replaying(recording, match=match) as execution:
                got = self.programs.run(Shape(shape.threads, shape.clock, tuple(callers), shape.twins), seed)
        except Signal:
            pass
        assert execution is not None
        lost = [number for number, op in enumerate(ops) if number >= place and op.kind == "ask"]
        steps = [self._step(recording, expected[caller][number]) for number in lost]
        verdict = execution.verdict
        first = verdict.first_divergence
        after = sorted(one.step for one in verdict.consequences)
        told = (first.step if first else None, after, sorted(one.step for one in verdict.unconsumed))
        wrong = self._wrong(shape, got, expected, {(caller, number) for number in lost})
        self.counts["edits"] += 1
        self.counts["consequences"] += len(after)
        self.counts["answers served to the wrong call"] += wrong
        if wrong or told != (steps[0], sorted(steps[1:]), sorted(steps)):
            self.counts["edits reported wrongly"] += 1
            self.failures.append(f"{seed}: edited {steps}, told {told}, {wrong} wrong")

    def _wrong(
        self, shape: Shape, got: list[list[str]], expected: list[list[str]], lost: set[tuple[int, int]]
    ) -> int:
        """Answers that went to another call than they were recorded for."""
        wrong = 0
        loose = shape.twins if not shape.threads else frozenset[int]()
        for caller in range(len(expected)):
            if caller not in loose:
                wanted = [
                    LOST if (caller, place) in lost else said for place, said in enumerate(expected[caller])
                ]
                wrong += sum(a != b for a, b in zip(got[caller], wanted, strict=True))
        chains = [Counter(tuple(answers[caller]) for caller in loose) for answers in (got, expected)]
        return wrong + sum((chains[0] - chains[1]).values())

    @staticmethod
    def _step(recording: Recording, said: str) -> int:
        """The step whose answer begins with the nonce of what was said."""
        nonce = re.match(r"N\d+\.", said)
        assert nonce is not None, said
        for effect in recording.effects:
            if isinstance(effect, ModelEffect) and any(
                nonce[0].encode() in b"".join(one.chunks) for one in effect.answers
            ):
                return effect.number
        raise AssertionError(said)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("shapes", 100), ("replays", 100), ("edits", 20), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path, default=RESULTS / "interleavings.json")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(NonceServer()) as server:
        os.environ["SPANREEL_STORE"] = f"{folder}/spans.db"
        spanreel.instrument()
        soak = Soak(Programs(server.url))
        for number in range(options.shapes):
            seed = f"{options.seed}.{number}"
            soak.shape(Shape.random(random.Random(seed)), seed, options.replays, options.edits)
            print(
                f"{number + 1}/{options.shapes} {dict(soak.counts)} failures {len(soak.failures)}",
                file=sys.stderr,
            )
            for failure in soak.failures[:3]:
                print(failure, file=sys.stderr)
        spanreel.uninstrument()
    counts = {"answers served to the wrong call": 0, "edits reported wrongly": 0, **soak.counts}
    asked = {name: getattr(options, name) for name in ("shapes", "replays", "edits", "seed")}
    row = {
        "asked": asked,
        **counts,
        "failures": soak.failures[:20],
        "seconds": round(time.monotonic() - began),
    }
    options.out.write_text(json.dumps(row, indent=1) + "\n", "utf-8")
    print(json.dumps(row, indent=1))
    sys.exit(bool(soak.failures))


if __name__ == "__main__":
    main()
