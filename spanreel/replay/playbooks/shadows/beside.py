"""LOUD: playbooks in the shadow of an agent that works in this process: walked when its run has ended, in another thread.

The agent neither waits for it nor hears of it: whatever goes wrong here is kept, and raised at nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spanreel.exceptions import SpanreelError
from spanreel.instrument import invocation, recorder
from spanreel.instrument.guard import guard
from spanreel.replay.playbooks.shadows.shadow import Given, Shadowed, source_of, walked

if TYPE_CHECKING:
    import os

    from spanreel.replay.playbooks.body import Body


class Beside:
    """Shadows that are begun beside an agent. found: what they came to so far; problems: what kept one from it."""

    def __init__(self) -> None:
        self.found: list[Shadowed] = []
        self.problems: list[str] = []
        self._threads: list[threading.Thread] = []

    def start(self, bodies: Sequence[Body], run_id: str, store: str | os.PathLike[str] | None = None) -> None:
        """Walk these bodies over a run that has ended."""
        thread = threading.Thread(target=self._walk, args=(bodies, run_id, store), name="spanreel shadow")
        self._threads.append(thread)
        thread.start()

    def wait(self, timeout_s: float | None = None) -> list[Shadowed]:
        """What they came to, once they are done; what is there after `timeout_s` seconds."""
        for thread in self._threads:
            thread.join(timeout_s)
        return self.found

    def _walk(self, bodies: Sequence[Body], run_id: str, store: str | os.PathLike[str] | None) -> None:
        with guard("a shadow beside an agent"):
            try:
                found = recorder.current()
                if found is not None:
                    found.flush()
                source = source_of(run_id, store)
            except SpanreelError as error:
                self.problems.append(str(error))
                return
            for body in bodies:
                try:
                    self.found.append(walked(body, source, Given(beside=True), store))
                except SpanreelError as error:
                    self.problems.append(f"{body.name}: {error}")


@contextmanager
def beside(*bodies: Body, store: str | os.PathLike[str] | None = None) -> Generator[Beside]:
    """Walk playbooks over the run that ends in this block, once it has ended.

    ``with beside(body) as shadows: agent(...)``, then `shadows.wait()`.

    Args:
        bodies: what is walked.
        store: where the run is recorded; default: the project's.
    """
    found = Beside()
    try:
        yield found
    finally:
        with guard("beginning a shadow"):
            root = invocation.current_root()
            if root is not None and root.end_ns and root.run_id:
                found.start(bodies, root.run_id, store)
