"""Who emitted a span: by the name of its scope, else by an attribute that only one emitter writes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXACT: Final = {
    "spanreel": "spanreel",
    "pydantic-ai": "pydantic-ai",
    "gen_ai": "vercel-genai",
    "ai": "vercel-legacy",
    "gcp.vertex.agent": "google-adk",
    "langsmith": "langsmith",
    "agent_framework": "ms-agent-framework",
    "litellm": "litellm",
    "gemini-cli": "gemini-cli",
    "traceloop.tracer": "openllmetry",
    "crewai.telemetry": "crewai-telemetry",
    "mcp-python-sdk": "mcp",
    "livekit-agents": "livekit",
    "lmnr": "laminar",
}
# First hit wins.
_PREFIXES: Final = (
    ("spanreel.", "spanreel"),
    ("openinference.", "openinference"),
    ("@arizeai/openinference-", "openinference"),
    ("com.anthropic.sdk.", "anthropic-native"),
    ("com.anthropic.claude_code", "claude-code"),
    ("opentelemetry.instrumentation.genai.", "otel-genai"),
    ("opentelemetry.instrumentation.google_genai", "otel-genai"),
    ("opentelemetry.instrumentation.openai_v2", "otel-genai"),
    ("opentelemetry.instrumentation.vertexai", "otel-genai"),
    ("opentelemetry.util.genai", "otel-genai"),
    ("@traceloop/", "openllmetry"),
    ("logfire", "logfire"),
    ("strands.telemetry", "strands"),
    ("mlflow", "mlflow"),
    ("langfuse", "langfuse"),
    ("Microsoft.Agents.AI", "ms-agent-framework"),
    ("Experimental.Microsoft.Extensions.AI", "ms-agent-framework"),
    ("semantic_kernel", "semantic-kernel"),
    ("Microsoft.SemanticKernel", "semantic-kernel"),
    ("codex_otel.", "codex"),
    ("openlit", "openlit"),
)
# What Traceloop instruments under names that look like the official ones; httpx, fastapi and their like are nobody's.
_CONTRIB: Final = "opentelemetry.instrumentation."
_TRACELOOP: Final = frozenset(
    [
        "openai",
        "anthropic",
        "langchain",
        "llamaindex",
        "llama_index",
        "bedrock",
        "cohere",
        "crewai",
        "groq",
        "haystack",
        "mistralai",
        "ollama",
        "replicate",
        "together",
        "transformers",
        "google_generativeai",
        "watsonx",
        "alephalpha",
        "sagemaker",
        "writer",
        "agno",
        "openai_agents",
    ]
)
_SIGNATURES: Final = (
    ("spanreel.wire.dialect", "spanreel"),
    ("openinference.span.kind", "openinference"),
    ("langfuse.observation.type", "langfuse"),
    ("langsmith.span.kind", "langsmith"),
    ("mlflow.spanType", "mlflow"),
    ("ai.operationId", "vercel-legacy"),
    ("traceloop.span.kind", "openllmetry"),
    ("gcp.vertex.agent.event_id", "google-adk"),
    ("llm.request.type", "openllmetry"),
    ("lmnr.span.type", "laminar"),
    ("genkit:type", "genkit"),
    ("gen_ai.operation.name", "semconv"),
)


def emitter(scope: str, attributes: Mapping[str, Any]) -> str:
    """The emitter's name, or an empty string for spans that are not about models, tools or agents."""
    named = by_scope(scope)
    if named:
        return named
    return next((name for key, name in _SIGNATURES if key in attributes), "")


@lru_cache(maxsize=1024)
def by_scope(scope: str) -> str:
    """The emitter that a scope name gives away, or an empty string."""
    if known := _EXACT.get(scope):
        return known
    for prefix, name in _PREFIXES:
        if scope.startswith(prefix):
            return name
    if scope.startswith(_CONTRIB) and scope[len(_CONTRIB) :].partition(".")[0] in _TRACELOOP:
        return "openllmetry"
    return ""
