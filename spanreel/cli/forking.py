"""What the options of `replay` and `fork` say of a run's steps and tools, held against that run; steps in the editor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from spanreel.cli.overrides import Usage
from spanreel.cli.terminal import note
from spanreel.exceptions import SpanreelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from spanreel.replay.policy import Overrides, Policy
    from spanreel.replay.recording import Effect
    from spanreel.replay.timeline import Replay


def tool_steps(run: str, store: Path | None) -> frozenset[int]:
    """The numbers of the steps at which a tool answers."""
    return frozenset(step.number for step in _of(run, store).steps if step.kind == "tool" and step.number)


def check(run: str, store: Path | None, policy: Policy) -> None:
    """See that the run has the steps that the policy names; say which of its tools the run did not call.

    Raises:
        Usage: there is no such step.
    """
    changed = policy.overrides
    numbers = {*changed.steps, *changed.responses, *changed.requests, *([policy.at] if policy.at else [])}
    if not numbers and not policy.allow_tools:
        return
    found = _of(run, store)
    last = max((step.number or 0 for step in found.steps), default=0)
    for number in sorted(numbers):
        if number > last + (number == policy.at):  # a fork after the last step goes on from it
            raise Usage(
                f"run {run} has no step {number}; its last one is step {last}", f"spanreel show {run}"
            )
    called = sorted({call.tool_name for call in found.tool_calls})
    for name in sorted(policy.allow_tools.difference(called)):
        note(
            f"note: run {run} called no tool {name}" + (f"; it called {', '.join(called)}" if called else "")
        )


def edited(changed: Overrides, edits: Mapping[int, Path | None], run: str, store: Path | None) -> Overrides:
    """With what the user makes of the steps, each in the editor, or in a file from an earlier time.

    Raises:
        Usage: nothing was edited, or something that cannot be; the file stays, and is named.
    """
    if not edits:
        return changed
    from spanreel.replay.editing import effect_of
    from spanreel.replay.stored import stored

    found = stored(run, store, whole_process=False)
    replay = _of(run, store)
    for step, file in edits.items():
        effect = effect_of(found.recording, step)
        messages = replay.step(step).output_messages or [None]
        one = _edited(effect, messages[0], file, run)
        changed = replace(
            changed,
            responses={**changed.responses, **one.responses},
            requests={**changed.requests, **one.requests},
        )
    return changed


def _edited(effect: Effect, answer: dict[str, object] | None, kept: Path | None, run: str) -> Overrides:
    from spanreel.cli.editor import edited as in_editor
    from spanreel.replay.editing import document, overrides

    before = document(effect, answer)
    file = kept or in_editor(before, f"spanreel-step-{effect.number}")
    try:
        one = overrides(effect, before, file.read_text("utf-8"))
    except (SpanreelError, OSError, UnicodeDecodeError) as error:
        said, remedy = (
            (str(error.args[0]), error.remedy)
            if isinstance(error, SpanreelError)
            else (
                f"{file} cannot be read ({getattr(error, 'strerror', None) or 'it is no UTF-8 text'})",
                "mend it",
            )
        )
        again = f"{remedy}, then: spanreel fork {run} --edit {effect.number}=@{file}"
        raise Usage(said if kept else f"{said}; what you wrote is in {file}", again) from None
    if kept is None:
        file.unlink(missing_ok=True)
    if not one:
        raise Usage("nothing was edited", f"spanreel fork {run} --at {effect.number} goes on without an edit")
    return one


def _of(run: str, store: Path | None) -> Replay:
    from spanreel.replay.files import file_of
    from spanreel.replay.load import from_file, load

    path, name = file_of(run)
    return load(run, store) if path is None else from_file(path, name)
