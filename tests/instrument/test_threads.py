"""The run follows work into threads; lanes are the same each time."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import context as otel_context

from spanreel.instrument import threads

KEY = otel_context.create_key("test")


@pytest.fixture(autouse=True)
def carried() -> Iterator[None]:
    """Propagation is on, and a run begins here."""
    threads.install()
    token = otel_context.attach(threads.in_new_run(otel_context.set_value(KEY, "here")))
    yield
    otel_context.detach(token)
    threads.uninstall()


def seen() -> tuple[object, str]:
    """What a thread knows."""
    return otel_context.get_value(KEY), threads.lane()


def test_a_thread_has_its_starters_context_and_a_lane_of_its_own() -> None:
    """Also one that overrides run(), and its object looks untouched while it runs."""
    found: list[object] = []

    class Own(threading.Thread):
        def run(self) -> None:
            found.append((seen(), "run" in self.__dict__))

    for thread in (threading.Thread(target=lambda: found.append((seen(), False))), Own()):
        thread.start()
        thread.join()
    assert found == [(("here", "0.0"), False), (("here", "0.1"), False)]


def test_pool_lanes_say_what_was_submitted_not_which_thread_ran_it() -> None:
    """A pool of one thread gives eight submissions eight lanes; what they submit nests."""
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(4) as four:
        assert [future.result() for future in [one.submit(seen) for _ in range(8)]] == [
            ("here", f"0.{n}") for n in range(8)
        ]
        assert one.submit(lambda: four.submit(seen).result()).result() == ("here", "0.8.0")


def test_a_context_copied_before_the_submit_wins() -> None:
    """As langchain does; the lane is still that of the submission."""
    token = otel_context.attach(otel_context.set_value(KEY, "copied"))
    copied = contextvars.copy_context()
    otel_context.detach(token)
    with ThreadPoolExecutor(2) as pool:
        assert pool.submit(copied.run, seen).result() == ("copied", "0.0")


def test_executors_of_the_event_loop_carry_both() -> None:
    """to_thread and run_in_executor; tasks stay in their thread's lane."""

    async def main() -> list[object]:
        loop = asyncio.get_running_loop()
        first = await asyncio.gather(asyncio.to_thread(seen), loop.run_in_executor(None, seen))
        return [*first, await asyncio.create_task(asyncio.sleep(0, seen()))]

    found = asyncio.run(main())
    assert found == [("here", "0.1"), ("here", "0.0"), ("here", "0")]  # the coroutine to_thread starts later


def test_each_run_counts_from_zero() -> None:
    """A run that began in a thread has the lanes it would have had in the main thread."""

    def run() -> list[tuple[object, str]]:
        token = otel_context.attach(threads.in_new_run(otel_context.get_current()))
        try:
            with ThreadPoolExecutor(2) as pool:
                return [seen(), *[pool.submit(seen).result() for _ in range(2)]]
        finally:
            otel_context.detach(token)

    with ThreadPoolExecutor(2) as pool:
        assert run() == pool.submit(run).result() == [("here", "0"), ("here", "0.0"), ("here", "0.1")]


def test_exceptions_and_results_pass_untouched() -> None:
    """The future is the user's own."""
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result()
        with pytest.raises(TypeError):
            pool.submit()  # type: ignore[call-arg]  # what the executor says to it is its own


def test_uninstall_puts_the_originals_back() -> None:
    """Nothing of ours stays in the standard library."""
    threads.uninstall()
    assert "FunctionWrapper" not in type(threading.Thread.__dict__["start"]).__name__
    assert "FunctionWrapper" not in type(ThreadPoolExecutor.__dict__["submit"]).__name__
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(seen).result()[0] is None
