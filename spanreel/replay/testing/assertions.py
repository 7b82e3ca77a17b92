"""What tests say about runs: which tools were called, which steps there were, whether two runs did the same.

What fails shows the steps. A run is a `Replay`, the `spanreel_recording` of the test, an execution, the name of a run
in the store, or the path of a recording. The steps of a run that was replayed are those of the replay.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any, TypeAlias

from spanreel.replay import load
from spanreel.replay.compare import ReplayComparison, compare
from spanreel.replay.execution import Execution
from spanreel.replay.files import file_of
from spanreel.replay.report.text import clean, truncated
from spanreel.replay.timeline import Replay, ReplayStep, ToolCallRecord

if TYPE_CHECKING:
    from spanreel.replay.testing.playing import Playing
    from spanreel.replay.testing.stub import Stub

    Run: TypeAlias = Replay | Playing | Execution | Stub | str | os.PathLike[str]

_WIDTH = 110


def assert_tool_called(
    run: Run,
    name: str,
    args: Mapping[str, Any] | Callable[[Any], Any] | None = None,
    times: int | None = None,
    min: int = 1,  # noqa: A002 - the word for it
) -> list[ToolCallRecord]:
    """A tool was called.

    Args:
        run: what ran.
        name: of the tool.
        args: some of its arguments, each a value or a function that says whether a value will do; or a function of all
            of them; None: any.
        times: exactly so often; 0: never.
        min: at least so often, where `times` is not given.

    Returns:
        The calls, in order.

    Raises:
        AssertionError: it was not; shows the calls that there were.
    """
    replay = replay_of(run)
    called = [call for call in replay.tool_calls if call.tool_name == name]
    fitting = [call for call in called if _fits(call.tool_args, args)]
    wanted = times if times is not None else min
    right = len(fitting) == wanted if times is not None else len(fitting) >= wanted
    if right:
        return fitting
    how = "" if args is None else f" with {_value(args)}"
    often = f"exactly {wanted}" if times is not None else f"at least {wanted}"
    raise AssertionError(
        f"tool {name}{how} was called {len(fitting)} times, not {often}{_others(replay, called)}\n{shown(replay)}"
    )


def assert_steps(run: Run, steps: Sequence[str | EllipsisType]) -> list[ReplayStep]:
    """The steps were these, in this order.

    Args:
        run: what ran.
        steps: each a step's kind (``"llm"``, ``"tool"``), its tool or model (``"get_order"``, ``"gpt-5"``), both
            (``"tool:get_order"``) or its whole name (``"chat gpt-5"``); ``...`` stands for any number of steps.

    Returns:
        The run's steps.

    Raises:
        AssertionError: they were not; shows those that there were.
    """
    replay = replay_of(run)
    found = [step for step in replay.steps if step.number is not None]
    if _alike(found, list(steps)):
        return found
    wanted = ", ".join("..." if one is ... else str(one) for one in steps)
    raise AssertionError(f"the steps are not [{wanted}]\n{shown(replay)}")


def assert_same_behaviour(a: Run, b: Run, ignore: Collection[str] = ()) -> ReplayComparison:
    """Two runs did the same: the same steps in the same order, asked and answered alike.

    Ids, times and durations do not count.

    Args:
        a: what is expected.
        b: what ran.
        ignore: what is not compared: see `spanreel.replay.compare.compare`.

    Returns:
        The comparison.

    Raises:
        AssertionError: they did not; says where they first part, and shows the steps of both.
    """
    here, there = replay_of(a), replay_of(b)
    found = compare(here, there, ignore) if ignore else compare(here, there)
    if found.identical:
        return found
    first = found.first_divergence
    lines = ["the runs do not do the same"]
    if first is not None:
        steps = " and ".join(
            f"step {number} of {which}"
            for number, which in ((first.a_step, "a"), (first.b_step, "b"))
            if number
        )
        lines.append(f"  first at {steps} ({first.name}): {first.what}")
        if first.path:
            lines += [f"  {first.path}", f"    a: {_value(first.a)}", f"    b: {_value(first.b)}"]
    elif found.content_diff:
        lines += [f"  {clean(line)}" for line in found.content_diff.splitlines()]
    raise AssertionError("\n".join([*lines, shown(here, "a"), shown(there, "b")]))


def replay_of(run: Run) -> Replay:
    """What a test means by a run.

    Raises:
        UnknownRun, AmbiguousRun, BadInput, StoreError: there is no such run.
    """
    if isinstance(run, Replay):
        return run
    if isinstance(run, Execution):
        return load.load(run.run_id or "last", run._store)
    if isinstance(run, (str, os.PathLike)):
        path, name = file_of(run)
        return load.load(str(run)) if path is None else load.from_file(path, name)
    return run.replay


def shown(replay: Replay, name: str = "") -> str:
    """The steps of a run, one a line."""
    title = f"steps of {name} ({replay.run_id[:12]}):" if name else "its steps:"
    lines = [_line(step) for step in replay.steps]
    return "\n".join([title, *(truncated(f"  {line}", _WIDTH) for line in lines or ["none"])])


def _line(step: ReplayStep) -> str:
    number = "-" if step.number is None else step.number
    error = f"  failed: {clean(step.error)}" if step.error else ""
    if step.tool is not None:
        result = "" if step.error else f" -> {_value(step.tool.result)}"
        return f"{number}. tool {step.tool.tool_name}({_value(step.tool.tool_args)}){result}{error}"
    return f"{number}. {step.kind} {clean(step.model or step.name)}{error}"


def _others(replay: Replay, called: Sequence[ToolCallRecord]) -> str:
    if called:
        return "; its calls were " + ", ".join(_value(call.tool_args) for call in called)
    names = sorted({call.tool_name for call in replay.tool_calls})
    return f"; the tools that were called: {', '.join(names)}" if names else "; no tool was called"


def _fits(given: Any, wanted: Mapping[str, Any] | Callable[[Any], Any] | None) -> bool:
    if wanted is None:
        return True
    if callable(wanted):
        return bool(wanted(given))
    if not isinstance(given, Mapping):
        return False
    return all(
        name in given and (value(given[name]) if callable(value) else given[name] == value)
        for name, value in wanted.items()
    )


def _alike(steps: Sequence[ReplayStep], wanted: Sequence[str | EllipsisType]) -> bool:
    """Whether the steps are the wanted ones; which places a ``...`` takes is tried out from the end."""
    reached = {0}  # how many of the steps may have been taken
    for one in wanted:
        if one is ...:
            reached = set(range(min(reached), len(steps) + 1)) if reached else set()
        else:
            reached = {place + 1 for place in reached if place < len(steps) and _is(steps[place], one)}
    return len(steps) in reached


def _is(step: ReplayStep, wanted: str) -> bool:
    named = step.tool.tool_name if step.tool is not None else step.model or ""
    return wanted in (step.kind, named, f"{step.kind}:{named}", step.name)


def _value(value: Any) -> str:
    if callable(value):
        return getattr(value, "__name__", "a function")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return truncated(clean(text).replace("\n", " "), _WIDTH)
