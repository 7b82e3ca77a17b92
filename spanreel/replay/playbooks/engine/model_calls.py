"""LOUD: one request to a model, asked of whoever answers calls here: a recording, a stub, or the network.

It is what a tap on an HTTP client does, for a client of our own (`requests`, which a plain installation has): the
responder is asked first, what goes out is recorded as one exchange, its bytes untouched. No retries, no redirects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from spanreel.exceptions import EffectDenied, SpanreelError
from spanreel.instrument.clients import attempt
from spanreel.instrument.exchange import Exchange
from spanreel.instrument.responder import ModelAnswer
from spanreel.instrument.threads import lane
from spanreel.wire import recognise
from spanreel.wire.dialect import Dialect, Reply

if TYPE_CHECKING:
    import requests

    from spanreel.instrument.clients.attempt import Attempt
    from spanreel.instrument.responder import ModelRoute

TRANSPORT: Final = "requests"
CONNECT_S: Final = 10.0
READ_S: Final = 600.0  # as SDKs wait
Headers: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request about to be made: bytes as they are sent."""

    dialect: str
    url: str
    headers: Headers
    body: bytes


def send(outgoing: Outgoing) -> Reply:
    """Make it.

    Raises:
        requests.RequestException: nobody answered.
        Signal: whoever is in charge does not let it through.
    """
    steps = _steps(outgoing)
    try:
        asked = next(steps)
        while True:
            try:
                posted = _post(asked)
            except Exception as error:  # noqa: BLE001 - it ends the exchange, and goes on from there
                asked = steps.throw(error)
            else:
                asked = steps.send(posted)
    except StopIteration as done:
        return done.value


async def asend(outgoing: Outgoing) -> Reply:
    """`send`, without holding up the running loop."""
    steps = _steps(outgoing)
    try:
        asked = next(steps)
        while True:
            try:
                posted = await asyncio.to_thread(_post, asked)
            except BaseException as error:  # noqa: BLE001 - a cancelled one ends the exchange too
                asked = steps.throw(error)
            else:
                asked = steps.send(posted)
    except StopIteration as done:
        return done.value


def _steps(outgoing: Outgoing) -> Generator[Outgoing, requests.Response, Reply]:
    """Yields what is to be posted, if anything is, and is sent the response."""
    dialect = _dialect(outgoing.dialect)
    exchange = Exchange(
        outgoing.dialect, "POST", outgoing.url, lambda: outgoing.headers, outgoing.body, TRANSPORT, lane()
    )
    who = attempt.ask(dialect, exchange)
    if isinstance(who, ModelAnswer):
        return _served(who, _begun(dialect, exchange, who))
    made, headers = exchange, outgoing.headers
    if who is not None:
        made, headers = attempt.routed(exchange, who), who.headers
    under_way = _begun(_dialect(made.dialect), made, who)
    if who is not None and under_way is None:
        raise EffectDenied("a live model call could not be recorded, so it is not sent", f"POST {made.url}")
    with under_way or nullcontext():
        response = yield Outgoing(made.dialect, made.url, headers, made.request_body)
        pairs = tuple(
            (name, value) for name, value in response.headers.items() if name.lower() != "content-encoding"
        )
        status, body = response.status_code, response.content
        if who is not None and who.given is not None:
            answer = who.given(status, pairs, body)
            if under_way is not None:
                under_way.rendered(status, lambda: pairs, body, answer)
            return _reply(answer)
        if under_way is not None:
            under_way.answered(status, lambda: pairs)
            under_way.received(body)
            under_way.ended("complete")
    return Reply(status, body, response.headers.get("content-type", ""))


def _dialect(name: str) -> Dialect:
    found = recognise.by_name(name)
    if found is None:
        raise SpanreelError(f"nobody knows the dialect {name}", "use openai/, anthropic/ or google/")
    return found


def _begun(dialect: Dialect, exchange: Exchange, who: ModelAnswer | ModelRoute | None) -> Attempt | None:
    recording = attempt.watching()
    if recording is None:
        return None
    return attempt.begin(recording, dialect, exchange, urlsplit(exchange.url).hostname or "", None, who)


def _served(answer: ModelAnswer, under_way: Attempt | None) -> Reply:
    """What was recorded, as if it had come just now."""
    with under_way or nullcontext():
        if not answer.status or answer.outcome == "error":
            raise _error(answer)
        if under_way is not None:
            under_way.answered(answer.status, lambda: answer.headers)
            for chunk in answer.chunks:
                under_way.received(chunk)
            under_way.ended("complete")
        return _reply(answer)


def _reply(answer: ModelAnswer) -> Reply:
    kind = next((value for name, value in answer.headers if name.lower() == "content-type"), "")
    return Reply(answer.status, b"".join(answer.chunks), kind)


def _error(answer: ModelAnswer) -> Exception:
    import requests

    kind: Any = getattr(requests.exceptions, (answer.error_type or "").rpartition(".")[2], None)
    if not (isinstance(kind, type) and issubclass(kind, requests.RequestException)):
        kind = requests.exceptions.ConnectionError
    return kind(answer.error_message)


def _post(asked: Outgoing) -> requests.Response:
    import requests

    with requests.Session() as session:
        return session.post(
            asked.url,
            data=asked.body,
            headers=dict(asked.headers),
            auth=_unchanged,
            timeout=(CONNECT_S, READ_S),
            allow_redirects=False,
        )


def _unchanged(request: Any) -> Any:
    """The request as it is: without this, a ~/.netrc would put its own password over the key."""
    return request
