"""LOUD: a call made in one dialect, sent in another: which one, where to, with which key, and the way back.

The rendering itself is `wire.rendering`. Reads the environment for base URLs and keys; a key goes into the request's
headers and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from spanreel.exceptions import EffectDenied, SpanreelError
from spanreel.instrument.responder import ModelAnswer, ModelRequest, ModelRoute
from spanreel.replay import overrides, stubs
from spanreel.wire import recognise, rendering
from spanreel.wire.lenient import mapping, parse

if TYPE_CHECKING:
    from spanreel.instrument.exchange import Exchange
    from spanreel.replay.policy import Messages


@dataclass(frozen=True, slots=True)
class Target:
    """A provider that calls can be sent to. key, base: environment variables, the first that is set counts."""

    dialect: str
    keys: tuple[str, ...]
    bases: tuple[str, ...]
    default: str
    header: str = "authorization"
    prefix: str = "Bearer "
    also: tuple[tuple[str, str], ...] = ()


_OPENAI = (("OPENAI_API_KEY",), ("OPENAI_BASE_URL",), "https://api.openai.com/v1")
_GOOGLE = (
    ("GEMINI_API_KEY", "GOOGLE_API_KEY"), ("GOOGLE_GEMINI_BASE_URL",), "https://generativelanguage.googleapis.com",
)  # fmt: skip
TARGETS: Final[dict[str, Target]] = {
    "openai": Target("openai.chat", *_OPENAI),
    "chat": Target("openai.chat", *_OPENAI),
    "responses": Target("openai.responses", *_OPENAI),
    "anthropic": Target(
        "anthropic.messages", ("ANTHROPIC_API_KEY",), ("ANTHROPIC_BASE_URL",), "https://api.anthropic.com",
        "x-api-key", "", (("anthropic-version", "2023-06-01"),),
    ),
    "gemini": Target("gemini", *_GOOGLE, "x-goog-api-key", ""),
    "google": Target("gemini", *_GOOGLE, "x-goog-api-key", ""),
}  # fmt: skip
"""By the word before the slash in ``model=anthropic/claude-…``."""


def target(request: ModelRequest, model: Any) -> tuple[str, Any]:
    """The dialect and the model that ``model=`` means for this call.

    A provider's name before a slash is taken off: for the call's own dialect that is all, for another one it is the
    dialect to send in. Where the agent itself names models with a slash (a router such as OpenRouter), it is a name.

    Raises:
        SpanreelError: it names a provider only.
    """
    if not isinstance(model, str):
        return request.dialect, model
    word, slash, rest = model.partition("/")
    known = TARGETS.get(word.lower()) if slash else None
    if known is not None and not rest:
        raise SpanreelError(f"model={model} names a provider and no model", f"such as model={word}/NAME")
    own = recognise.request_model(request.body, request.url) or ""
    if known is None or "/" in own.removeprefix("models/"):
        return request.dialect, model
    if word.lower() == "openai" and request.dialect.startswith("openai."):
        return request.dialect, rest
    return known.dialect, rest


def key_of(dialect: str) -> tuple[str, str]:
    """The base URL and key of a dialect's provider, from the environment.

    Raises:
        SpanreelError: no key is set.
    """
    place = _place(dialect)
    key = next((os.environ[name] for name in place.keys if os.environ.get(name)), None)
    if key is None:
        raise SpanreelError(f"there is no key to call {dialect} with", f"set {' or '.join(place.keys)}")
    base = next((os.environ[name] for name in place.bases if os.environ.get(name)), place.default)
    return base.rstrip("/"), key


def headers_of(dialect: str, key: str) -> tuple[tuple[str, str], ...]:
    """What a request in a dialect needs."""
    place = _place(dialect)
    return (("content-type", "application/json"), (place.header, place.prefix + key), *place.also)


def with_messages(request: ModelRequest, body: bytes, messages: Messages) -> bytes:
    """The body with the messages that a function makes of those it has, in GenAI's form.

    Raises:
        SpanreelError: the dialect cannot express what it gave.
    """
    neutral = _neutral(request, body)
    changed = replace(neutral, messages=tuple(messages(list(neutral.messages))))
    made = rendering.request(request.dialect, changed, neutral.model or "")
    return overrides.encoded({**mapping(parse(body)), **made.body})


def route(
    request: ModelRequest,
    body: bytes,
    dialect: str,
    model: str,
    *,
    drop: Collection[str],
    ended: Callable[[Exchange], None],
) -> ModelRoute:
    """The call in another dialect, with the way back to the one that the SDK reads.

    Args:
        request: as the SDK made it.
        body: what is asked, in the SDK's dialect.
        dialect: to send in.
        model: as its provider names it.
        drop: features to leave out that the dialect cannot express.
        ended: told when the call is over.

    Raises:
        SpanreelError: no key, or something that the other dialect cannot express, by name.
    """
    base, key = key_of(dialect)
    neutral = _neutral(request, body)
    whole = replace(
        neutral, parameters={name: value for name, value in neutral.parameters.items() if name != "stream"}
    )
    made = rendering.request(dialect, whole, model, drop=drop)
    sent = overrides.encoded(made.body)

    def given(status: int, headers: tuple[tuple[str, str], ...], reply: bytes) -> ModelAnswer:
        try:
            return stubs.rendered(request, dialect, sent, status, reply)
        except SpanreelError as error:
            raise EffectDenied(
                f"the answer of {dialect} cannot be given to {request.dialect}: {error}", dialect
            ) from error

    path = made.path.removeprefix("/v1") if dialect.startswith("openai.") else made.path
    headers = {**dict(headers_of(dialect, key)), **dict(made.headers)}
    return ModelRoute(dialect, base + path, tuple(headers.items()), sent, given, ended)


def _neutral(request: ModelRequest, body: bytes) -> rendering.NeutralRequest:
    model = recognise.request_model(body, request.url)
    return rendering.neutral_request(request.dialect, mapping(parse(body)), model=model)


def _place(dialect: str) -> Target:
    found = next((one for one in TARGETS.values() if one.dialect == dialect), None)
    if found is None:
        raise SpanreelError(
            f"calls cannot be sent in the dialect {dialect}", f"use one of {', '.join(TARGETS)}"
        )
    return found
