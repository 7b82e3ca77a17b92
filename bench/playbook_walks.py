"""A playbook walked against the tape of a recorded run, through the executor; or on real tools.

Nothing is guessed here: what the tape does not have stops the walk. Models are not asked: a playbook that needs one stops
there, and that is counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from playbook_runs import Called, Episode, written

from spanreel.exceptions import Signal
from spanreel.instrument import codec
from spanreel.instrument.responder import ToolRequest
from spanreel.replay.executor import Executor
from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.walk import walk
from spanreel.replay.policy import Policy


@dataclass
class Played:
    """What a walk did. writes: proposed, in order, as `written` tells them. stopped: the guard and the reason, if any."""

    writes: list[tuple[str, str]] = field(default_factory=list[Any])
    calls: int = 0
    stopped: str | None = None
    guard: str | None = None
    reason: str = ""
    missing: bool = False
    seconds: float = 0.0


class NoModel(Exception):
    """The playbook asks a model, and there is none here."""


class Tape:
    """The tools of a recorded run: each call is served by the executor, by name and arguments, once."""

    def __init__(self, episode: Episode) -> None:
        self.executor = Executor(episode.recording, Policy())
        self.safety = {call.name: "write" if call.write else "read" for call in episode.calls}

    def __call__(self, name: str, arguments: Mapping[str, Any]) -> Any:
        asked = ToolRequest(name, codec.plain(dict(arguments)), safety=self.safety.get(name, "write"))
        answer = self.executor.tool(asked)
        return codec.decode(answer.encoded)  # type: ignore[union-attr]


def play(
    body: Body,
    params: Mapping[str, Any],
    call: Callable[[str, dict[str, Any]], Any],
    safety: Mapping[str, str],
    guided: bool = False,
) -> Played:
    """Walk a playbook to its end, or to the guard that stops it.

    Args:
        body: what to walk.
        params: by name.
        call: what calls a tool, by name and arguments.
        safety: of each tool that is registered, by name.
        guided: as `walk` has it; nothing mends here.
    """
    played, began = Played(), time.perf_counter()
    walking = walk(body, params, guided=guided)
    step: Callable[[], Any] = partial(next, walking)
    try:
        while True:
            asked = step()
            try:
                answer = _answer(asked, played, call, safety)
            except (Signal, NoModel) as error:
                played.missing |= isinstance(error, Signal)
                said = f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
                step = partial(walking.throw, RuntimeError(said))
            else:
                step = partial(walking.send, answer)
    except StopIteration:
        pass
    except asks.Stopped as stopped:
        played.stopped, played.guard = stopped.failure.state, stopped.failure.guard
        played.reason = stopped.failure.reason
    played.seconds = time.perf_counter() - began
    return played


def _answer(asked: Any, played: Played, call: Callable[..., Any], safety: Mapping[str, str]) -> Any:
    if isinstance(asked, asks.Known):
        return asks.ToolFacts(asked.tool, safety[asked.tool]) if asked.tool in safety else None
    if isinstance(asked, asks.Call):
        if safety[asked.tool] != "read":
            played.writes.append(written(asked.tool, asked.args))
        played.calls += 1
        return call(asked.tool, dict(asked.args))
    if isinstance(asked, asks.Ask):
        raise NoModel(asked.state)
    if isinstance(asked, asks.SpentSoFar):
        return asks.Spent()
    return None


def safety_of(episodes: list[Episode]) -> dict[str, str]:
    """What each tool of a domain is, by name."""
    calls: list[Called] = [call for episode in episodes for call in episode.calls]
    return {call.name: "write" if call.write else "read" for call in calls}
