"""What `replay --calls` and `replay --samples` do: ask recorded model calls again, and print what became of it.

The options are those of `executing`; here one function is called and its value is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spanreel.cli import overrides
from spanreel.cli.terminal import console, draw, note, say_json
from spanreel.exceptions import SpanreelError

if TYPE_CHECKING:
    from pathlib import Path

    from spanreel.replay.policy import Budget, Overrides
    from spanreel.replay.resent import ResentCall
    from spanreel.replay.samples import Sample


def ask(
    run: str, given: list[str] | None, step: list[int] | None, unfit: Mapping[str, Any],
    limits: tuple[str | None, int | None, float | None], samples: int | None, *, json: bool, store: Path | None,
) -> int:  # fmt: skip
    """What the options of `replay` ask for without an agent; the exit code.

    Args:
        run: its name.
        given: the `--set`s, each with its step.
        step: the `--step`s; one alone is the call that is asked.
        unfit: options that mean nothing where no agent runs, and whether they are given.
        limits: cost, calls and seconds.
        samples: how many answers of each setting; None: each call once.
        json: print the value instead of drawing it.
        store: where the run is.

    Raises:
        Usage: options that contradict each other.
    """
    from spanreel.replay.policy import Overrides
    from spanreel.replay.settings import limited

    wrong = next((name for name, value in unfit.items() if value), None)
    if wrong is not None:
        option = "--calls" if samples is None else "--samples"
        raise overrides.Usage(
            f"{wrong} is for an agent that runs, and with {option} none does", f"leave {wrong} out"
        )
    every, steps, hints = overrides.parameters(given or ())
    for hint in hints:
        note(hint)
    alone = sorted(set(step or ()))
    if len(alone) > 1 and (samples is not None or set(alone) - set(steps)):
        raise overrides.Usage("more than one step is named", "name one: --step N")
    changed, only = Overrides(every=every, steps=steps), alone[0] if len(alone) == 1 else None
    try:
        budget = limited(*limits)
    except SpanreelError as error:
        raise overrides.Usage(str(error.args[0]), error.remedy) from None
    if samples is None:
        return ask_calls(run, changed, budget, only, json=json, store=store)
    return ask_samples(run, samples, changed, budget, only, json=json, store=store)


def ask_calls(
    run: str, changed: Overrides, budget: Budget | None, step: int | None, *, json: bool, store: Path | None
) -> int:
    """Ask each model call of a run again, or the one of a step; the exit code."""
    from spanreel.cli.render.resent import lines
    from spanreel.replay.resend import resend

    def tell(call: ResentCall) -> None:
        note(f"step {call.step}: {call.verdict}")

    found = resend(run, step=step, overrides=changed, store=store, budget=budget, on_call=tell)
    if json:
        say_json(found.to_json(indent=2))
    else:
        draw(*lines(found, console().width), wrap=False)
    return found.exit_code


def ask_samples(
    run: str,
    count: int,
    changed: Overrides,
    budget: Budget | None,
    step: int | None,
    *,
    json: bool,
    store: Path | None,
) -> int:
    """Ask one model call `count` times as it was and `count` times with the change; the exit code."""
    from spanreel.cli.render.resent import sample_lines
    from spanreel.replay.samples import sample
    from spanreel.replay.spread import answers_needed

    def tell(one: Sample) -> None:
        note(f"{one.setting} setting, answer {one.turn} of {count}")

    if count < answers_needed():
        note(f"{count} answers of each are too few to tell a change from noise; {answers_needed()} can")
    found = sample(run, count, overrides=changed, step=step, store=store, budget=budget, on_sample=tell)
    if json:
        say_json(found.to_json(indent=2))
    else:
        draw(*sample_lines(found, console().width), wrap=False)
    return found.exit_code
