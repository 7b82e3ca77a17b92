"""LOUD: sends requests to models and records them, as a run of its own that is linked to the one it is made from.

The client is `requests`: opentelemetry-exporter-otlp, a core dependency, brings it, with its certificates and its proxy
settings, while httpx comes only with the SDKs of an agent that may not be here. The standard library would find no
certificates on some systems. Each attempt is one exchange, recorded as every tap records it; what is retried is what
SDKs retry, for as long as they do. Redirects are not followed: a key goes where it was meant to go.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import context as otel_context

from spanreel.exceptions import SpanreelError
from spanreel.instrument import activate, recorder, responder, runs
from spanreel.instrument.clients import attempt
from spanreel.instrument.exchange import Exchange
from spanreel.instrument.responder import ModelRoute, RootFacts
from spanreel.location import resolve_store
from spanreel.replay import pricing
from spanreel.replay.books import Books
from spanreel.replay.policy import Budget, Overrides, Policy
from spanreel.replay.routes import Router
from spanreel.wire import attributes as names
from spanreel.wire import recognise
from spanreel.wire.dialect import Call, Reply
from spanreel.wire.lenient import mapping, parse
from spanreel.wire.records import Record

if TYPE_CHECKING:
    import os
    from types import TracebackType

    import requests

    from spanreel.replay.asked import Asked

RETRIED: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
RETRIES: Final = 2
CONNECT_S: Final = 10.0
READ_S: Final = 600.0  # as SDKs wait
LONGEST_PAUSE_S: Final = 30.0
KEPT_ERROR: Final = 500  # characters of what a failure said


@dataclass(frozen=True, slots=True)
class Given:
    """What came back. call: as the dialect reads it. seconds: of the last attempt. cost: USD, None where nobody knows it."""

    dialect: str
    model: str | None
    call: Call
    span_id: str | None
    seconds: float
    cost: str | None = None
    error: str | None = None


class Asking:
    """A run under way in which models are asked again.

    Args:
        source_run_id: the run it is made from, `link` its root (trace and span id).
        name: of the agent.
        facts: more for the root, by attribute.
        budget: of all that is asked in it.
        store: where it is recorded if nothing is instrumented yet.
    """

    def __init__(
        self,
        source_run_id: str,
        link: tuple[str, str],
        name: str,
        facts: Mapping[str, Any],
        budget: Budget,
        store: str | os.PathLike[str] | None = None,
    ) -> None:
        self.books = Books()
        self.root = RootFacts({names.SOURCE_RUN_ID: source_run_id, **facts}, (link,), outward=True)
        self._name = name
        self._budget = budget
        self._store = resolve_store(store)
        self._began = time.monotonic()
        self._run: runs.Run | None = None
        self._open: ExitStack | None = None
        self._session: requests.Session | None = None

    @property
    def run_id(self) -> str | None:
        """Its run."""
        return self._run.run_id if self._run is not None else None

    def router(self, overrides: Overrides) -> Router:
        """The way out for calls with these overrides, within the budget of all."""
        return Router(Policy(models="live", overrides=overrides, budget=self._budget), self.books)

    def __enter__(self) -> Self:
        import requests

        stack = ExitStack()
        with stack:
            if recorder.current() is None:
                stack.callback(activate.instrument(store=self._store).uninstrument)
            if recorder.current() is None:
                raise SpanreelError(
                    "what is asked again is recorded, which OTEL_SDK_DISABLED keeps off", "unset it"
                )
            self._session = stack.enter_context(requests.Session())
            stack.enter_context(_answering(_Root(self.root)))
            token = otel_context.attach(otel_context.Context())  # a trace of its own, wherever it is made
            stack.callback(otel_context.detach, token)
            self._run = stack.enter_context(runs.run(self._name))
            self._open = stack.pop_all()
        self._began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._open is not None
        stack, self._open = self._open, None
        recording = recorder.current()
        stack.__exit__(kind, error, trace)
        if recording is not None:
            recording.flush()

    def ask(self, asked: Asked, router: Router) -> Given:
        """The answer of a model to a request, retried as SDKs do; a failure is an answer too.

        Raises:
            BudgetSpent: it would go beyond the budget.
            SpanreelError: an override cannot be applied, or the target cannot express the request.
        """
        route = router.out(asked.request, asked.call.number)
        for number in range(RETRIES + 1):
            given, status, headers = self._attempt(asked, route, number)
            if given.error is None or number == RETRIES or (status and status not in RETRIED):
                return given
            pause = _pause(headers, number)
            if self._left() <= pause:
                return given
            time.sleep(pause)
        raise AssertionError("the last attempt returns")

    def _attempt(self, asked: Asked, route: ModelRoute, number: int) -> tuple[Given, int, Mapping[str, str]]:
        import requests

        recording = recorder.current()
        dialect = recognise.by_name(route.dialect)
        assert recording is not None
        assert dialect is not None
        kept = (*route.headers, ("x-stainless-retry-count", str(number)))
        exchange = Exchange(
            route.dialect, "POST", route.url, lambda: kept, route.body, asked.request.transport
        )
        host = route.url.partition("://")[2].partition("/")[0]
        under_way = attempt.begin(recording, dialect, exchange, host, None, route)
        if under_way is None:
            raise SpanreelError("a call could not be recorded, so it was not made", "see the warning above")
        under_way.span.attributes[names.REPLAY_SOURCE_SPAN] = asked.call.record.span_id
        span_id = f"{under_way.span.span_id:016x}"
        began = time.monotonic()
        status, body, failure, headers = 0, b"", None, dict[str, str]()
        try:
            with under_way:
                response = self._post(route, kept)
                status, body, headers = response.status_code, response.content, _lower(response.headers)
                pairs = [(name, value) for name, value in headers.items() if name != "content-encoding"]
                under_way.answered(status, lambda: pairs)
                under_way.received(body)
                under_way.ended("complete")
        except requests.RequestException as error:
            failure = f"{type(error).__name__}: {error}"[:KEPT_ERROR]
        seconds = time.monotonic() - began
        call = dialect.read(
            mapping(parse(route.body)),
            Reply(status, body, headers.get("content-type", "")) if status else None,
        )
        model = call.model or recognise.request_model(route.body, route.url)
        if failure is None and not 200 <= status < 300:
            said = call.error_message or body[:KEPT_ERROR].decode("utf-8", "replace")
            failure = f"HTTP {status}: {said}"
        elif failure is None and (call.error_type or not call.content.output):
            failure = call.error_message or call.error_type or "the answer holds no message"
        cost = _cost(dialect.name, recognise.provider_of(dialect, host), model, call)
        return Given(route.dialect, model, call, span_id, seconds, cost, failure), status, headers

    def _post(self, route: ModelRoute, headers: Sequence[tuple[str, str]]) -> requests.Response:
        assert self._session is not None
        read = max(0.01, min(READ_S, self._left()))
        return self._session.post(
            route.url,
            data=route.body,
            headers=dict(headers),
            auth=_unchanged,
            timeout=(min(CONNECT_S, read), read),
            allow_redirects=False,
        )

    def _left(self) -> float:
        """Seconds until the budget is spent."""
        limit = self._budget.seconds
        return float("inf") if limit is None else limit - (time.monotonic() - self._began)


class _Root(responder.Live):
    """Lets everything through; the run that begins meanwhile says where it comes from."""

    def __init__(self, root: RootFacts) -> None:
        self.root = root


@contextmanager
def _answering(one: responder.Responder) -> Generator[None]:
    if responder.current() is not responder.LIVE:
        raise SpanreelError(
            "calls are asked again live, which a replay does not let happen", "do it outside of the replay"
        )
    before = responder.install(one)
    try:
        yield
    finally:
        responder.install(before)


def _unchanged(request: Any) -> Any:
    """The request as it is: without this, a ~/.netrc would put its own password over the key."""
    return request


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _pause(headers: Mapping[str, str], number: int) -> float:
    """Seconds to wait before the next attempt: as the server says, else half a second, doubled each time."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            said = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        if 0 <= said <= LONGEST_PAUSE_S:
            return said
    return 0.5 * 2**number


def _cost(dialect: str, provider: str, model: str | None, call: Call) -> str | None:
    if not call.usage:
        return None
    return pricing.price(
        Record(
            "",
            "",
            None,
            dialect,
            time.time_ns(),
            0,
            provider=provider,
            model=model,
            response_model=call.response_model,
            usage=call.usage,
        )
    )
