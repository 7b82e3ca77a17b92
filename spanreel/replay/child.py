"""LOUD: a replay in a process of its own: same interpreter, same entry point, same folder; nothing else is shared.

`replay_run` and `run_command` are the parent's side. ``python -m spanreel.replay.child FOLDER`` is the child's: it reads
the plan that the parent left in the folder, runs the program against the recording, and leaves its verdict there when
the interpreter shuts down, after the program's last thread.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from spanreel.exceptions import ApprovalPending, DecisionNeeded, NotReplayable, Signal, SpanreelError
from spanreel.location import resolve_store
from spanreel.replay import commands, contract, starting
from spanreel.replay.policy import Policy
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from spanreel.replay.execution import Execution
    from spanreel.replay.stored import Stored
    from spanreel.replay.verdict import Verdict

Echo = Literal["inherit", "stderr", "capture"]
_PLAN: Final = "plan.json"
_VERDICT: Final = "verdict.json"
_LAUNCH: Final = "spanreel.instrument.launch"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the child is to do. function: ``module:name``, called with `inputs`; else the program of `arguments` is run.

    policy: `Policy.as_dict`. segment: of a run that is resumed, which part of it this process is (2, 3, …).
    named: the program was named now, and is not the recorded one.
    """

    run: str
    store: str
    policy: dict[str, Any]
    whole_process: bool
    segment: int | None = None
    named: bool = False
    arguments: tuple[str, ...] = ()
    function: str | None = None
    file: str | None = None
    inputs: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a replay in a process of its own.

    verdict: None where the process ended before there was one; then `problem` says how.
    exit_code: as `Verdict.exit_code`; 1 without a verdict. stdout, stderr: what was captured, if asked for.
    """

    verdict: Verdict | None
    exit_code: int
    stdout: str | None = None
    stderr: str | None = None
    problem: str | None = None


def replay_run(
    store: str | os.PathLike[str] | None,
    run: str,
    command: Sequence[str] | None = None,
    *,
    policy: Policy | None = None,
    inputs: str | None = None,
    timeout: float | None = None,
    echo: Echo = "inherit",
    segment: int | None = None,
) -> Outcome:
    """Run a recorded run again in a fresh process.

    Args:
        store: where the run is, and where the replay is recorded; default: the project's.
        run: its name, or the path of a recording file.
        command: what to run; default: its recorded entry point, in its recorded folder.
        policy: who answers which call; default: everything from the recording, no network.
        inputs: of an agent function, the codec's JSON of the arguments to call it with; default: the recorded ones.
        timeout: seconds, after which the process is ended; default: none.
        echo: where the program's output goes: to ours, all to our stderr, or into the outcome.
        segment: of a run that is resumed, which part of it this is (2, 3, …).

    Raises:
        SpanreelError: there is no such run, it cannot be replayed, or its entry point is gone.
    """
    from spanreel.replay.stored import stored

    policy = policy or Policy()
    found = stored(
        run,
        store,
        whole_process=True if command else None,
        faithful=policy.faithful,
        resume=policy.resume,
    )
    if policy.resume and not policy.allow_drift:
        contract.check_entry(found.root, command)
    plan = Plan(found.name, str(resolve_store(store)), policy.as_dict(), found.whole_process, segment)
    plan, program, folder = _planned(plan, found, command)
    plan = replace(plan, inputs=inputs or plan.inputs)
    with tempfile.TemporaryDirectory(prefix="spanreel-replay-") as shared:  # only this user can read it
        _write(Path(shared, _PLAN), asdict(plan))
        line = [program.interpreter, *program.options, "-m", "spanreel.replay.child", shared]
        environment, started_ns = os.environ | {"SPANREEL_STORE": plan.store}, time.time_ns()
        code, output = _ran(
            line, folder, environment, timeout, echo, lambda pid: _ended_late(plan, pid, started_ns, timeout)
        )
        return _outcome(Path(shared, _VERDICT), code, timeout, output)


def run_command(
    command: Sequence[str], store: str | os.PathLike[str] | None = None, *, echo: Echo = "inherit"
) -> int:
    """Run any Python program with recording on and no change to its code.

    Args:
        command: ``python agent.py …``, ``pytest …``, a console script.
        store: where it is recorded; default: the project's.
        echo: where its output goes.

    Returns:
        Its exit code; 128 + the signal's number where a signal ended it.

    Raises:
        SpanreelError: there is no such program, or it is none of Python's.
        Refused: a hook of the project said no.
    """
    program = commands.program(command)
    environment = os.environ | ({"SPANREEL_STORE": str(resolve_store(store))} if store else {})
    line = [program.interpreter, *program.options, "-m", _LAUNCH, *program.arguments]
    allowed, since, pids = starting.ask_command(command, resolve_store(store)), time.time_ns(), list[int]()
    code, _ = _ran(line, None, environment, None, echo, started=pids.append)
    starting.keep_in_runs(allowed, resolve_store(store), pids[0], since)
    return 128 - code if code < 0 else code


def _planned(
    plan: Plan, found: Stored, command: Sequence[str] | None
) -> tuple[Plan, commands.Program, str | None]:
    """The plan with what to run, the interpreter with its options, and the folder to start in."""
    if command:
        program = commands.program(command)
        return replace(_with_program(plan, program), named=True), program, None
    again = f"spanreel replay {found.run.run_id[:12]} -- python …"
    folder = _folder(found, again)
    said = found.root.attributes
    if not found.whole_process:
        inputs = said.get(names.RUN_INPUT)
        function = str(said.get(names.CODE_FUNCTION, ""))
        if not isinstance(inputs, str) or ":" not in function:
            missing = names.RUN_INPUT if ":" in function else names.CODE_FUNCTION
            raise NotReplayable(
                f"run {found.run.run_id} has no {missing}, so its agent cannot be called again", again
            )
        file = said.get(names.CODE_FILE)
        plan = replace(plan, function=function, file=str(file) if file else None, inputs=inputs)
        return replace(plan, arguments=_started_as(said)), commands.Program(sys.executable, (), ()), folder
    arguments = said.get(names.PROCESS_ARGS)
    if not isinstance(arguments, (list, tuple)) or not arguments:
        raise NotReplayable(
            f"run {found.run.run_id} has no {names.PROCESS_ARGS}, so nobody knows what started it", again
        )
    program = commands.of_interpreter([str(one) for one in arguments])
    if commands.is_our_own(program):
        raise NotReplayable(
            f"run {found.run.run_id} was made by spanreel itself, which asked recorded calls again: there is no agent to run",
            f"spanreel replay {found.run.run_id[:12]} --calls",
        )
    first = program.arguments[0]
    if first not in ("-m", "-c") and not Path(folder or ".", first).exists():
        raise SpanreelError(
            f"the script of run {found.run.run_id} is gone: {Path(folder or '.', first)}", again
        )
    return _with_program(plan, program), program, folder


def _started_as(said: Mapping[str, Any]) -> tuple[str, ...]:
    """The program that called the agent function, which may look at its arguments; empty where nobody knows."""
    arguments = said.get(names.PROCESS_ARGS)
    try:
        return commands.of_interpreter([str(one) for one in arguments or ()]).arguments
    except SpanreelError:
        return ()


def _with_program(plan: Plan, program: commands.Program) -> Plan:
    return replace(plan, arguments=program.arguments)


def _folder(found: Stored, again: str) -> str | None:
    folder = found.root.attributes.get(names.PROCESS_CWD)
    if folder is None:
        return None
    if not Path(str(folder)).is_dir():
        raise SpanreelError(f"run {found.run.run_id} was made in {folder}, which is gone", again)
    return str(folder)


def _ran(
    line: Sequence[str],
    folder: str | None,
    environment: dict[str, str],
    timeout: float | None,
    echo: Echo,
    killed: Callable[[int], object] = int,
    started: Callable[[int], object] = int,
) -> tuple[int, tuple[str | None, str | None]]:
    pipe = subprocess.PIPE if echo == "capture" else None
    stdout = _our_stderr() if echo == "stderr" else pipe
    child = subprocess.Popen(line, cwd=folder, env=environment, stdout=stdout, stderr=pipe, text=True)
    started(child.pid)
    with _signals_to(child):
        try:
            output = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            output = child.communicate()
            killed(child.pid)
    return child.returncode, output


def _our_stderr() -> int:
    """Where our stderr goes; in a notebook, which has none that a process could write to, where the notebook's goes."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return 2


def _ended_late(plan: Plan, pid: int, started_ns: int, timeout: float | None) -> None:
    """What a killed process left open has an end: nobody works on it any more."""
    from spanreel.replay.ending import end_open_runs

    end_open_runs(Path(plan.store), pid, started_ns, f"ended after {timeout:g} s: it took too long")


@contextmanager
def _signals_to(child: subprocess.Popen[str]) -> Generator[None]:
    """What would interrupt us is the child's; a terminal tells both by itself."""

    def forward(number: int, frame: object) -> None:
        if number != signal.SIGINT or not sys.stdin or not sys.stdin.isatty():
            child.send_signal(number)

    try:
        before = {one: signal.signal(one, forward) for one in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread, which alone may handle signals
        before = {}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _outcome(file: Path, code: int, timeout: float | None, output: tuple[str | None, str | None]) -> Outcome:
    from spanreel.replay.verdict import Verdict

    if file.exists():
        found = json.loads(file.read_text("utf-8"))
        if "problem" in found:
            problem = SpanreelError(found["problem"], found["remedy"])
            problem.exit_code = found["exit_code"]
            raise problem
        verdict = Verdict.model_validate(found)
        return Outcome(verdict, verdict.exit_code, *output)
    how = f"by signal {-code}" if code < 0 else f"with code {code}"
    if timeout is not None and code == -signal.SIGKILL:
        how = f"because it took longer than {timeout:g} s"
    return Outcome(None, 1, *output, f"the replayed process ended {how} before there was a verdict")


def _write(file: Path, value: dict[str, Any]) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(value, out)


# the child's side


def main(shared: str) -> None:
    """Do what the plan says; the verdict is written at the very end of this process."""
    from spanreel.instrument import continuing, launch
    from spanreel.replay.execution import Execution
    from spanreel.replay.stored import stored

    launch.own_file(__file__)
    plan = Plan(**json.loads(Path(shared, _PLAN).read_text("utf-8")))
    policy = Policy.from_dict(plan.policy)
    verdict = Path(shared, _VERDICT)
    try:
        found = stored(
            plan.run,
            plan.store,
            whole_process=plan.whole_process,
            faithful=policy.faithful,
            resume=policy.resume,
        )
        launch.record(plan.store)
        continuing.install(found.origins)
        named = replace(found.recording, command=plan.arguments, named=True)
        execution = Execution(
            named if plan.named else found.recording,
            policy,
            store=plan.store,
            own_run=False,
            segment=plan.segment,
        )
        _run(execution, plan, verdict)
    except SpanreelError as error:
        said = {"problem": str(error.args[0]), "remedy": error.remedy, "exit_code": error.exit_code}
        _write(verdict, said)
        sys.exit(error.exit_code)


def _run(execution: Execution, plan: Plan, verdict: Path) -> None:
    from spanreel.instrument import launch
    from spanreel.replay import entry

    ended: list[BaseException] = []
    clock = ExitStack()
    execution.__enter__()
    atexit.register(_finish, execution, clock, ended, verdict)
    try:
        if execution.policy.clock == "recorded":
            clock.enter_context(_recorded_clock(execution))
        if plan.function is not None:
            sys.orig_argv = [sys.executable, *plan.arguments]
            sys.argv[:] = plan.arguments[plan.arguments[:1] == ("-m",) :] or [plan.file or ""]
            launch.hide_own_frames()
            execution.result = entry.call(plan.function, plan.file, plan.inputs or "{}")
        else:
            launch.run_program(plan.arguments)
    except Signal as error:  # said by the verdict, not by a traceback
        ended.append(error)
        sys.exit(3 if isinstance(error, (ApprovalPending, DecisionNeeded)) else 4)
    except SpanreelError:
        atexit.unregister(_finish)
        execution.abandon()
        raise
    except BaseException as error:
        ended.append(error)
        if _is_of_a_guard(error):
            sys.exit(1)
        raise


def _is_of_a_guard(error: BaseException) -> bool:
    """Whether a guard of a playbook stopped it, which says all there is to say in its one line."""
    asks = sys.modules.get("spanreel.replay.playbooks.asks")
    return asks is not None and isinstance(error, asks.Stopped)


def _recorded_clock(execution: Execution) -> AbstractContextManager[None]:
    from spanreel.replay.clock import recorded_clock

    return recorded_clock(execution.recording)


def _finish(execution: Execution, clock: ExitStack, ended: list[BaseException], verdict: Path) -> None:
    error = ended[0] if ended else None
    clock.close()
    try:
        execution.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
    except Signal:
        pass  # it is in the verdict
    finally:
        _write(verdict, execution.verdict.model_dump(mode="json", by_alias=True))


if __name__ == "__main__":
    main(sys.argv[1])
