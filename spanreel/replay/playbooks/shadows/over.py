"""LOUD: which recorded runs a shadow is walked over: ``agent=retail since=7d status=completed goal~=exchange``.

Executions of playbooks, replays and forks are no run of an agent, and are left out; so are runs that did not succeed, unless
a status is asked for: what an agent failed at is not what a playbook should do.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from spanreel.exceptions import BadInput
from spanreel.location import resolve_store

if TYPE_CHECKING:
    import os

    from spanreel.wire.grouping import Run

KEYS: Final = ("agent", "status", "session", "since", "until", "goal", "limit")
REMEDY: Final = "write it like agent=retail since=7d status=completed goal~=exchange tag.kind=x limit=50"
_PART: Final = re.compile(r"(tag\.[^~=\s]+|[a-z]+)(~?=)(.*)", re.DOTALL)
_AGO: Final = re.compile(r"(\d+)([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse(text: str) -> list[tuple[str, str, str]]:
    """Key, ``=`` or ``~=``, and value of each part.

    Raises:
        BadInput: a part that is none.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadInput(f"--over {text!r} cannot be read ({error})", REMEDY) from None
    found: list[tuple[str, str, str]] = []
    for word in words:
        part = _PART.fullmatch(word)
        if part is None or (part[1] not in KEYS and not part[1].startswith("tag.")):
            raise BadInput(f"--over: {word!r} says nothing", REMEDY)
        if part[2] == "~=":
            _pattern(part[3])
        found.append((part[1], part[2], part[3]))
    return found


def runs_over(text: str, store: str | os.PathLike[str] | None = None) -> list[str]:
    """Ids of the runs that fit all parts, newest first; without a ``status``, of those that succeeded.

    Raises:
        BadInput: a part that says nothing.
        StoreError: the store cannot be read.
    """
    from spanreel.collector.store import open_reader
    from spanreel.replay.build import build

    parts = parse(text)
    limit = next((int(value) for key, _, value in parts if key == "limit" and value.isdigit()), None)
    cheap = [test for part in parts if (test := _cheap(*part)) is not None]
    slow = [part for part in parts if part[0] == "goal" or part[0].startswith("tag.")]
    succeeded = all(key != "status" for key, _, _ in parts)
    found: list[str] = []
    with open_reader(resolve_store(store)) as reader:
        own = {run.run_id for _, run in reader.executions()}
        for run in reader.runs():
            if limit is not None and len(found) >= limit:
                break
            if run.run_id in own or run.source_run_id is not None or not all(test(run) for test in cheap):
                continue
            if succeeded and run.status != "completed":
                continue
            if slow or succeeded:
                replay = build(reader.run(run.run_id), reader.spans(run.trace_id), lambda _: None)
                if succeeded and replay.outcome.get("success") is False:
                    continue
                if not all(_fits(part, replay.input, replay.tags) for part in slow):
                    continue
            found.append(run.run_id)
    return found


def _cheap(key: str, how: str, wanted: str) -> Callable[[Run], bool] | None:
    if key in ("since", "until"):
        at = _moment(wanted)
        return (lambda run: run.started_ns >= at) if key == "since" else (lambda run: run.started_ns <= at)
    if key in ("agent", "status", "session"):
        name = {"agent": "agent_name"}.get(key, key)
        return lambda run: _same(how, wanted, getattr(run, name))
    if key == "limit" and not wanted.isdigit():
        raise BadInput(f"--over: limit={wanted} is no number", REMEDY)
    return None


def _fits(part: tuple[str, str, str], given: Any, tags: Mapping[str, Any]) -> bool:
    key, how, wanted = part
    if key == "goal":
        return any(_same(how, wanted, text) for text in (*_texts(given), str(tags.get("goal", ""))))
    return _same(how, wanted, tags.get(key.removeprefix("tag.")))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif value is not None:
        yield json.dumps(value, ensure_ascii=False, default=str)


def _same(how: str, wanted: str, value: Any) -> bool:
    if value is None:
        return False
    return str(value) == wanted if how == "=" else _pattern(wanted).search(str(value)) is not None


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise BadInput(f"--over: {text!r} is no regular expression ({error})", REMEDY) from None


def _moment(text: str) -> int:
    """Nanoseconds since the epoch: ``7d`` ago, or a date, or a time."""
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            at = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            at = datetime.fromisoformat(text).astimezone()
        return int(at.timestamp() * 1_000_000_000)
    except (ValueError, OverflowError):
        raise BadInput(f"--over: {text!r} is no time", "write 7d, 12h, 2026-05-01 or a time") from None
