"""What of a span may be kept: secrets are blanked always, content goes as the capture level says.

full: everything · hashes: structure and keyed hashes · metadata: names, sizes, usage, one keyed hash per call ·
none: name, time, status. Applied to every span before anything is written or sent. Must not let a fault of its
own leave content unblanked: what cannot be cleaned is not kept.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

from spanreel.instrument.guard import log_once
from spanreel.instrument.prefixes import common
from spanreel.wire import attributes as names
from spanreel.wire import identity, recognise
from spanreel.wire.redaction import Redactor
from spanreel.wire.secrets import OVERLAP, names_secret
from spanreel.wire.spans import Event, Span
from spanreel.wire.streamed import is_stream

UNCLEANED = "[not kept: redaction failed]"
BETWEEN = b'},{"'  # in JSON only between two objects of a list: within a text the quote would be escaped
KINDS = 32  # addresses whose last clean request body is remembered

BARE = frozenset({
    names.OPEN, names.RUN_ID, names.CAPTURE_LEVEL, names.INCOMPLETE, names.OPERATION, names.EFFECT_SOURCE,
    names.SOURCE_RUN_ID, names.RUN_ENTRY, names.RUN_SEGMENT, names.APPROVAL_ID, names.APPROVAL_STATUS,
})  # fmt: skip
"""Kept at every level: what makes the span a part of its run."""

PLAIN = BARE | {
    names.PROVIDER, names.REQUEST_MODEL, names.REQUEST_STREAM, names.REQUEST_MAX_TOKENS, names.REQUEST_TEMPERATURE,
    names.REQUEST_TOP_P, names.REQUEST_TOP_K, names.REQUEST_SEED, names.REQUEST_FREQUENCY_PENALTY,
    names.REQUEST_PRESENCE_PENALTY, names.REQUEST_CHOICE_COUNT, names.REQUEST_PREVIOUS_RESPONSE,
    names.REQUEST_REASONING_LEVEL, names.REQUEST_ENCODING_FORMATS, names.EMBEDDING_DIMENSIONS, names.OUTPUT_TYPE,
    names.RESPONSE_ID, names.RESPONSE_MODEL, names.RESPONSE_FINISH_REASONS, names.RESPONSE_FIRST_CHUNK,
    names.TOOL_NAME, names.TOOL_TYPE, names.TOOL_CALL_ID, names.AGENT_NAME, names.AGENT_ID, names.WORKFLOW_NAME,
    names.HTTP_METHOD, names.HTTP_STATUS, names.HTTP_RESEND, names.HTTP_REQUEST_SIZE, names.HTTP_RESPONSE_SIZE,
    names.SERVER_ADDRESS, names.SERVER_PORT, names.ERROR_TYPE, names.EXCEPTION_TYPE, names.CODE_FUNCTION,
    names.CODE_LINE, names.PROCESS_PID, names.PROCESS_EXIT, names.VCS_REVISION, names.REQUEST_HASH, names.REDACTED,
    names.TOOL_SAFETY, names.TOOL_FRAMEWORK, names.TOOL_FIDELITY,
    names.WIRE_DIALECT, names.WIRE_ROLE, names.WIRE_TRANSPORT, names.WIRE_LANE, names.WIRE_OUTCOME,
    names.WIRE_CHUNK_ENDS, names.WIRE_CHUNK_MICROS, names.REPLAY_TIER, names.REPLAY_SOURCE_SPAN, names.REPLAY_SCORE,
    names.WIRE_ASKED_DIALECT, names.WIRE_GIVEN_STATUS, names.FORK_STEP, names.CONTRACT,
    names.PLAYBOOK_NAME, names.PLAYBOOK_HASH, names.PLAYBOOK_STATE, names.PLAYBOOK_VISIT, names.PLAYBOOK_NEXT,
    names.PLAYBOOK_ATTEMPT, names.PLAYBOOK_PURPOSE, names.PLAYBOOK_MODE, names.PLAYBOOK_GUARD, names.PLAYBOOK_STOPPED_AT,
    names.PLAYBOOK_MODEL_CALLS, names.PLAYBOOK_TOOL_CALLS,
    f"{names.NOTE}.kind", f"{names.OUTCOME}success", "openinference.span.kind", "llm.model_name", "llm.provider",
    "gen_ai.system", "tool.name", "traceloop.span.kind", "traceloop.entity.name",
}  # fmt: skip
"""Kept from `metadata` upwards: names, sizes, settings. Everything else is content."""
PLAIN_PREFIXES = ("gen_ai.usage.", "llm.token_count.", "llm.usage.")

_WORDS = frozenset({
    "system", "developer", "user", "assistant", "tool", "function", "text", "tool_call", "tool_call_response",
    "reasoning", "image", "object", "string", "number", "integer", "boolean", "array", "stop", "length", "tool_calls",
    "end_turn", "tool_use", "max_tokens", "content_filter", "blob", "file", "uri",
})  # fmt: skip
"""Words of the message formats: kept where they stand under a key that names a kind."""
_KINDS = frozenset({"role", "type", "finish_reason"})
_KEY = re.compile(r"[A-Za-z_$][\w$.\-]{0,63}")


class Privacy:
    """Cleans spans.

    Args:
        level: the capture level.
        redactor: blanks secrets.
        key: gives the store's key for keyed hashes; asked for when the first is made.
        by_pattern: the redactor knows patterns only, so texts may be searched together and bodies in part.
    """

    def __init__(
        self, level: str, redactor: Redactor, key: Callable[[], bytes], *, by_pattern: bool = False
    ) -> None:
        self.level = level
        self._redactor = redactor
        self._key = key
        self._by_pattern = by_pattern
        self._searched: dict[str, bytes] = {}

    def redacted(self, span: Span) -> Span:
        """The span without secrets; says how many there were."""
        if self._by_pattern and self._is_clean(span):
            return replace(span, attributes=dict(span.attributes))
        counted = _Counted(self._redactor)
        attributes = dict(span.attributes)
        bodies = {
            key: self._body(counted, span, key, attributes.pop(key))
            for key in names.BODIES
            if key in attributes
        }
        attributes = {**counted.value(attributes, {}), **bodies}
        name, message = counted.value(span.name, UNCLEANED), counted.value(span.status_message, UNCLEANED)
        events = tuple(
            replace(event, attributes=counted.value(event.attributes, {})) for event in span.events
        )
        if counted.total:
            attributes[names.REDACTED] = counted.total
        if counted.failed is not None:
            kind = type(counted.failed).__name__
            log_once("redaction", "redaction failed (%s): what it could not clean is not kept", kind)
            attributes.setdefault(names.INCOMPLETE, f"redaction: {kind}")
        return replace(span, name=name, status_message=message, attributes=attributes, events=events)

    def _is_clean(self, span: Span) -> bool:
        """Whether one search over all the texts together, which is cheap, finds no secret; False: look closely."""
        texts: list[str] = [span.name, span.status_message]
        bodies: list[bytes] = []
        for values in (span.attributes, *(event.attributes for event in span.events)):
            if any(_secret_name(key) for key in values):
                return False
            for key, value in values.items():
                if isinstance(value, str):
                    texts.append(value)
                elif isinstance(value, bytes) and key in names.BODIES:
                    if is_stream(value) and self._redactor.body(value)[1]:
                        return False
                    if key == names.HTTP_REQUEST_BODY:
                        bodies.append(self._unsearched(span, value))
                    elif not is_stream(value):
                        bodies.append(value)
                elif not isinstance(value, (bool, int, float)):
                    return False
        together = "\n\n".join(texts).encode("utf-8", "surrogatepass")
        if self._redactor.body(b"\n\n".join((together, *bodies)))[1]:
            return False
        request = span.attributes.get(names.HTTP_REQUEST_BODY)
        if isinstance(request, bytes):
            self._remember(span, request)
        return True

    def lowered(self, span: Span, facts: Mapping[str, Any], content: Mapping[str, Any]) -> Span:
        """The span as the capture level wants it.

        Args:
            span: without secrets.
            facts: what its bodies say that is no content.
            content: what they say that is.
        """
        attributes = cast("dict[str, Any]", span.attributes)  # made anew by `redacted`
        attributes[names.CAPTURE_LEVEL] = self.level
        if self.level == "full":
            return span
        said = {**facts, **attributes, **content, **self._identified(span)}
        for body in names.BODIES:
            said.pop(body, None)
        known = {key: kept for key, value in said.items() if (kept := self._kept(key, value)) is not None}
        message = self._hash(span.status_message) if span.status_message and self.level == "hashes" else ""
        events = tuple(self._event(event) for event in span.events) if self.level != "none" else ()
        links = tuple(replace(link, attributes={}) for link in span.links)
        return replace(span, status_message=message, attributes=known, events=events, links=links)

    def text(self, text: str) -> str:
        """A short text of ours without secrets, such as a name that goes outward at once."""
        return _Counted(self._redactor).value(text, UNCLEANED)

    def _body(self, counted: _Counted, span: Span, key: str, body: Any) -> Any:
        if not isinstance(body, bytes):
            return counted.value(body, UNCLEANED)
        if key != names.HTTP_REQUEST_BODY or not self._by_pattern:
            return counted.body(body)
        return self._request(counted, span, body)

    def _request(self, counted: _Counted, span: Span, body: bytes) -> bytes:
        """A request body, of which only what is new has to be searched."""
        new = self._unsearched(span, body)
        nothing_new = len(new) < len(body) and not self._redactor.body(new)[1]
        clean = body if nothing_new else counted.body(body)
        if clean == body:
            self._remember(span, body)
        return clean

    def _unsearched(self, span: Span, body: bytes) -> bytes:
        """What does not stand in an earlier body of its kind, which was clean; from where no secret reaches over."""
        known = common(self._searched.get(_kind(span), b""), body)
        start = body.rfind(BETWEEN, max(0, known - OVERLAP), known)  # the end of a message
        return body[start if start >= 0 else max(0, known - OVERLAP - 256) :]

    def _remember(self, span: Span, body: bytes) -> None:
        if len(self._searched) >= KINDS:
            self._searched.clear()
        self._searched[_kind(span)] = body

    def _identified(self, span: Span) -> dict[str, Any]:
        """One keyed hash per call: of the request's structural identity, or of a tool's name and arguments."""
        if self.level == "none":
            return {}
        attributes = span.attributes
        body = attributes.get(names.HTTP_REQUEST_BODY)
        if isinstance(body, bytes):
            path = recognise.path_of(str(attributes.get(names.URL_FULL, "")))
            same = identity.structural(str(attributes.get(names.WIRE_DIALECT, "")), path, body)
            return {names.REQUEST_HASH: self._hash(same)}
        if names.TOOL_CALL_ARGUMENTS in attributes:
            called = f"{attributes.get(names.TOOL_NAME)}\n{attributes[names.TOOL_CALL_ARGUMENTS]}"
            return {names.REQUEST_HASH: self._hash(called)}
        return {}

    def _kept(self, key: str, value: Any) -> Any:
        if key in BARE or (self.level != "none" and (key in PLAIN or key.startswith(PLAIN_PREFIXES))):
            return value
        return self._hashed(value) if self.level == "hashes" else None

    def _event(self, event: Event) -> Event:
        values = {
            key: kept
            for key, value in event.attributes.items()
            if (kept := self._kept(key, value)) is not None
        }
        return Event(event.name, event.time_ns, values)

    def _hashed(self, value: Any) -> Any:
        """The value with its leaves hashed; a text that holds JSON keeps its structure."""
        if isinstance(value, str) and value[:1] in ("{", "["):
            try:
                parsed = json.loads(value)
            except (ValueError, RecursionError):
                return self._hash(value)
            return json.dumps(self._leaves(parsed), ensure_ascii=False, separators=(",", ":"))
        return self._leaves(value)

    def _leaves(self, value: Any, key: str = "") -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Mapping):
            return {self._named(name): self._leaves(item, str(name)) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._leaves(item, key) for item in value]
        if isinstance(value, str) and key in _KINDS and value in _WORDS:
            return value
        return self._hash(value if isinstance(value, (str, bytes)) else json.dumps(value))

    def _named(self, name: Any) -> str:
        return name if isinstance(name, str) and _KEY.fullmatch(name) else self._hash(str(name))

    def _hash(self, value: str | bytes) -> str:
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        return "k1:" + hmac.digest(self._key(), data, "sha256").hex()[:32]


class _Counted:
    """A redactor that counts, and from which nothing unblanked comes when it fails."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self.total = 0
        self.failed: Exception | None = None

    def value(self, value: Any, instead: Any) -> Any:
        """The value without secrets; `instead` of it where that fails."""
        return self._counted(self._redactor.value, value, instead)

    def body(self, body: bytes) -> bytes:
        """Entity bytes without secrets."""
        return self._counted(self._redactor.body, body, UNCLEANED.encode())

    def _counted(self, clean: Callable[[Any], tuple[Any, int]], value: Any, instead: Any) -> Any:
        try:
            kept, count = clean(value)
        except Exception as error:  # noqa: BLE001 - the user's own redaction may raise anything
            self.failed = error
            return instead
        self.total += count
        return kept


_secret_name = lru_cache(maxsize=1024)(names_secret)


def _kind(span: Span) -> str:
    """Requests that are likely to begin alike: those to one address."""
    return str(span.attributes.get(names.URL_FULL))
