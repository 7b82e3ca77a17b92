"""Secrets that were blanked when they were recorded: equal marks are no equal values, so nothing is made of them. Quiet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.compiling.observed import Call
from spanreel.replay.playbooks.compiling.refusal import refused
from spanreel.wire.secrets import MARKER

if TYPE_CHECKING:
    from spanreel.replay.timeline import Replay

_MARK = MARKER.decode()
_HASHED = re.compile(r"k1:[0-9a-f]{32}")


def refuse_blanked(body: Body, calls: Iterable[Call]) -> None:
    """See that no call which became a state had a blanked argument.

    Raises:
        NotCompilable: one had; says which.
    """
    spans = {span for state in body.states.values() for span in state.derived_from}
    for call in calls:
        if call.span not in spans:
            continue
        for place in _places(call.arguments, ""):
            told = (
                f"{call.tool}: `{place}` was blanked when it was recorded, so that nobody knows what it was"
            )
            raise refused("redacted", told)


def not_kept(replay: Replay) -> str | None:
    """What of a run's calls was not recorded as it was: arguments at all, or more than their hashes; None: nothing."""
    for call in replay.tool_calls:
        if call.tool_args is None:
            return f"the arguments of {call.tool_name} were not recorded, as below capture='full'"
        if _is_hashed(call.tool_args) or _is_hashed(call.result):
            return f"of {call.tool_name} only hashes were recorded: capture='hashes'"
    return None


def _is_hashed(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_is_hashed, cast("Mapping[str, Any]", value).values()))
    if isinstance(value, (list, tuple)):
        return any(map(_is_hashed, cast("list[Any]", value)))
    return isinstance(value, str) and _HASHED.fullmatch(value) is not None


def _places(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, one in cast("Mapping[str, Any]", value).items():
            yield from _places(one, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for at, one in enumerate(cast("list[Any]", value)):
            yield from _places(one, f"{path}[{at}]")
    elif isinstance(value, str) and _MARK in value:
        yield path
