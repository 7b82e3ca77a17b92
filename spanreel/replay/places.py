"""LOUD: where a recorded call is sent again, and with which key: out of the environment, or the provider's public URL.

An address out of a recording is never called: a recording may come from anybody, and a key would go along. Where a call
went to a host that is no provider's, the user says where: content does not go to another party in silence.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from spanreel.exceptions import SpanreelError
from spanreel.replay import crossing
from spanreel.wire import attributes as names
from spanreel.wire import recognise

if TYPE_CHECKING:
    from spanreel.replay.calls import RecordedCall

AZURE: Final = "azure.ai.openai"
_AZURE_KEY: Final = "AZURE_OPENAI_API_KEY"
_AZURE_BASE: Final = "AZURE_OPENAI_ENDPOINT"
_HOMES: Final = {
    "openai.chat": "openai", "openai.responses": "openai", "anthropic.messages": "anthropic", "gemini": "gcp.gemini",
}  # fmt: skip
_GOOGLE: Final = frozenset({"gcp.gemini", "gcp.gen_ai", "gcp.vertex_ai", "google"})
PATHS: Final = {
    "openai.chat": "/chat/completions", "openai.responses": "/responses", "anthropic.messages": "/v1/messages",
}  # fmt: skip
"""After the base URL, as the provider's SDK has it."""
COMPATIBLE: Final[dict[str, tuple[str, str]]] = {
    "groq": ("GROQ", "https://api.groq.com/openai/v1"),
    "deepseek": ("DEEPSEEK", "https://api.deepseek.com/v1"),
    "mistral_ai": ("MISTRAL", "https://api.mistral.ai/v1"),
    "openrouter": ("OPENROUTER", "https://openrouter.ai/api/v1"),
    "together": ("TOGETHER", "https://api.together.xyz/v1"),
    "x_ai": ("XAI", "https://api.x.ai/v1"),
    "perplexity": ("PERPLEXITY", "https://api.perplexity.ai"),
    "fireworks": ("FIREWORKS", "https://api.fireworks.ai/inference/v1"),
    "cerebras": ("CEREBRAS", "https://api.cerebras.ai/v1"),
}
"""Providers that speak OpenAI's dialects: the beginning of their `…_API_KEY` and `…_BASE_URL`, and their public URL."""


@dataclass(frozen=True, slots=True)
class Place:
    """A URL, and the headers with the key."""

    url: str
    headers: tuple[tuple[str, str], ...]


def place(call: RecordedCall, dialect: str, model: str) -> Place:
    """Where a call is sent again in the dialect it was made in.

    Raises:
        SpanreelError: there is no key, nobody knows the provider, or the call went to a host of nobody's.
    """
    provider = call.record.provider or _HOMES.get(dialect, "")
    if provider == AZURE:
        return _azure(call, dialect, model)
    if provider in COMPATIBLE:
        word, public = COMPATIBLE[provider]
        key = _key((f"{word}_API_KEY",), provider)
        base = _base(call, (f"{word}_BASE_URL",), public, provider)
        headers: tuple[tuple[str, str], ...] = (
            ("content-type", "application/json"),
            ("authorization", f"Bearer {key}"),
        )
    elif _HOMES.get(dialect) == ("gcp.gemini" if provider in _GOOGLE else provider):
        found, key = crossing.key_of(dialect)
        variables = next(one.bases for one in crossing.TARGETS.values() if one.dialect == dialect)
        base = _base(call, variables, found, provider)
        headers = crossing.headers_of(dialect, key)
    else:
        raise SpanreelError(
            f"step {call.number}: calls of {provider or 'an unknown provider'} cannot be sent again",
            "name a provider with the model: --set model=openai/…, anthropic/… or gemini/…",
        )
    path = PATHS.get(dialect) or f"/v1beta/models/{model.removeprefix('models/')}:generateContent"
    return Place(base.rstrip("/") + path, (*headers, *_kept(call, headers)))


def _azure(call: RecordedCall, dialect: str, model: str) -> Place:
    key = _key((_AZURE_KEY,), AZURE)
    base = os.environ.get(_AZURE_BASE)
    if not base:
        raise SpanreelError(f"step {call.number}: there is no public URL of {AZURE}", f"set {_AZURE_BASE}")
    sent = urlsplit(_url(call) or "")
    if not sent.query:
        version = os.environ.get("OPENAI_API_VERSION", "2024-10-21")
        path = f"/openai/deployments/{model}{PATHS[dialect]}?api-version={version}"
    else:
        path = f"{sent.path}?{sent.query}"
    return Place(base.rstrip("/") + path, (("content-type", "application/json"), ("api-key", key)))


def _key(variables: tuple[str, ...], provider: str) -> str:
    key = next((os.environ[name] for name in variables if os.environ.get(name)), None)
    if key is None:
        raise SpanreelError(f"there is no key to call {provider} with", f"set {' or '.join(variables)}")
    return key


def _base(call: RecordedCall, variables: tuple[str, ...], public: str, provider: str) -> str:
    named = next((os.environ[name] for name in variables if os.environ.get(name)), None)
    if named is not None:
        return named
    host = _host(call)
    if host and not _of_a_provider(host):
        raise SpanreelError(
            f"step {call.number} was sent to {host}, which is no address of {provider}",
            f"say where to send it again: set {variables[0]}",
        )
    return public


def _url(call: RecordedCall) -> str | None:
    return next((str(told) for span in call.attempts if (told := span.attributes.get(names.URL_FULL))), None)


def _host(call: RecordedCall) -> str | None:
    """The host that the call was sent to, as far as anybody kept it."""
    for span in call.spans:
        for name in (names.URL_FULL, names.SERVER_ADDRESS):
            told = span.attributes.get(name)
            if isinstance(told, str) and told:
                return (urlsplit(told).hostname if "://" in told else told.partition(":")[0]) or None
    return None


def _of_a_provider(host: str) -> bool:
    name = host.rstrip(".").lower()
    return any(name == known or name.endswith(f".{known}") for known in recognise.PROVIDERS)


def _kept(call: RecordedCall, headers: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """Headers that change what is asked: versions and betas. None that is set already."""
    from spanreel.wire.lenient import parse

    told = call.attempts[-1].attributes.get(names.WIRE_REQUEST_HEADERS) if call.attempts else None
    pairs = parse(told) if isinstance(told, str) else None
    given = {name for name, _ in headers}
    return [
        (str(pair[0]).lower(), str(pair[1]))
        for pair in (pairs if isinstance(pairs, list) else ())
        if isinstance(pair, list) and len(pair) == 2
        and str(pair[0]).lower() in ("anthropic-beta", "openai-beta") and str(pair[0]).lower() not in given
    ]  # fmt: skip
