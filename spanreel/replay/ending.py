"""LOUD: give an end to runs whose process was ended from outside, so that they do not look as if they still ran."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from pathlib import Path

    from spanreel.wire.spans import Span


def end_open_runs(store: Path, pid: int, since_ns: int, why: str) -> list[str]:
    """End the open runs of a process that is no more, as failed; what was under way inside them stays open.

    Args:
        store: where they are.
        pid: the process.
        since_ns: when it was started, Unix nanoseconds: an earlier process may have had the same number.
        why: the message of the error.

    Returns:
        Their ids.

    Raises:
        StoreError: the store cannot be read or written.
    """
    from spanreel.collector.store import open_reader, open_writer

    ended: list[Span] = []
    with open_reader(store) as reader:
        for run in reader.apart():
            if not run.open or run.started_ns < since_ns:
                continue
            root = next(span for span in reader.spans(run.trace_id) if span.span_id == run.root.span_id)
            if root.resource.attributes.get(names.PROCESS_PID) == pid:
                ended.append(_ended(root, why))
    if ended:
        with open_writer(store) as writer:
            writer.add(ended)
    return [str(span.attributes.get(names.RUN_ID, span.trace_id)) for span in ended]


def _ended(root: Span, why: str) -> Span:
    said = {key: value for key, value in root.attributes.items() if key != names.OPEN}
    said[names.ERROR_TYPE] = "TimeoutError"
    return replace(
        root, end_ns=time.time_ns(), status=names.STATUS_ERROR, status_message=why, attributes=said
    )
