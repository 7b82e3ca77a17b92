"""LOUD: model states: a prompt as a real request to the provider that the model names, and its answer as a value.

Reads the environment for base URLs and keys, as everything here that asks a provider does. A caller may give a function
instead of a model; what that asks is its own affair, and recorded by the taps.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

from spanreel.exceptions import SpanreelError
from spanreel.replay import crossing, overrides
from spanreel.replay.asking import _cost
from spanreel.replay.places import COMPATIBLE, PATHS
from spanreel.replay.playbooks.asks import Ask, Misfit
from spanreel.replay.playbooks.engine.answers import answered, placeholder
from spanreel.replay.playbooks.engine.model_calls import Outgoing, asend, send
from spanreel.wire import recognise, rendering
from spanreel.wire.dialect import Reply
from spanreel.wire.rendering.neutral import NeutralRequest

Model: TypeAlias = "str | Callable[..., Any] | None"
"""``provider/name``, or a function of prompt, system and schema that gives a text, or the JSON value."""
REMEDY: Final = "name one: --model openai/NAME, anthropic/NAME or google/NAME"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said. value: its text, or with a schema the JSON value. cost: USD, None where nobody knows."""

    value: Any
    cost: Decimal | None


def ask(asked: Ask, model: Model) -> Answer:
    """Ask a model.

    Args:
        asked: prompt, system, schema, and perhaps the model.
        model: where it names none; a function answers always.

    Raises:
        SpanreelError: no model is named, or its provider or key is not known; or the provider refused.
        Misfit: the answer is not what the schema wants.
    """
    if callable(model):
        from spanreel.replay.entry import finished

        return _of_function(finished(model(asked.prompt, asked.system, asked.schema)), asked)
    steps = _steps(asked, model)
    try:
        outgoing = next(steps)
        steps.send(send(outgoing))
    except StopIteration as done:
        return done.value
    raise AssertionError


async def aask(asked: Ask, model: Model) -> Answer:
    """`ask`, in a running loop."""
    if callable(model):
        said = model(asked.prompt, asked.system, asked.schema)
        return _of_function(await said if inspect.isawaitable(said) else said, asked)
    steps = _steps(asked, model)
    try:
        outgoing = next(steps)
        steps.send(await asend(outgoing))
    except StopIteration as done:
        return done.value
    raise AssertionError


def dry(_prompt: str, _system: str | None, schema: Mapping[str, Any] | None) -> Any:
    """A model for dry runs: it says nothing, in the right form."""
    return placeholder(schema)


def _of_function(said: Any, asked: Ask) -> Answer:
    if asked.schema is None:
        return Answer(said if isinstance(said, str) else json.dumps(said, ensure_ascii=False), None)
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    return Answer(answered(text, asked.schema), None)


def _steps(asked: Ask, model: str | None) -> Generator[Outgoing, Reply, Answer]:
    outgoing = request(asked, model)
    reply = yield outgoing
    text, cost = _read(outgoing, reply)
    try:
        return Answer(text if asked.schema is None else answered(text, asked.schema), cost)
    except Misfit as error:
        error.cost = cost
        raise


def request(asked: Ask, model: str | None) -> Outgoing:
    """The request that asks it.

    Raises:
        SpanreelError: no model is named, or its provider or key is not known.
    """
    named = asked.model or model
    if named is None:
        raise SpanreelError("this playbook asks a model, and none is named", REMEDY)
    word, _, name = named.partition("/")
    if not name and "/" in (model or ""):  # the caller says whose it is
        word, name = str(model).partition("/")[0], named
    if not name:
        raise SpanreelError(f"{named} does not say whose model it is", REMEDY)
    dialect, base, headers = _place(word.lower())
    system = _instructions(asked)
    neutral = NeutralRequest(
        dialect="",
        model=name,
        system=() if system is None else ({"type": "text", "content": system},),
        messages=({"role": "user", "parts": [{"type": "text", "content": asked.prompt}]},),
    )
    made = rendering.request(dialect, neutral, name)
    path = PATHS.get(dialect) or made.path
    url, body = overrides.applied(dialect, base + path, made.body, asked.parameters)
    return Outgoing(dialect, url, (*headers, *made.headers), overrides.encoded(body))


def _instructions(asked: Ask) -> str | None:
    """The system text; with a schema it says what the answer has to be."""
    if asked.schema is None:
        return asked.system
    wanted = json.dumps(asked.schema, ensure_ascii=False, sort_keys=True)
    form = f"Answer with one JSON value that fits this JSON Schema, and with nothing else:\n{wanted}"
    return f"{asked.system}\n\n{form}" if asked.system else form


def _place(word: str) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """Dialect, base URL and headers of a provider."""
    if word in COMPATIBLE:
        prefix, public = COMPATIBLE[word]
        key = os.environ.get(f"{prefix}_API_KEY")
        if not key:
            raise SpanreelError(f"there is no key to call {word} with", f"set {prefix}_API_KEY")
        base = os.environ.get(f"{prefix}_BASE_URL") or public
        return "openai.chat", base.rstrip("/"), crossing.headers_of("openai.chat", key)
    known = crossing.TARGETS.get(word)
    if known is None:
        raise SpanreelError(
            f"nobody knows the provider {word}", f"use one of {', '.join((*crossing.TARGETS, *COMPATIBLE))}"
        )
    base, key = crossing.key_of(known.dialect)
    return known.dialect, base, crossing.headers_of(known.dialect, key)


def _read(outgoing: Outgoing, reply: Reply) -> tuple[str, Decimal | None]:
    """The text of a reply, and what it cost.

    Raises:
        SpanreelError: the provider refused, or the reply holds no answer.
    """
    body = json.loads(outgoing.body)
    failed = rendering.failure(outgoing.dialect, reply.status, reply.body, reply.content_type)
    if failed is not None or not 200 <= reply.status < 300:
        kind, said = failed or ("error", "")
        raise SpanreelError(f"HTTP {reply.status}: {kind}: {said}".rstrip(": "))
    said = rendering.neutral_answer(outgoing.dialect, body, reply.status, reply.body, reply.content_type)
    text = "".join(
        str(part.get("content", "")) for part in said.message["parts"] if part.get("type") == "text"
    )
    known = recognise.by_name(outgoing.dialect)
    assert known is not None
    call = known.read(body, reply)
    host = outgoing.url.partition("://")[2].partition("/")[0]
    model = call.model or recognise.request_model(outgoing.body, outgoing.url)
    cost = _cost(outgoing.dialect, recognise.provider_of(known, host), model, call)
    return text, None if cost is None else Decimal(cost)
