"""LOUD: go on with a run: what has to be so before it may, and then the execution in a process of its own.

One process at a time resumes a run (a lock beside the store), for two would do the same effects twice.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanreel.exceptions import ContractChanged, NotReplayable, Undecided
from spanreel.location import resolve_store
from spanreel.replay import contract, origin
from spanreel.replay.approvals import gates_of
from spanreel.replay.files import file_of
from spanreel.replay.hooks import BEFORE_RESUME, consult, recorded
from spanreel.replay.policy import Policy
from spanreel.replay.recording import ModelEffect, Recording
from spanreel.replay.stored import Stored, stored
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from spanreel.replay.child import Echo, Outcome
    from spanreel.replay.gates import Gate
    from spanreel.wire.spans import Span

AGAIN = 1 << 31


def resume_run(
    store: str | os.PathLike[str] | None,
    run: str,
    command: Sequence[str] | None = None,
    *,
    policy: Policy | None = None,
    hook: Sequence[str] = (),
    timeout: float | None = None,
    echo: Echo = "inherit",
) -> Outcome:
    """Go on with a run after its gate, a crash, a timeout or a kill: what had ended is served, what follows is live.

    Args:
        store: where the run is; default: the project's.
        run: its name.
        command: what to run; default: its recorded entry point, in its recorded folder.
        policy: what of it is different; `resume` is always set.
        hook: hooks to ask besides the project's, see `hooks.hooks`.
        timeout: seconds, after which the process is ended; the run has failed then, and can be resumed.
        echo: where the program's output goes.

    Raises:
        Undecided: nobody has decided about the gate that it waits at.
        NotReplayable: it has completed, it is still running, or somebody else resumes it.
        ContractChanged: its code, or a secret that was blanked in it, would make it another run.
        Refused: a hook said no.
        SpanreelError: there is no such run, or its entry point is gone.
    """
    from spanreel.replay.child import replay_run

    wanted = replace(policy or Policy(match="scrubbed", network="allow"), resume=True)
    path = resolve_store(store)
    with _alone(path, _run_id(path, run)):
        found = stored(run, path, whole_process=True if command else None, resume=True)
        gates = _may_go_on(found, path)
        wanted = origin.resumed(found.root.attributes, wanted)
        if not wanted.allow_drift:
            contract.check_entry(found.root, command)
            _check_secrets(found.recording)
        _ask(found, gates, command, hook, path)
        return replay_run(path, found.run.run_id, command, policy=wanted, timeout=timeout, echo=echo)


def _run_id(store: Path, run: str) -> str:
    from spanreel.collector.store import open_reader

    if file_of(run)[0] is not None:
        raise NotReplayable("a run is resumed in a store", f"spanreel import {run}, then name the run")
    with open_reader(store) as reader:
        return reader.resolve(run).run_id


def _may_go_on(found: Stored, store: Path) -> list[Gate]:
    from spanreel.collector.store import open_reader

    run, short = found.run, found.run.run_id[:12]
    if run.status == "completed":
        raise NotReplayable(
            f"run {short} has completed: there is nothing to resume", f"spanreel replay {short}"
        )
    with open_reader(store) as reader:
        gates = gates_of(reader, run)
        newest = next(span for span in reader.spans(run.trace_id) if span.span_id == run.root.span_id)
    if run.open and _runs_still(newest):
        pid = newest.resource.attributes.get(names.PROCESS_PID)
        raise NotReplayable(f"run {short} is still running, as process {pid}", "wait for it, or end it first")
    waiting = [gate for gate in gates if gate.decision is None]
    if run.status == "paused" and waiting and not _decided_since(gates, newest):
        raise Undecided(
            f"run {short} waits for approval {waiting[0].title}, and nobody has decided",
            f"spanreel approve {short} {waiting[0].id}",
        )
    return gates


def _decided_since(gates: Sequence[Gate], newest: Span) -> bool:
    """Whether there is a decision that the newest segment did not have."""
    return any(gate.decision is not None and gate.decided_ns > newest.start_ns for gate in gates)


def _check_secrets(recording: Recording) -> None:
    """A secret that was blanked before it was stored cannot be handed back to an agent that goes on for real.

    Raises:
        ContractChanged: an effect that would be served lacks one.
    """
    for effect in recording.effects:
        parts = effect.answers if isinstance(effect, ModelEffect) else (effect,)
        if any(one.redacted for one in parts):
            raise ContractChanged(
                f"the result of step {effect.number} ({effect.title}) was stored with a secret blanked, which the agent would get",
                "if it does not matter: --allow-drift",
            )


def _ask(
    found: Stored, gates: Sequence[Gate], command: Sequence[str] | None, given: Sequence[str], store: Path
) -> None:
    said = found.root.attributes
    event: dict[str, Any] = {
        "run_id": found.run.run_id,
        "agent_name": found.run.agent_name,
        "status": found.run.status,
        "store": str(store),
        "function": said.get(names.CODE_FUNCTION),
        "command": list(command) if command else said.get(names.PROCESS_ARGS),
        "working_directory": said.get(names.PROCESS_CWD),
        "contract": said.get(names.CONTRACT),
        "approvals": [_told(gate) for gate in gates],
    }
    consult(
        BEFORE_RESUME, event, given, keep=lambda said: recorded(said.hook, found.root, said.refusal, store)
    )


def _told(gate: Gate) -> dict[str, Any]:
    decision = gate.decision
    return {
        "id": gate.id,
        "status": gate.status,
        "summary": gate.summary,
        "actor": decision.actor if decision is not None else None,
        "reason": decision.reason if decision is not None else None,
    }


def _runs_still(root: Span) -> bool:
    """Whether the process that began a run is there; one of the same number that was started later is another."""
    pid = root.resource.attributes.get(names.PROCESS_PID)
    if not isinstance(pid, int) or isinstance(pid, bool):
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return False  # somebody else's: it cannot have been ours
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        now_ns = Path("/proc/self").stat().st_mtime_ns
    except (OSError, ValueError, IndexError):
        return True  # there is no /proc here
    if fields[0] == "Z":
        return False
    return now_ns - (uptime - started_s) * 1e9 < root.start_ns + 1e9


@contextmanager
def _alone(store: Path, run_id: str) -> Generator[None]:
    """Hold a run while it is resumed: one byte of a file beside the store is locked, which ends with this process."""
    descriptor = os.open(
        store.with_name(store.name + ".resume"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    place = int(run_id[:8], 16) % AGAIN
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:
            raise NotReplayable(
                f"run {run_id[:12]} is being resumed by another process", "wait for it: spanreel runs"
            ) from None
        yield
    finally:
        os.close(descriptor)
