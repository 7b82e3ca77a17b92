"""Which dialect is this request, and who is behind the host? Two tables.

On the agent's call path: a pattern over the path and a probe of the bytes, never a JSON parse.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from spanreel.wire.dialects import (
    anthropic_messages,
    gemini,
    openai_chat,
    openai_embeddings,
    openai_responses,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanreel.wire.dialect import Dialect

DIALECTS: Final[tuple[Dialect, ...]] = (
    openai_chat.DIALECT,
    openai_responses.DIALECT,
    anthropic_messages.DIALECT,
    openai_embeddings.DIALECT,
    gemini.DIALECT,
)
_BY_NAME: Final = {dialect.name: dialect for dialect in DIALECTS}

PROVIDERS: Final[dict[str, str]] = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure.ai.openai",
    "cognitiveservices.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "inference.ai.azure.com": "azure.ai.inference",
    "models.ai.azure.com": "azure.ai.inference",
    "anthropic.com": "anthropic",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "amazonaws.com": "aws.bedrock",
    "cohere.com": "cohere",
    "cohere.ai": "cohere",
    "deepseek.com": "deepseek",
    "groq.com": "groq",
    "mistral.ai": "mistral_ai",
    "moonshot.ai": "moonshot_ai",
    "moonshot.cn": "moonshot_ai",
    "perplexity.ai": "perplexity",
    "x.ai": "x_ai",
    "ml.cloud.ibm.com": "ibm.watsonx.ai",
    "openrouter.ai": "openrouter",
    "together.ai": "together",
    "together.xyz": "together",
    "fireworks.ai": "fireworks",
    "cerebras.ai": "cerebras",
    "huggingface.co": "huggingface",
    "nvidia.com": "nvidia",
    "sambanova.ai": "sambanova",
    "githubcopilot.com": "github-copilot",
    "models.github.ai": "github",
}
"""Hosts (and all below them) that name the provider."""

MODEL_HOSTS: Final[tuple[str, ...]] = (
    "api.openai.com",
    "openai.azure.com",
    "inference.ai.azure.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "aiplatform.googleapis.com",
    "api.cohere.com",
    "api.cohere.ai",
    "api.deepseek.com",
    "api.groq.com",
    "api.mistral.ai",
    "api.perplexity.ai",
    "api.x.ai",
    "api.together.xyz",
    "api.fireworks.ai",
    "api.cerebras.ai",
    "openrouter.ai",
)
"""Hosts (and all below them) that serve models and nothing else; Bedrock's are told by their first label."""

_CALL_OF_A_MODEL_HOST = re.compile(
    r"/(?:completions|messages|responses|embeddings|embed|rerank|chat|interactions|conversations|generations|edits"
    r"|speech|transcriptions|translations)$"
)
_CALL_ANYWHERE = re.compile(
    r":(?:streamG|g)enerateContent$|:(?:batchE|e)mbedContents?$|:(?:streamR|r)awPredict$"
    r"|/model/[^/]+/(?:converse|invoke)(?:-stream|-with-response-stream)?$|/api/(?:chat|generate|embed|embeddings)$|/v2/chat$"
)
_PATH = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)?([^?#]*)")
_MODEL_KEY = b'"model"'
_MODEL = re.compile(rb'"model"\s*:\s*"((?:[^"\\]|\\.){1,512})"')
_MODEL_IN_PATH = re.compile(r"/(?:deployments|models)/([^/:?#]+)")
_MODEL_OF_METHOD = re.compile(r"/(?:models|tunedModels|endpoints)/([^/:?#]+):[A-Za-z]+$")
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]')


def path_of(url: str) -> str:
    """The path of an absolute or relative URL, without query and fragment."""
    found = _PATH.match(url)
    return found[1] if found else ""


def recognise(method: str, url: str, body: bytes) -> Dialect | None:
    """The dialect that a request speaks, or None: not a model call that we know.

    Args:
        method: the HTTP method, in any case.
        url: absolute URL, or path; host, query and fragment do not matter.
        body: the request body as sent.
    """
    if method.upper() != "POST":
        return None
    path = path_of(url)
    return next((dialect for dialect in DIALECTS if dialect.recognises(path, body)), None)


def serves_models(host: str) -> bool:
    """Whether a host (no port) is a provider's model API."""
    name = host.rstrip(".").lower()
    return name.startswith("bedrock-runtime.") or any(
        name == known or name.endswith("." + known) for known in MODEL_HOSTS
    )


def looks_like_a_model_call(method: str, host: str, url: str) -> bool:
    """Whether a request that no dialect of ours speaks calls a model all the same, as far as host and path tell."""
    if method.upper() != "POST":
        return False
    path = path_of(url)
    return bool(_CALL_ANYWHERE.search(path) or (serves_models(host) and _CALL_OF_A_MODEL_HOST.search(path)))


def by_name(name: str) -> Dialect | None:
    """The dialect of that name, such as ``openai.chat``."""
    return _BY_NAME.get(name)


def request_model(body: bytes, url: str = "") -> str | None:
    """The model that a request names, without parsing it; where the body has none, the one in the path.

    A path that calls a model's method (`…/models/gemini-2.5-pro:generateContent`) names the model, whatever the body says.
    A body that names several (a tool call's arguments may) is read for the one at its top.
    """
    if method := model_of_method(url):
        return method
    found = list(_named_models(body))
    if len({match[1] for match in found}) > 1:
        tops = _top_level(body, {match.start() for match in found})
        found = [match for match in found if match.start() in tops] or found
    if found:
        return found[0][1].decode("utf-8", "replace")
    in_path = _MODEL_IN_PATH.search(path_of(url))
    return in_path[1] if in_path else None


def model_of_method(url: str) -> str | None:
    """The model whose method a path calls, as Google's paths do; None where the path is of another kind."""
    found = _MODEL_OF_METHOD.search(path_of(url))
    return found[1] if found else None


def provider_of(dialect: Dialect, host: str) -> str:
    """The `gen_ai.provider.name`: what the host says (a port does not matter), else what the dialect says."""
    name = host.rpartition("@")[2].partition(":")[0].rstrip(".").lower()
    while name:
        if name in PROVIDERS:
            return PROVIDERS[name]
        name = name.partition(".")[2]
    return dialect.provider


def _named_models(body: bytes) -> Iterator[re.Match[bytes]]:
    at = body.find(_MODEL_KEY)  # many times faster than a search by the expression
    while at >= 0:
        if match := _MODEL.match(body, at):
            yield match
        at = body.find(_MODEL_KEY, at + 1)


def _top_level(body: bytes, places: set[int]) -> set[int]:
    """Those of the places (starts of strings) that lie directly in the outermost object."""
    depth, found = 0, set[int]()
    for token in _STRUCTURE.finditer(body):
        sign = token[0]
        if sign in (b"{", b"["):
            depth += 1
        elif sign in (b"}", b"]"):
            depth -= 1
        elif depth == 1 and token.start() in places:
            found.add(token.start())
    return found
