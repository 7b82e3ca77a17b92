"""LOUD: the way out of an execution for a live call: within the budget, with the overrides, its cost put into the books.

Reads the clock (for the budget) and the environment (for the key of another provider). It decides nothing else.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from spanreel.exceptions import BudgetSpent, SpanreelError
from spanreel.instrument.responder import ModelRequest, ModelRoute, ToolRequest, ToolRoute
from spanreel.replay import crossing, overrides, pricing
from spanreel.replay.callsite import code_line
from spanreel.replay.hooks import live_tool
from spanreel.wire import recognise
from spanreel.wire.dialect import Reply
from spanreel.wire.lenient import mapping, parse
from spanreel.wire.records import Record

if TYPE_CHECKING:
    from spanreel.instrument.exchange import Exchange
    from spanreel.replay.books import Books
    from spanreel.replay.policy import Policy


class Router:
    """Lets calls out.

    Args:
        policy: the overrides and the budget.
        books: where live calls are counted and what they cost.
        clock: seconds, for the budget.
    """

    def __init__(self, policy: Policy, books: Books, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._books = books
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()

    def out(self, request: ModelRequest, step: int) -> ModelRoute:
        """Where a model call goes, and as what.

        Raises:
            BudgetSpent: it would go beyond the budget.
            SpanreelError: an override cannot be applied, or the target has no key.
        """
        self._afford(f"step {step}: {request.dialect}")
        route = self._changed(request, step)
        self._books.live += 1
        self._books.live_models += 1
        return route

    def tool_out(self, request: ToolRequest, step: int) -> ToolRoute:
        """Leave for a tool's body to run.

        Raises:
            BudgetSpent: the time is up.
            Refused: a hook of the project said no.
        """
        self._in_time(f"step {step}: tool {request.name}")
        live_tool(request.name, request.arguments, request.safety, request.call_id)
        self._books.live += 1
        return ToolRoute()

    def _changed(self, request: ModelRequest, step: int) -> ModelRoute:
        said = self._policy.overrides
        parameters = said.at(step)
        url, body = request.url, request.body
        if step in said.requests:
            body = overrides.encoded(_object(said.requests[step], step))
        target, model = crossing.target(request, parameters.get("model"))
        if said.messages is not None:
            body = crossing.with_messages(request, body, said.messages)
        if target == request.dialect:
            if parameters:
                asked = {**parameters, "model": model} if "model" in parameters else parameters
                url, changed = overrides.applied(request.dialect, url, _object(parse(body), step), asked)
                body = overrides.encoded(changed)
            return ModelRoute(request.dialect, url, _headers(request), body, ended=self._ended)
        rest = {name: value for name, value in parameters.items() if name != "model"}
        if rest:
            url, changed = overrides.applied(request.dialect, url, _object(parse(body), step), rest)
            body = overrides.encoded(changed)
        drop = {name for name, value in parameters.items() if value is None}
        return crossing.route(request, body, target, str(model), drop=drop, ended=self._ended)

    def _afford(self, what: str) -> None:
        budget, books = self._policy.budget, self._books
        if budget.calls is not None and books.live_models >= budget.calls:
            raise BudgetSpent(
                f"{what}: the budget of {budget.calls} live model {'call' if budget.calls == 1 else 'calls'} is spent",
                what,
                code_line(),
            )
        if budget.cost is not None:
            spent = books.cost or 0
            if books.unpriced:
                raise BudgetSpent(
                    f"{what}: a live call has no known price, so the budget of ${budget.cost} cannot be kept ({_why()})", what, code_line()
                )  # fmt: skip
            if spent >= budget.cost:
                raise BudgetSpent(
                    f"{what}: ${spent} of the budget of ${budget.cost} is spent", what, code_line()
                )
        self._in_time(what)

    def _in_time(self, what: str) -> None:
        limit = self._policy.budget.seconds
        if limit is not None and self._clock() - self._began >= limit:
            raise BudgetSpent(f"{what}: the budget of {limit:g} s is spent", what, code_line())

    def _ended(self, exchange: Exchange) -> None:
        """Count what a live call cost."""
        record = _record(exchange)
        cost = pricing.reported(pricing.price(record)) if record.usage else None
        with self._lock:
            self._books.usage += record.usage
            if cost is not None:
                self._books.spend(cost)
            elif exchange.status and exchange.status < 400:
                self._books.unpriced += 1


def _record(exchange: Exchange) -> Record:
    """What a finished exchange says, as pricing wants it."""
    known = recognise.by_name(exchange.dialect)
    assert known is not None
    body = b"".join(exchange.chunks)
    encoding = next(
        (value for name, value in exchange.response_headers() if name.lower() == "content-encoding"), ""
    )
    if encoding and exchange.decode is not None and exchange.given is None:
        body = b"".join(exchange.decode(encoding.strip().lower(), exchange.chunks))
    call = known.read(
        mapping(parse(exchange.request_body)), Reply(exchange.status, body) if exchange.status else None
    )
    host = exchange.url.partition("://")[2].partition("/")[0]
    return Record(
        trace_id="",
        span_id="",
        parent_span_id=None,
        name="",
        start_ns=time.time_ns(),
        end_ns=0,
        provider=recognise.provider_of(known, host),
        model=call.model or recognise.request_model(exchange.request_body, exchange.url),
        response_model=call.response_model,
        usage=call.usage,
    )


def _object(value: Any, step: int) -> dict[str, Any]:
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, dict):
        raise SpanreelError(
            f"step {step}: a request is a JSON object", "see what was sent: spanreel show RUN --json"
        )
    return value


def _headers(request: ModelRequest) -> tuple[tuple[str, str], ...]:
    """The SDK's own, but for what describes the body it had."""
    described = ("content-length", "content-encoding", "transfer-encoding")
    return tuple((name, value) for name, value in request.headers if name.lower() not in described)


def _why() -> str:
    return "the model is not in the price list" if pricing.pricing_available() else pricing.REMEDY
