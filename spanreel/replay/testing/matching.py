"""Which recorded call answers, where a test has its own word on it: parts of a request by name, or a function.

By default nothing here decides: the tiers of `match` do. A call that only the test's word finds is served as tier
``matcher``, which makes a verdict `equivalent` at best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from spanreel.exceptions import SpanreelError
from spanreel.instrument.responder import (  # fmt: skip
    LIVE,
    ApprovalRequest,
    Decision,
    ModelAnswer,
    ModelRequest,
    ToolAnswer,
    ToolRequest,
)
from spanreel.replay.match import Consumed, Hit, Matcher, Miss
from spanreel.replay.testing import requests
from spanreel.replay.testing.filters import filtered, ignored
from spanreel.wire import attributes as names
from spanreel.wire import identity, redaction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanreel.instrument.responder import ModelRoute, Responder, ToolRoute
    from spanreel.replay.recording import ModelEffect
    from spanreel.replay.testing.options import Options
    from spanreel.replay.testing.requests import Request
    from spanreel.wire.spans import Span

TIER: Final = "matcher"
_SIMPLE: Final = ("method", "scheme", "host", "port", "path", "query", "uri")


class TestMatcher(Matcher):
    """Compares as a test's options say.

    Args:
        matcher: what would compare without them; its recording and its redaction are taken over.
        options: the test's.
        spans: of the recording, for what an effect does not keep: host, query and headers.
    """

    __test__ = False  # no test class, whatever pytest takes its name for

    def __init__(self, matcher: Matcher, options: Options, spans: Iterable[Span]) -> None:
        self.__dict__.update(matcher.__dict__)
        self._options = options
        self._requests = {
            span.span_id: requests.recorded(span) for span in spans if names.WIRE_DIALECT in span.attributes
        }

    def model(self, request: ModelRequest, consumed: Consumed) -> Hit | Miss:
        """The recorded answer to a model call; a hit is used up."""
        if self._options.filters:
            wanted = filtered(requests.asked(request), self._options)
            if wanted is not None:
                request = replace(request, url=wanted.uri, headers=wanted.headers, body=wanted.body)
        found: Hit | Miss | None = None
        if self._options.match_on is None:
            found = super().model(request, consumed)
            if isinstance(found, Hit):
                return found
        effect = next(self._fitting(self._asked(request), consumed), None)
        if effect is not None:
            return self._serve(effect, TIER, self._reader.read(self.body(request)), consumed)
        tried = found.tried if found else ()
        kind = found.kind if found else "unmatched"
        fits = found.effect if found else None
        words = self._options.match_on
        named = f"{TIER} {', '.join(words)}" if words is not None else TIER
        if words is None and self._options.matcher is None:
            return Miss(kind, tried, fits)
        return Miss(kind, (*tried, (named, "it accepts no recorded call that is left")), fits)

    def _asked(self, request: ModelRequest) -> Request:
        """As it would have been recorded."""
        found = requests.asked(request)
        kept = tuple(redaction.request_headers(found.headers))
        return replace(found, uri=redaction.clean_url(found.uri), headers=kept, body=self.body(request))

    def _fitting(self, asked: Request, consumed: Consumed) -> Iterator[ModelEffect]:
        fits = _predicate(self._options)
        if fits is None:
            return
        for effect in self._models:
            left = len(effect.answers) > consumed.served.get(effect.index, 0)
            if left and effect.index not in consumed.inside and fits(self._requests[effect.span_id], asked):
                yield effect


class LettingOut:
    """A responder that has no part in calls to some hosts, and asks another about all else.

    Args:
        inner: who answers.
        options: which hosts are ignored.
    """

    def __init__(self, inner: Responder, options: Options) -> None:
        self.root = inner.root
        self._inner = inner
        self._options = options

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def model(self, request: ModelRequest) -> ModelAnswer | ModelRoute | None:
        """None: the network answers."""
        found = requests.asked(request)
        if ignored(found.host, self._options):
            return LIVE.model(request)
        if self._options.before_record_request and filtered(found, self._options) is None:
            return LIVE.model(request)
        return self._inner.model(request)

    def tool(self, request: ToolRequest) -> ToolAnswer | ToolRoute | None:
        """As the other says."""
        return self._inner.tool(request)

    def approval(self, request: ApprovalRequest) -> Decision | None:
        """As the other says."""
        return self._inner.approval(request)


def _predicate(options: Options) -> Callable[[Request, Request], bool] | None:
    own = options.matcher
    if options.match_on is None:
        return (lambda recorded, asked: _says(own, recorded, asked)) if own else None
    parts = options.match_on
    return lambda recorded, asked: (
        all(_equal(part, recorded, asked) for part in parts) and (own is None or _says(own, recorded, asked))
    )


def _says(matcher: Callable[[Request, Request], Any], recorded: Request, asked: Request) -> bool:
    """A matcher says it by what it returns or, as VCR.py's may, by an assertion that fails."""
    try:
        said = matcher(recorded, asked)
    except AssertionError:
        return False
    except Exception as error:
        raise SpanreelError(
            f"the test's matcher failed: {type(error).__name__}: {error}", "mend the matcher"
        ) from error
    return said is None or bool(said)


def _equal(part: str, recorded: Request, asked: Request) -> bool:
    if part in _SIMPLE:
        return getattr(recorded, part) == getattr(asked, part)
    if part == "headers":
        there: Mapping[str, str] = {name.lower(): value for name, value in asked.headers}
        return all(
            there.get(name.lower()) == value
            for name, value in recorded.headers
            if not name.lower().startswith(("x-stainless-", "traceparent"))
        )
    if part == "raw_body":
        return recorded.body == asked.body
    tiers = (identity.STRUCTURAL,)
    ours = identity.identities(recorded.dialect, "", recorded.body, tiers)
    return ours == identity.identities(asked.dialect, "", asked.body, tiers)
