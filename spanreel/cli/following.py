"""New spans of a store as they arrive. It reads again and again, because spans come from other processes."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from spanreel.cli import words
from spanreel.cli.terminal import note, say, say_json
from spanreel.location import resolve_store

if TYPE_CHECKING:
    from spanreel.wire.records import Record

PAUSE = 0.3  # seconds between two looks


def follow(
    store: Path | None, *, everything: bool, count: int | None, deadline: float | None, json: bool
) -> None:
    """Print spans, one a line, until `count` of them, the deadline (`time.monotonic`), or an interrupt.

    Raises:
        StoreError: the store cannot be read. One that is not there yet is waited for.
    """
    from spanreel.collector.store import open_reader

    path = resolve_store(store)
    seen, printed = 0 if everything else _end(path), 0
    note(f"following {path}; stop with Ctrl-C")
    while True:
        if _is_there(path):
            with open_reader(path) as reader:
                seen, records = reader.tail(seen)
        else:
            records = []
        for record in records:
            _print(record, json)
            printed += 1
            if printed == count:
                return
        sys.stdout.flush()
        if deadline is not None and time.monotonic() >= deadline:
            return
        time.sleep(PAUSE if deadline is None else max(0.0, min(PAUSE, deadline - time.monotonic())))


def _end(path: Path) -> int:
    from spanreel.collector.store import open_reader

    if not _is_there(path):
        return 0
    with open_reader(path) as reader:
        return reader.end()


def _is_there(path: Path) -> bool:
    from spanreel.location import spool_folder

    return path.exists() or spool_folder(path).is_dir()


def _print(record: Record, json: bool) -> None:
    from spanreel.replay.moments import milliseconds, timestamp
    from spanreel.replay.report.text import count_text, duration_text, truncated
    from spanreel.wire.steps import failed

    took = None if record.open else milliseconds(record.start_ns, record.end_ns)
    if json:
        from spanreel.cli.objects import TailedSpan

        span = TailedSpan(
            trace_id=record.trace_id,
            span_id=record.span_id,
            parent_span_id=record.parent_span_id,
            name=record.name,
            kind=record.kind,
            started_at=timestamp(record.start_ns),
            duration=took,
            open=record.open,
            status="error" if failed(record) else "ok",
            error=record.error_message,
        )
        say_json(span.to_json())
        return
    usage = record.usage
    tokens = f"{count_text(usage.input)}→{count_text(usage.output)} tokens" if usage else ""
    fate = "begun" if record.open else "failed" if failed(record) else ""
    error = truncated(words.flat(record.error_message or ""), 60)
    parts = [
        record.trace_id[:8],
        f"{words.moment(timestamp(record.start_ns)):>8}",
        f"{duration_text(took):>7}",
        f"{record.kind:<8}",
    ]
    say("  ".join(filter(None, [*parts, words.flat(record.name), tokens, fate, error])))
