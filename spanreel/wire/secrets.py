"""What a credential looks like, in text and in JSON at any depth of escaping; and where in some bytes there are any.

Every pattern hangs on a literal that must be there: clean bytes cost a substring search for each of a few words, and
for the many prefixes of tokens one search for runs of characters long enough to be a token. A span never cuts an
escape in two nor holds a bare quote: blanking it leaves JSON valid.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Span: TypeAlias = tuple[int, int, str]
"""Start, end, kind of a secret."""

MARKER: Final = b"[redacted:"
OVERLAP: Final = (
    16_384  # bytes; more than any secret we know is long, a PEM key of 8,192 bits with escapes included
)

_ESCAPE_BEFORE = re.compile(rb"\\(?:[nrtbf]|u[0-9a-fA-F]{4})\Z|%[0-9a-fA-F]{2}\Z")
_PLACEHOLDER = re.compile(
    rb"(?:[*xX.\-_]+|\$\{?[A-Za-z_]+\}?|<[^>]*>?|\{\{.*|%\(.*|[a-z_]+\(.*|[A-Za-z_]\w*(?:\.\w+)*[(\[].*"
    rb"|(?:os|self|args|settings|config|process|env)\..*"
    rb"|none|null|nil|true|false|str|string|text|bool|int|bytes|any|required|optional|undefined|value|your[-_].*"
    rb"|password|passwd|pwd|secret|token|api[-_]?key|key)",
    re.IGNORECASE | re.DOTALL,
)
_UNQUOTED = re.compile(rb"(?:[^\s\"'`\\,;&)}\]<>]|\\\\(?![\"'ntrbfu])|\\/)+")
_AFTER_STRING = re.compile(rb"\s*(?:[,:}\]]|\Z)")
_DIGIT = re.compile(rb"[0-9]")
_QUOTE = re.compile(rb"(\\*)([\"'])")
_VALUE_LIMIT = OVERLAP // 2
_TOKEN_CHARACTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")
_SHAPE = bytes(120 if byte in _TOKEN_CHARACTERS else 32 for byte in range(256))
_LONG = b"x" * 14


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of secret.

    Args:
        kind: as the marker spells it.
        anchor: lower-case literal that starts every match; found whatever the case.
        regex: matched at the anchor; the group `secret`, or the whole match, is the secret.
        boundary: whether a letter or digit before the anchor means that this is something else.
        digit: whether a secret without any digit is a word.
        key: the match is a key and what introduces its value; the secret is the value, whose end depends on its quote.
        run: the secret is one run of token characters, so it is looked for only where there is such a run.
    """

    kind: str
    anchor: bytes
    regex: re.Pattern[bytes]
    boundary: bool = True
    digit: bool = False
    key: bool = False
    run: bool = False

    def spans(self, data: bytes, lower: bytes, start: int) -> Iterator[Span]:
        """Secrets of this kind that begin at `start` or later."""
        at = lower.find(self.anchor, start)
        while at >= 0:
            found = self.at(data, at)
            if found:
                yield (*found, self.kind)
            at = lower.find(self.anchor, max(at + 1, found[1] if found else 0))

    def at(self, data: bytes, at: int) -> tuple[int, int] | None:
        """The secret whose anchor is here, if it is one."""
        if self.boundary and not _begins(data, at):
            return None
        match = self.regex.match(data, at)
        if match is None:
            return None
        if self.key:
            return _value(data, match)
        span = match.span("secret") if "secret" in self.regex.groupindex else match.span()
        if data.startswith(MARKER, span[0]) or (self.digit and not _DIGIT.search(data, *span)):
            return None
        return span


class Scanner:
    """Finds the secrets of some patterns.

    Args:
        patterns: looked for all at once.
    """

    __slots__ = ("_anchors", "_by_anchor", "_words")

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        found = tuple(patterns)
        self._words = tuple(pattern for pattern in found if not pattern.run)
        self._by_anchor: dict[bytes, Pattern] = {pattern.anchor: pattern for pattern in found if pattern.run}
        anchors = b"|".join(re.escape(anchor) for anchor in self._by_anchor)
        self._anchors = re.compile(anchors) if anchors else None

    def find(self, data: bytes, start: int = 0) -> list[Span]:
        """Every secret that begins at `start` or later, in order, overlapping ones joined."""
        lower = data.lower()
        found = [span for pattern in self._words for span in pattern.spans(data, lower, start)]
        found += self._tokens(data, lower, start)
        return _joined(sorted(found))

    def _tokens(self, data: bytes, lower: bytes, start: int) -> Iterator[Span]:
        if self._anchors is None:
            return
        plain: set[bytes] = set()  # runs without an anchor: the events of a stream repeat theirs
        for first, end in _runs(data, start):
            run = lower[first:end]
            if run in plain:
                continue
            anchor = self._anchors.search(run)
            if anchor is None:
                plain.add(run)
                continue
            for anchor in self._anchors.finditer(lower, first, end):
                pattern = self._by_anchor[anchor[0]]
                if span := pattern.at(data, anchor.start()):
                    yield (*span, pattern.kind)


def _runs(data: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Where characters that tokens are made of stand together in a number that a token needs."""
    shape = data.translate(_SHAPE)
    at = shape.find(_LONG, start)
    while at >= 0:
        end = shape.find(b" ", at)
        end = len(shape) if end < 0 else end
        yield at, end
        at = shape.find(_LONG, end)


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in spans:
        if joined and span[0] < joined[-1][1]:
            first = joined.pop()
            joined.append((first[0], max(first[1], span[1]), first[2]))
        else:
            joined.append(span)
    return joined


def blank(data: bytes, spans: Iterable[Span]) -> bytes:
    """The bytes with a marker in place of each span."""
    pieces: list[bytes] = []
    done = 0
    for start, end, kind in spans:
        pieces += (data[done:start], marker(kind).encode())
        done = end
    return b"".join((*pieces, data[done:]))


def marker(kind: str) -> str:
    """What stands where a secret stood; stable, so that redacted bytes match redacted bytes."""
    return f"[redacted:{kind}]"


def _begins(data: bytes, at: int) -> bool:
    """Whether a word begins here: no letter or digit before, unless it is the tail of an escape."""
    before = data[at - 1 : at]
    return not before.isalnum() or _ESCAPE_BEFORE.search(data, max(0, at - 6), at) is not None


def _value(data: bytes, match: re.Match[bytes]) -> tuple[int, int] | None:
    """The value that follows a key: up to its closing quote, or a bare word."""
    opened = match["open"]
    start = match.end()
    if opened:
        if opened != match["quote"] and _AFTER_STRING.match(data, start):
            return None  # not a quote that opens a value, but the end of the JSON string in which the key is mentioned
        end = _closing(data, start, opened)
        value = data[start:end]
        if not value or value.startswith(MARKER) or _PLACEHOLDER.fullmatch(value):
            return None
        return start, end
    bare = _UNQUOTED.match(data, start)
    if bare is None or match["quote"] or b"\n" in match[0]:
        return None
    if bare[0].startswith(MARKER) or _PLACEHOLDER.fullmatch(bare[0]):
        return None
    # after a colon prose goes on ("password: the one you were given"); after an equals sign it does not
    prose = match["sign"].startswith(b":") and not re.search(rb"[0-9!@#$%^*?+=]", bare[0])
    return None if prose or len(bare[0]) < (6 if match["sign"].startswith(b":") else 3) else bare.span()


def _closing(data: bytes, start: int, opened: bytes) -> int:
    """Where the string ends that was opened by this quote, itself escaped n times."""
    depth, sign = len(opened) - 1, opened[-1:]
    limit = min(len(data), start + _VALUE_LIMIT)
    for quote in _QUOTE.finditer(data, start, limit):
        escapes = len(quote[1])
        if quote[2] == sign and (escapes <= depth if depth else escapes % 2 == 0):
            return quote.start() if depth else quote.start(2)
        if quote[2] == b'"' and sign == b"'" and escapes < depth + (sign == b"'"):
            return quote.start()  # the JSON string around a single-quoted value ends first
    unquoted = _UNQUOTED.match(data, start)
    return unquoted.end() if unquoted else start


def _token(kind: str, anchor: str, rest: str, *, digit: bool = True) -> Pattern:
    """A token that starts with its issuer's prefix."""
    bounded = rest.replace(",}", ",2048}")  # hostile bytes must not cost the square of their length
    return Pattern(
        kind,
        anchor.lower().encode(),
        re.compile(re.escape(anchor.encode()) + bounded.encode()),
        digit=digit,
        run=True,
    )


_SIGN = r"(?P<quote>\\*[\"'])?\s*(?P<sign>:=?(?![/=])|=>|={1,2}(?!=)|\\u003d)\s*(?P<open>\\*[\"'])?(?:(?:bearer|basic|token)\s+)?"


def _key(kind: str, anchor: str, rest: str = "", before: str = "") -> Pattern:
    """A key whose value is secret, in JSON, YAML, code, a query or a shell.

    Args:
        kind: as the marker spells it.
        anchor: the word in the key.
        rest: regular expression of how the key may go on.
        before: the words of which one, joined or set off by a hyphen or underscore, must stand before.
    """
    ahead = "|".join(f"(?<={word}{join}{anchor})" for word in before.split() for join in ("", "[_-]"))
    regex = anchor + (f"(?:{ahead})" if ahead else "") + rest + _SIGN
    return Pattern(kind, anchor.encode(), re.compile(regex.encode(), re.IGNORECASE), boundary=False, key=True)


def quoted_key(key: str) -> Pattern:
    """A key of JSON, in any case, whose value is a string."""
    name = re.escape(key.encode())
    regex = name + rb"(?<=[\"']" + name + rb")(?P<quote>\\*[\"'])\s*(?P<sign>:)\s*(?P<open>\\*[\"'])"
    return Pattern("key", key.encode().lower(), re.compile(regex, re.IGNORECASE), boundary=False, key=True)


_KEY_SUFFIX = r"(?:[_-]?(?:access[_-]?key|key|value|token|base64))?[0-9]?"
_PEM_LABEL = "[A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?"
_PEM_TEXT = r"(?:[A-Za-z0-9+/=:,.\s-]|\\+[nr/]|\\+u000[aAdD])"

_TOKENS: Final = (
    _token("api-key", "sk-", r"[A-Za-z0-9_-]{16,}"),  # OpenAI, Anthropic, OpenRouter, DeepSeek, Langfuse
    _token("api-key", "AIza", r"[A-Za-z0-9_-]{30,}", digit=False),
    _token("api-key", "gsk_", r"[A-Za-z0-9]{20,}"),
    _token("api-key", "xai-", r"[A-Za-z0-9]{20,}"),
    _token("api-key", "hf_", r"[A-Za-z0-9]{20,}", digit=False),
    _token("api-key", "pplx-", r"[A-Za-z0-9]{20,}"),
    _token("api-key", "r8_", r"[A-Za-z0-9]{20,}"),
    _token("api-key", "nvapi-", r"[A-Za-z0-9_-]{20,}"),
    _token("api-key", "csk-", r"[A-Za-z0-9]{20,}"),
    _token("api-key", "tvly-", r"[A-Za-z0-9-]{16,}"),
    _token("api-key", "lsv2_", r"[A-Za-z0-9_]{20,}"),
    _token("api-key", "dapi", r"[0-9a-f]{32}"),
    _token("api-key", "sk_", r"(?:live|test)_[A-Za-z0-9]{10,}|sk_[0-9a-f]{32,}", digit=False),
    _token("api-key", "rk_", r"(?:live|test)_[A-Za-z0-9]{10,}", digit=False),
    _token("api-key", "whsec_", r"[A-Za-z0-9+/=]{16,}"),
    _token("api-key", "SG.", r"[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", digit=False),
    _token("token", "ghp_", r"[A-Za-z0-9]{20,}", digit=False),
    _token("token", "gho_", r"[A-Za-z0-9]{20,}", digit=False),
    _token("token", "ghu_", r"[A-Za-z0-9]{20,}", digit=False),
    _token("token", "ghs_", r"[A-Za-z0-9]{20,}", digit=False),
    _token("token", "ghr_", r"[A-Za-z0-9]{20,}", digit=False),
    _token("token", "github_pat_", r"[A-Za-z0-9_]{20,}", digit=False),
    _token("token", "glpat-", r"[A-Za-z0-9_-]{16,}", digit=False),
    _token("token", "xox", r"[abceoprs]-[A-Za-z0-9-]{10,}"),
    _token("token", "xapp-", r"[A-Za-z0-9-]{16,}"),
    _token("token", "npm_", r"[A-Za-z0-9]{30,}"),
    _token("token", "pypi-", r"[A-Za-z0-9_-]{40,}"),
    _token("token", "dop_v1_", r"[a-f0-9]{40,}"),
    _token("token", "shpat_", r"[a-fA-F0-9]{24,}"),
    _token("token", "ya29.", r"[A-Za-z0-9_-]{20,}"),
    _token("token", "GOCSPX-", r"[A-Za-z0-9_-]{20,}", digit=False),
    _token("jwt", "eyJ", r"[A-Za-z0-9_-]{6,4096}+(?:\.[A-Za-z0-9_-]{4,16384}+){1,4}", digit=False),
    _token("cloud-key", "AKIA", r"[A-Z0-9]{16}(?![A-Za-z0-9])", digit=False),
    _token("cloud-key", "ASIA", r"[A-Z0-9]{16}(?![A-Za-z0-9])", digit=False),
)

_CONTEXTUAL: Final = (
    Pattern(
        "private-key",
        b"-----begin",
        re.compile(
            rf"-----BEGIN {_PEM_LABEL}-----(?:(?:(?!-----BEGIN){_PEM_TEXT})*?-----END {_PEM_LABEL}-----|(?:(?!--){_PEM_TEXT})*)".encode()
        ),
        boundary=False,
    ),
    Pattern(
        "bearer",
        b"bearer",
        re.compile(rb"bearer(?:\s|%20|\+)+(?P<secret>(?:[A-Za-z0-9._~+/=-]|\\/){12,})", re.IGNORECASE),
        digit=True,
    ),
    Pattern(
        "authorization",
        b"basic",
        re.compile(
            rb"basic\s+(?P<secret>[A-Za-z0-9+/]{12,}={1,2}|[A-Za-z0-9+/]{20,})(?![A-Za-z0-9])", re.IGNORECASE
        ),
        digit=True,
    ),
    Pattern(
        "password",
        b"://",
        re.compile(rb"(?::|\\u003a)(?://|\\/\\/)[^\s/:@\"'\\<>]*:(?P<secret>(?:[^\s/@\"'\\<>]|\\u0026)+)@"),
        boundary=False,
    ),
    Pattern(
        "password",
        rb":\/\/",
        re.compile(rb":\\/\\/[^\s/:@\"'\\<>]*:(?P<secret>[^\s/@\"'\\<>]+)@"),
        boundary=False,
    ),
    Pattern("cloud-key", b"jqqj99", re.compile(rb"JQQJ99[A-Za-z0-9]{20,}"), boundary=False, run=True),
    Pattern(
        "signature",
        b"sig=",
        re.compile(rb"sig=(?P<secret>[A-Za-z0-9%+/_-]{20,}=*)", re.IGNORECASE),
        boundary=True,
        digit=True,
    ),
    Pattern(
        "signature",
        b"signature=",
        re.compile(rb"signature=(?P<secret>[A-Za-z0-9%+/_-]{20,}=*)", re.IGNORECASE),
        boundary=False,
    ),
    Pattern(
        "cookie",
        b"cookie",
        re.compile(
            rb"cookie2?(?:\\*[\"'])?\s*:\s*(?:\\*[\"'])?(?P<secret>[^\s=;,\"'\\]{1,128}=[^\r\n\"'\\]+)",
            re.IGNORECASE,
        ),
        boundary=False,
    ),
)

_KEYS: Final = (
    _key("password", "pass", r"(?:words?|wd|phrase)[0-9]?"),
    _key("password", "pwd"),
    _key("secret", "secret", _KEY_SUFFIX),
    _key(
        "key",
        "key",
        r"(?:[_-]?(?:id|value|base64))?[0-9]?",
        "api access account private signing encryption subscription shared master",
    ),
    _key(
        "token",
        "token",
        "",
        "access refresh auth session security csrf id bot personal api bearer oauth github",
    ),
    _key("authorization", "authorization"),
    _key("secret", "credential", "s?"),
)

DEFAULT_PATTERNS: Final[tuple[Pattern, ...]] = (*_TOKENS, *_CONTEXTUAL, *_KEYS)
"""Provider keys, tokens, cookies, private keys, cloud credentials, passwords in URLs and beside their names."""

_names: Callable[[str], re.Match[str] | None] = re.compile(
    r"(?:.*[^a-z0-9])?(?:[a-z0-9]*(?:password|passwd|passphrase|secret|credentials?)|pwd|authorization|(?:set[_-])?cookie2?"
    r"|[a-z0-9]*(?:api|access|account|private|secret|signing|encryption|subscription)[_-]?keys?"
    r"|[a-z0-9]*(?:access|refresh|auth|session|security|csrf|id|bot|personal)[_-]?token)(?:[_-]?(?:value|base64|[0-9]))?",
    re.IGNORECASE,
).fullmatch


def names_secret(key: str) -> bool:
    """Whether a value under this key is a secret by the key's name alone."""
    return len(key) <= 128 and _names(key) is not None
