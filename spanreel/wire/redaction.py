"""Rules that blank secrets before anything leaves the process.

Two kinds of rule: patterns know a secret by its looks and leave every other byte alone; keys, paths and a custom function
know it by its place, for which JSON is parsed and, where something was blanked, written anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote_plus

from spanreel.exceptions import BadInput
from spanreel.wire import streamed
from spanreel.wire.secrets import (
    DEFAULT_PATTERNS,
    OVERLAP,
    Pattern,
    Scanner,
    blank,
    marker,
    names_secret,
    quoted_key,
)

Custom: TypeAlias = Callable[[str], str]
"""Given any text about to be recorded; returns what may be recorded."""
Path: TypeAlias = "tuple[str | int | None, ...]"
"""A JSON path as its steps: key, index, or None for every one."""

__all__ = ["DEFAULT_PATTERNS", "Pattern", "Redactor", "clean_url", "request_headers", "response_headers"]

_DEPTH_LIMIT = 200
_STEP = re.compile(r"""\.([^.\[\]"']+)|\[(\d+)\]|\[(\*)\]|\[(?:"([^"]*)"|'([^']*)')\]""")
_DATA_LINE = re.compile(rb"^(data: ?)([\[{].*?)(\r?)$", re.MULTILINE)


class Redactor:
    """Blanks secrets; says how many.

    Args:
        keys: names whose values are secret, in any case, at any depth of JSON.
        paths: JSON paths whose values are secret, such as ``$.messages[*].name``.
        patterns: what secrets look like; texts and compiled expressions are searched as they are (their group `secret`,
            or the whole match). Add to `DEFAULT_PATTERNS`, unless those are not wanted.
        custom: a function over every text. What it raises passes through: then nothing of that content may be kept.

    Raises:
        BadInput: a path or an expression that cannot be read.
    """

    def __init__(
        self,
        keys: Iterable[str] = (),
        paths: Iterable[str] = (),
        patterns: Iterable[Pattern | str | re.Pattern[str]] = DEFAULT_PATTERNS,
        custom: Custom | None = None,
    ) -> None:
        given = tuple(patterns)
        self._scanner = Scanner(pattern for pattern in given if isinstance(pattern, Pattern))
        self._expressions = tuple(
            _expression(pattern) for pattern in given if not isinstance(pattern, Pattern)
        )
        self._by_name = any(pattern.key for pattern in given if isinstance(pattern, Pattern))
        self._keys = frozenset(key.lower() for key in keys)
        self._paths = tuple(_path(path) for path in paths)
        self._custom = custom
        # arguments of a tool call that arrive in pieces are not JSON until the last: keys are looked for in their text
        quoted = tuple(quoted_key(key) for key in self._keys)
        self._in_pieces = Scanner((*(pattern for pattern in given if isinstance(pattern, Pattern)), *quoted))

    @property
    def _by_place(self) -> bool:
        return bool(self._keys or self._paths or self._custom)

    def text(self, text: str) -> tuple[str, int]:
        """The text without secrets, and how many there were. JSON in it is understood."""
        data = text.encode("utf-8", "surrogatepass")
        clean, count = self.body(data)
        return (clean.decode("utf-8", "surrogatepass"), count) if count else (text, 0)

    def body(self, body: bytes, clean_upto: int = 0) -> tuple[bytes, int]:
        """The body without secrets, and how many there were. Valid JSON stays valid JSON, event streams stay such.

        Args:
            body: entity bytes of a request or a reply, or any text.
            clean_upto: how many bytes at the start are known to hold no secret, from a call with the same rules over a body
                that started with the same bytes and had a count of 0. They are not searched again, but for the
                last `OVERLAP` of them, in which a secret may begin that ends behind.
        """
        count = 0
        if streamed.is_stream(body):
            body, count = streamed.edited(body, self._edits)
        if self._by_place:
            body, more = self._placed(body)
            count += more
        start = 0 if count or self._by_place else max(0, clean_upto - OVERLAP)
        spans = self._scanner.find(body, start)
        if spans:
            body = blank(body, spans)
        if self._expressions:
            body, more = self._expressed(body)
            count += more
        return body, count + len(spans)

    def value(self, value: Any) -> tuple[Any, int]:
        """An attribute's value without secrets, and how many there were; what holds none is given back as it is."""
        return self._walk(value, self._paths, 0)

    def _walk(self, value: Any, paths: tuple[Path, ...], depth: int) -> tuple[Any, int]:
        """One value; `paths` are those that lead on from here."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (bytes, bytearray)):
            return self.body(bytes(value))
        if not isinstance(value, (Mapping, list, tuple)):
            return value, 0
        if depth > _DEPTH_LIMIT:  # too deep to be searched, so not kept
            return marker("depth"), 1
        if isinstance(value, Mapping):
            members = {key: self._member(key, item, paths, depth) for key, item in value.items()}
            count = sum(found for _, found in members.values())
            return ({key: item for key, (item, _) in members.items()}, count) if count else (value, 0)
        listed = [self._member(at, item, paths, depth) for at, item in enumerate(value)]
        count = sum(found for _, found in listed)
        return ([item for item, _ in listed], count) if count else (value, 0)

    def _member(self, key: Any, item: Any, paths: tuple[Path, ...], depth: int) -> tuple[Any, int]:
        onward = tuple(path[1:] for path in paths if path and path[0] in (None, key))
        if () in onward or (isinstance(key, str) and self._secret_key(key, item)):
            return (item, 0) if _blanked(item) else (marker("key"), 1)
        return self._walk(item, onward, depth + 1)

    def _secret_key(self, key: str, item: Any) -> bool:
        if key.lower() in self._keys:
            return True
        return self._by_name and isinstance(item, (str, bytes)) and bool(item) and names_secret(key)

    def _edits(self, text: str) -> list[streamed.Edit]:
        """What to replace in a text that came in pieces."""
        if self._custom is not None and (kept := self._custom(text)) != text:
            return [(0, len(text), self.text(kept)[0])]
        data = text.encode("utf-8", "surrogatepass")
        found = [
            (_characters(data, start), _characters(data, end), marker(kind))
            for start, end, kind in self._in_pieces.find(data)
        ]
        taken = [match for expression in self._expressions for match in expression.finditer(text)]
        found += [(*_secret_span(match), marker("pattern")) for match in taken]
        edits: list[streamed.Edit] = []
        for edit in sorted(found):
            if edit[0] < edit[1] and (not edits or edit[0] >= edits[-1][1]):
                edits.append(edit)
            elif edits and edit[1] > edits[-1][1]:
                edits.append((edits[-1][1], edit[1], ""))
        return edits

    def _placed(self, body: bytes) -> tuple[bytes, int]:
        """The rules that need JSON, over a JSON body, each event of a stream, or else plain text."""
        start = body.lstrip()[:1]
        if start in (b"{", b"["):
            value = _parsed(body)
            if value is not None:
                return self._json(body, value)
        total = 0

        def line(found: re.Match[bytes]) -> bytes:
            nonlocal total
            value = _parsed(found[2])
            clean, count = self._json(found[2], value) if value is not None else (found[2], 0)
            total += count
            return found[1] + clean + found[3]

        if _DATA_LINE.search(body):
            return _DATA_LINE.sub(line, body), total
        if self._custom is None:
            return body, 0
        text = body.decode("utf-8", "surrogateescape")
        kept = self._custom(text)
        return (kept.encode("utf-8", "surrogateescape"), 1) if kept != text else (body, 0)

    def _json(self, body: bytes, value: Any) -> tuple[bytes, int]:
        try:
            clean, count = self._walk(value, self._paths, 0)
        except RecursionError:  # JSON in JSON in JSON: what cannot be searched is not kept
            clean, count = marker("depth"), 1
        if not count:
            return body, 0
        return json.dumps(clean, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "surrogatepass"
        ), count

    def _expressed(self, body: bytes) -> tuple[bytes, int]:
        text = body.decode("utf-8", "surrogateescape")
        total = 0
        for expression in self._expressions:
            text, count = expression.subn(_blank_match, text)
            total += count
        return (text.encode("utf-8", "surrogateescape"), total) if total else (body, 0)


def _blank_match(found: re.Match[str]) -> str:
    start, end = _secret_span(found)
    return found[0][: start - found.start()] + marker("pattern") + found[0][end - found.start() :]


def _secret_span(found: re.Match[str]) -> tuple[int, int]:
    named = "secret" in found.re.groupindex and found["secret"] is not None
    return found.span("secret") if named else found.span()


def _characters(data: bytes, at: int) -> int:
    return len(data[:at].decode("utf-8", "surrogatepass"))


def _blanked(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.startswith("[redacted:"))


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _expression(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise BadInput(
            f"the redaction pattern {pattern!r} is not a regular expression: {error}", "correct it"
        ) from error


def _path(path: str) -> Path:
    steps: list[str | int | None] = []
    at = 1
    while path[:1] == "$" and at < len(path) and (found := _STEP.match(path, at)):
        name, index, every, double, single = found.groups()
        key = next((word for word in (name, double, single) if word is not None), None)
        steps.append(int(index) if index else None if every or name == "*" else key)
        at = found.end()
    if not steps or at < len(path):
        raise BadInput(f"the redaction path {path!r} cannot be read", "write it as $.messages[*].content")
    return tuple(steps)


_REQUEST_HEADERS: Final = re.compile(
    r"accept|content-type|content-encoding|user-agent|idempotency-key|traceparent|x-request-id|x-client-request-id"
    r"|x-stainless-[a-z-]+|openai-(?:beta|organization|project|version)|anthropic-(?:beta|version)|http-referer|x-title",
    re.IGNORECASE,
)
_SECRET_HEADER: Final = re.compile(
    r"(?:.*[-_])?(?:cookie2?|authorization|authenticate|authentication-info|secret|credentials?|api-?key|token|signature|session)",
    re.IGNORECASE,
)
_SECRET_PARAMETER: Final = re.compile(
    r"(?:.*[^a-z])?(?:[a-z]*key|[a-z]*token|sig|signature|[a-z]*secret|credentials?|[a-z]*password|pwd|auth|authorization|code|session|jwt)"
    r"(?:[^a-z].*)?",
    re.IGNORECASE,
)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)?(?:([^/?#]*)@)?([^?#]*)(?:\?([^#]*))?", re.DOTALL)
_SCANNER: Final = Scanner(DEFAULT_PATTERNS)


def request_headers(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The request headers that may be kept: those on the allow-list, their values without secrets."""
    return _all_cleaned([(name, value) for name, value in pairs if _REQUEST_HEADERS.fullmatch(name)])


def response_headers(pairs: Iterable[tuple[str, str]], *, clean: bool = True) -> list[tuple[str, str]]:
    """The response headers that may be kept: all but cookies and credentials, since SDKs show the others to their users.

    Their values without secrets, unless the caller searches them with the rest of a span (`clean=False`).
    """
    kept = [(name, value) for name, value in pairs if not _SECRET_HEADER.fullmatch(name)]
    return _all_cleaned(kept) if clean else kept


def clean_url(url: str) -> str:
    """The URL without user name and password, without query parameters that carry credentials, without fragment."""
    found = _URL.match(url)
    if found is None:
        return ""
    scheme, _, rest, query = found.groups()
    kept = [
        _parameter(pair)
        for pair in (query or "").split("&")
        if pair and not _SECRET_PARAMETER.fullmatch(pair.partition("=")[0])
    ]
    return _cleaned((scheme or "") + rest + ("?" + "&".join(kept) if kept else ""))


def _parameter(pair: str) -> str:
    """A query parameter; one that holds a secret once its escapes are undone keeps its name only."""
    plain = unquote_plus(pair)
    return pair if _cleaned(plain) == plain else f"{pair.partition('=')[0]}={marker('url')}"


def _all_cleaned(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """One search over all the values, for most hold no secret; only where one does, value by value."""
    together = "\n".join(value for _, value in pairs).encode("utf-8", "surrogatepass")
    if not _SCANNER.find(together):
        return pairs
    return [(name, _cleaned(value)) for name, value in pairs]


def _cleaned(text: str) -> str:
    data = text.encode("utf-8", "surrogatepass")
    return blank(data, _SCANNER.find(data)).decode("utf-8", "surrogatepass")
