"""A run as the compiler sees it: what was said to the agent, what it called, what came back, what models were asked.

Quiet values, made of a `Replay`. Moments are places in the run's order of steps, so that a value can only have come from
what was there before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spanreel.replay.timeline import Replay


@dataclass(frozen=True, slots=True)
class Said:
    """A text that came from outside: of the user, or of the run's input. at: the moment before which it was there."""

    at: int
    text: str
    role: str = "user"


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call.

    at: its moment. arguments: by name. result: as bindings see it (`walk.jsonable`); text: as it was. error: of a call
    that failed. safety: read, write, irreversible; None: nobody said. span: ``trace:span``.
    """

    at: int
    tool: str
    arguments: dict[str, Any]
    result: Any
    text: str | None
    error: str | None
    safety: str | None
    span: str
    call_id: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Thought:
    """A model call. text: what it answered in words; calls: ids of the tool calls that it asked for."""

    at: int
    span: str
    system: str | None
    prompt: tuple[dict[str, Any], ...]
    text: str
    calls: tuple[str, ...]
    model: str | None
    parameters: dict[str, Any]
    input_tokens: int | None
    output_tokens: int | None
    cost: str | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Observed:
    """A run.

    input: what it was started with, as JSON (an object by parameter name, or a text). ok: it succeeded; why not else.
    schemas: JSON Schema of the arguments of each tool that a model was told of, by its name.
    """

    run_id: str
    agent: str | None
    input: Any
    said: tuple[Said, ...]
    calls: tuple[Call, ...]
    thoughts: tuple[Thought, ...]
    output: Any
    ok: bool
    why: str = ""
    replay: Replay | None = field(default=None, compare=False, repr=False)
    schemas: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
