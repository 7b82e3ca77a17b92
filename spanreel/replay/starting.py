"""LOUD: what the project's hooks are asked before a command or a playbook is run, and where it is kept.

What they allow becomes spans of the runs that follow. What they refuse is a run too, a failed one in which nothing
happened, so that it is seen who wanted what.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanreel.exceptions import Refused
from spanreel.instrument import codec, invocation, recorder, responder
from spanreel.instrument.invocation import WORKFLOW
from spanreel.instrument.responder import LIVE
from spanreel.replay.hooks import BEFORE_RUN, Said, consult, hooks, recorded, within
from spanreel.wire import attributes as names
from spanreel.wire.spans import Resource, Scope, Span

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Body


def ask_command(command: Sequence[str], store: Path) -> list[Said]:
    """Ask before a command is run with recording on.

    Raises:
        Refused: a hook said no; that is in the store as a failed run.
    """
    about = {"command": list(command), "working_directory": str(Path.cwd()), "store": str(store)}
    said: list[Said] = []
    try:
        consult(BEFORE_RUN, about, keep=said.append)
    except Refused as refused:
        root = _refused_root(" ".join(command), command, refused)
        _write(root, store)
        for one in said:
            recorded(one.hook, root, one.refusal, store)
        raise
    return said


def keep_in_runs(said: Sequence[Said], store: Path, pid: int, since_ns: int) -> None:
    """Keep what hooks said in the runs that a process has made.

    Args:
        said: of the hooks that allowed it.
        store: where its runs are.
        pid: the process, which has ended.
        since_ns: when it was started, Unix nanoseconds: an earlier process may have had the same number.
    """
    from spanreel.collector.store import open_reader
    from spanreel.location import spool_folder

    if not said or not (store.exists() or spool_folder(store).exists()):  # it recorded nothing
        return
    with open_reader(store) as reader:
        made = [run for run in reader.apart() if run.started_ns >= since_ns]
        roots = [
            span for run in made for span in reader.spans(run.trace_id) if span.span_id == run.root.span_id
        ]
    for root in roots:
        if root.resource.attributes.get(names.PROCESS_PID) == pid:
            for one in said:
                recorded(one.hook, root, one.refusal, store)


def ask_playbook(body: Body, mode: str, params: Mapping[str, Any]) -> list[Said]:
    """Ask before a playbook is run for real; a replay of one asks nothing. `keep_here` keeps the answers in its run.

    Raises:
        Refused: a hook said no; where recording is on, that is a failed run, and no evidence about the playbook.
    """
    if responder.current() is not LIVE or not hooks(BEFORE_RUN):
        return []
    about = {
        "playbook": body.name,
        "hash": body.hash,
        "mode": mode,
        "params": codec.plain(dict(params)),
        "risk": body.risk,
        "working_directory": str(Path.cwd()),
    }
    said: list[Said] = []
    try:
        consult(BEFORE_RUN, about, keep=said.append)
    except Refused as refused:
        begun = invocation.begin(WORKFLOW, body.name, {}, inputs=about)
        if begun is not None:
            keep_here(said, begun)
            begun.end(error=refused)
        raise
    return said


def keep_here(said: Sequence[Said], begun: invocation.Invocation | None) -> None:
    """Keep what hooks said in a run of this process."""
    from opentelemetry import context

    if begun is None or recorder.current() is None:
        return
    token = context.attach(begun.context)
    try:
        for one in said:
            within(one)
    finally:
        context.detach(token)


def _refused_root(name: str, command: Sequence[str], refused: Refused) -> Span:
    from spanreel import version

    now = time.time_ns()
    attributes: dict[str, Any] = {
        names.OPERATION: WORKFLOW,
        names.WORKFLOW_NAME: name,
        names.PROCESS_ARGS: list(command),
        names.PROCESS_CWD: str(Path.cwd()),
        names.ERROR_TYPE: type(refused).__name__,
    }
    return Span(
        trace_id=secrets.token_hex(16),
        span_id=secrets.token_hex(8),
        name=f"{WORKFLOW} {name}",
        start_ns=now,
        end_ns=now,
        status=names.STATUS_ERROR,
        status_message=str(refused.args[0]),
        attributes=attributes,
        resource=Resource({names.SERVICE_NAME: "spanreel", names.PROCESS_PID: os.getpid()}),
        scope=Scope(names.SCOPE, version.installed()),
    )


def _write(span: Span, store: Path) -> None:
    from spanreel.collector.store import open_writer

    with open_writer(store) as writer:
        writer.add([span])
