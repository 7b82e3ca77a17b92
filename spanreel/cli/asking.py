"""What `replay --calls` and `replay --samples` do: ask recorded model calls again, and print what became of it.

The options are those of `executing`; here one function is called and its value is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanreel.cli.terminal import console, draw, note, say_json

if TYPE_CHECKING:
    from pathlib import Path

    from spanreel.replay.policy import Budget, Overrides
    from spanreel.replay.resent import ResentCall
    from spanreel.replay.samples import Sample


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

    def tell(one: Sample) -> None:
        note(f"{one.setting} setting, answer {one.turn} of {count}")

    found = sample(run, count, overrides=changed, step=step, store=store, budget=budget, on_sample=tell)
    if json:
        say_json(found.to_json(indent=2))
    else:
        draw(*sample_lines(found, console().width), wrap=False)
    return found.exit_code
