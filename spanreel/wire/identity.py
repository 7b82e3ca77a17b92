"""Is this call that recorded call? The identity of a model call, in tiers.

A tier reduces a request body to a *form*; two calls are the same in that tier when dialect, path and form are. Tiers
are a table, strictest first, and each key names its tier and version: change a form, and its version changes with it.

exact       the JSON value of the body, whatever the order of its keys
structural  without fields that do not reach the model, ids renamed in order of appearance, tools sorted
scrubbed    as structural, and without the uuids, times, addresses and temporary paths in its texts (`scrubbing`)

What a form leaves out it still tells (`Form.taken`): of two calls that are the same in a tier, the one that also has the
same ids and times is the better guess.
A body is compared as it is recorded: one whose secrets were blanked matches a body blanked by the same rules.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from spanreel.wire.content import canonical_json
from spanreel.wire.differences import ABSENT
from spanreel.wire.scrubbing import Scrubber

VOLATILE: Final = frozenset(
    {
        "user",
        "metadata",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
    }
)
"""Fields of a request that tell the provider who asks, or where to cache, and never reach the model."""
_VOLATILE_ORDER = sorted(VOLATILE)

_ID_KEYS = frozenset(
    {
        "id",
        "call_id",
        "tool_call_id",
        "tool_use_id",
        "toolUseId",
        "item_id",
        "response_id",
        "previous_response_id",
    }
)
_PAYLOADS = frozenset(
    {
        "arguments",
        "args",
        "input_schema",
        "parameters",
        "schema",
        "json_schema",
        "json",
        "inputSchema",
        "properties",
    }
)
"""Keys below which an `id` is the user's: an argument, a result, a schema."""
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use", "custom_tool_call"})
_HISTORY = ("messages", "input", "contents")
_TOOL_LISTS = frozenset({"tools", "functions", "functionDeclarations", "function_declarations"})
_ID_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:call|toolu|tooluse|srvtoolu|mcptoolu|fc|fco|ctc|msg|resp|rs|ws|mcp|run|step|thread|chatcmpl)[_-](?:vrtx_|bdrk_)?"
    r"(?=[A-Za-z]*[0-9])[A-Za-z0-9]{12,}"
    r"|(?:adk-|pyd_ai_|af-call-|lc_run--)[0-9a-f-]{16,})"
)


@dataclass(frozen=True, slots=True)
class Form:
    """What a tier makes of a value.

    taken: what was left out or renamed, place by place: of equal forms these are equally many, and in the same order.
    """

    value: Any
    taken: tuple[str, ...] = ()


def _exact(value: Any) -> Form:
    return Form(value)


def _structural(value: Any) -> Form:
    if not isinstance(value, Mapping):
        return Form(value)
    kept = {key: item for key, item in value.items() if key not in VOLATILE}
    renaming = _Renaming()
    form = renaming.value(_sorted_tools(kept))
    dropped = (canonical_json(value[key]) if key in value else "" for key in _VOLATILE_ORDER)
    return Form(form, (*dropped, *renaming.names))


def _scrubbed(value: Any) -> Form:
    form, scrubber = _structural(value), Scrubber()
    return Form(scrubber.value(form.value), (*form.taken, *scrubber.taken))


@dataclass(frozen=True, slots=True)
class Tier:
    """One way to call two requests the same.

    Args:
        name: as verdicts and reports spell it.
        version: prefix of its keys.
        form: what it makes of a body's JSON value.
        whole_path: whether the full path counts, or only what in it names the model.
    """

    name: str
    version: str
    form: Callable[[Any], Form]
    whole_path: bool

    def key(self, dialect: str, path: str, body: bytes, value: Any) -> str:
        """The identity in this tier. `value` is the body's JSON value, or `ABSENT` where the body is not JSON."""
        place = path if self.whole_path else "/".join(_MODEL_IN_PATH.findall(path))
        digest = hashlib.blake2b(f"{dialect}\0{place}\0".encode("utf-8", "surrogatepass"), digest_size=16)
        digest.update(self._text(value) if value is not ABSENT else body)
        return f"{self.version}:{digest.hexdigest()}"

    def _text(self, value: Any) -> bytes:
        return canonical_json(self.form(value).value).encode("utf-8", "surrogatepass")


_MODEL_IN_PATH = re.compile(r"(?<=/deployments/)[^/]+|(?<=/models/)[^/]+")

EXACT: Final = Tier("exact", "e1", _exact, whole_path=True)
STRUCTURAL: Final = Tier("structural", "s1", _structural, whole_path=False)
SCRUBBED: Final = Tier("scrubbed", "c1", _scrubbed, whole_path=False)
TIERS: Final = (EXACT, STRUCTURAL, SCRUBBED)
"""Every tier, strictest first."""


def exact(dialect: str, path: str, body: bytes) -> str:
    """The exact identity of a request; the host plays no part.

    Args:
        dialect: its name, such as ``openai.chat``.
        path: of the URL, without host and query.
        body: as sent; one that is not JSON is taken byte by byte.
    """
    return identities(dialect, path, body, (EXACT,))[0]


def structural(dialect: str, path: str, body: bytes) -> str:
    """The structural identity (`spanreel.request.hash`): as `exact`, but equal for what differs between two runs anyway.

    Of the path only what names the model counts (a deployment), so that a proxy or another base URL changes nothing.
    """
    return identities(dialect, path, body, (STRUCTURAL,))[0]


def scrubbed(dialect: str, path: str, body: bytes) -> str:
    """The scrubbed identity: as `structural`, but equal also for what a program mints and says in its texts."""
    return identities(dialect, path, body, (SCRUBBED,))[0]


def identities(dialect: str, path: str, body: bytes, tiers: tuple[Tier, ...] = TIERS) -> tuple[str, ...]:
    """The identity in each tier, in the order of the tiers; the body is parsed once."""
    return tuple(each(dialect, path, body, tiers))


def each(dialect: str, path: str, body: bytes, tiers: tuple[Tier, ...] = TIERS) -> Iterator[str]:
    """As `identities`, each computed when it is asked for: the stricter ones are cheap, and mostly enough."""
    value = _parsed(body)
    for tier in tiers:
        try:
            yield tier.key(dialect, path, body, value)
        except RecursionError:
            yield tier.key(dialect, path, body, ABSENT)


def canonical(value: Any, tier: Tier = STRUCTURAL) -> Any:
    """The form of a body's JSON value in a tier, as a JSON value: what is compared, and what a report shows."""
    return tier.form(value).value


def taken(body: bytes, tier: Tier) -> tuple[str, ...]:
    """What a tier leaves out of a body, place by place; nothing of one that is not JSON."""
    value = _parsed(body)
    try:
        return tier.form(value).taken if value is not ABSENT else ()
    except RecursionError:
        return ()


def scrubbed_arguments(arguments: Any) -> Form:
    """The form of a tool call's arguments in the scrubbed tier: a JSON value of the user's, in which no key means an id."""
    renaming, scrubber = _Renaming(), Scrubber()
    value = scrubber.value(renaming.value(arguments, protocol=False))
    return Form(value, (*renaming.names, *scrubber.taken))


def history_key(value: Any) -> str | None:
    """The field of a request that holds its messages; None if it has none."""
    return next((key for key in _HISTORY if key in value), None) if isinstance(value, Mapping) else None


def history(value: Any) -> list[Any]:
    """The messages of a request (OpenAI, Anthropic, Gemini: `messages`, `input`, `contents`); a lone text is one message."""
    key = history_key(value)
    if key is None:
        return []
    return value[key] if isinstance(value[key], list) else [value[key]]


class _Repeats(dict[str, str]):
    """Names for ids in order of first appearance."""

    def __missing__(self, identity: str) -> str:
        name = self[identity] = f"<id:{len(self) + 1}>"
        return name


@dataclass(slots=True)
class _Renaming:
    """Renames ids: which ids are equal stays visible, what they are does not."""

    names: _Repeats = field(default_factory=_Repeats)

    def value(self, value: Any, protocol: bool = True) -> Any:
        """The value with its ids renamed; outside the protocol's own objects only tokens that look like ids are."""
        if isinstance(value, str):
            return _ID_TOKEN.sub(lambda found: self.names[found[0]], value)
        if isinstance(value, list):
            return [self.value(item, protocol) for item in value]
        if not isinstance(value, Mapping):
            return value
        return {key: self._field(key, value, protocol) for key in sorted(value)}

    def _field(self, key: str, owner: Mapping[str, Any], protocol: bool) -> Any:
        item = owner[key]
        if protocol and key in _ID_KEYS and isinstance(item, str):
            return self.names[item]
        payload = key in _PAYLOADS or (key == "input" and owner.get("type") in _CALLS)
        return self.value(item, protocol and not payload)


def _sorted_tools(value: dict[str, Any]) -> dict[str, Any]:
    """The body with the tool lists at its top, and those within them, in the order of their text."""
    return {
        key: _sorted_list(item) if key in _TOOL_LISTS and isinstance(item, list) else item
        for key, item in value.items()
    }


def _sorted_list(tools: list[Any]) -> list[Any]:
    return sorted(
        (_sorted_tools(tool) if isinstance(tool, dict) else tool for tool in tools), key=canonical_json
    )


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return ABSENT
