"""What a test says about its recording: by mark, by the `spanreel_config` fixture, on the command line, in the ini file.

The names are those of VCR.py where VCR.py has the thing. Values only; nothing is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from spanreel.exceptions import SpanreelError
from spanreel.replay.testing.requests import Request, Response

Change = tuple[str, "str | None"]
Matches = Callable[[Request, Request], Any]
MODES: Final = ("none", "once", "new", "all")
ALIASES: Final = {"new_episodes": "new", "rewrite": "all"}
MATCH_ON: Final = ("method", "scheme", "host", "port", "path", "query", "uri", "headers", "body", "raw_body")
_NAMES: Final = {"record_mode": "record", "filter_query": "filter_query_parameters", "filter_body": "filter_post_data_parameters"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """All that may be said.

    path: of the recording, relative to the test's file. record: a mode; None: the command line's, or the ini file's.
    match: how equal a call must be, see `match.MATCH`. match_on: instead of that, which parts of a request must be
    equal. matcher: whether a recorded request answers one that nothing else did. ignore_hosts, ignore_localhost: calls
    to these go out and are not recorded. filter_…: what is left out, or replaced, before anything is written or
    compared. before_record_request, before_record_response: give what to keep instead, or None: nothing of this call.
    allow_unused: whether recorded calls may be left over. record_on_exception: a failed test is kept too. clock: now,
    or recorded: time and uuid4 as they were.
    """

    path: str | None = None
    record: str | None = None
    match: str = "structural"
    match_on: tuple[str, ...] | None = None
    matcher: Matches | None = None
    ignore_hosts: tuple[str, ...] = ()
    ignore_localhost: bool = False
    filter_headers: tuple[Change, ...] = ()
    filter_query_parameters: tuple[Change, ...] = ()
    filter_post_data_parameters: tuple[Change, ...] = ()
    before_record_request: Callable[[Request], Request | None] | None = None
    before_record_response: Callable[[Response], Response | None] | None = None
    allow_unused: bool = True
    record_on_exception: bool = False
    clock: str | None = None

    @property
    def filters(self) -> bool:
        """Whether anything is changed before it is kept."""
        return bool(
            self.filter_headers
            or self.filter_query_parameters
            or self.filter_post_data_parameters
            or self.before_record_request
        )


def merged(said: Iterable[Mapping[str, Any]]) -> Options:
    """Options from several sayings; of two that name the same thing the later one holds.

    Raises:
        SpanreelError: for a name or a value that does not exist.
    """
    options = Options()
    known = {field.name for field in fields(Options)}
    for one in said:
        named = {_NAMES.get(key, key): value for key, value in one.items()}
        unknown = sorted(set(named) - known)
        if unknown:
            raise SpanreelError(
                f"spanreel has no option {unknown[0]!r} for tests", f"it has {', '.join(sorted(known))}"
            )
        options = replace(options, **{key: _value(key, value) for key, value in named.items()})
    return options


def mode(name: str) -> str:
    """A record mode by its name, or by VCR.py's.

    Raises:
        SpanreelError: there is none of that name.
    """
    found = ALIASES.get(name, name)
    if found not in MODES:
        raise SpanreelError(f"there is no record mode {name!r}", f"use {', '.join(MODES)}")
    return found


def _value(key: str, value: Any) -> Any:
    if key == "record":
        return None if value is None else mode(value)
    if key == "match_on":
        return _parts(value)
    if key == "ignore_hosts":
        return tuple(str(host).lower() for host in value)
    if key == "clock" and value not in (None, "now", "recorded"):
        raise SpanreelError(f"there is no clock {value!r}", "use now or recorded")
    if key.startswith("filter_"):
        return tuple(_change(one) for one in value or ())
    return str(value) if key == "path" and value is not None else value


def _parts(value: Sequence[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = (value,)
    unknown = [part for part in value if part not in MATCH_ON]
    if unknown:
        raise SpanreelError(f"match_on does not know {unknown[0]!r}", f"use some of {', '.join(MATCH_ON)}")
    return tuple(value)


def _change(one: Any) -> Change:
    """A name to leave out; or a name and what to put there."""
    if isinstance(one, str):
        return one, None
    name, instead = one
    if not isinstance(instead, str) and instead is not None:
        raise SpanreelError(
            f"the replacement of {name!r} is no text", "for a function, use before_record_request"
        )
    return str(name), instead
