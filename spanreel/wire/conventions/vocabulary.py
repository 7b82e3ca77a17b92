"""Words that emitters use for the same thing, and the one word we use. Tables, and the look-ups into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spanreel.wire import messages

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def _table(groups: Mapping[str, str]) -> dict[str, str]:
    return {word: ours for ours, words in groups.items() for word in words.split()}


FINISH: Final = {word.lower(): ours for word, ours in messages.FINISH.items()} | _table(
    {
        "stop": "complete finish_reason_stop",
        "length": "finish_reason_max_tokens",
        "tool_call": "function-call",
        "content_filter": "safety recitation prohibited_content guardrail_intervened",
        "pause": "pause",
        "error": "malformed_function_call",
    }
)
PROVIDERS: Final = _table(
    {
        "openai": "openai openai.chat openai.responses openai.completion openai.embedding",
        "azure.ai.openai": "azure.ai.openai azure az.ai.openai azure_openai azure-openai",
        "azure.ai.inference": "azure.ai.inference az.ai.inference azure_ai",
        "anthropic": "anthropic anthropic.messages",
        "gcp.gemini": "gcp.gemini google gemini google_genai google.generative-ai google-gla",
        "gcp.vertex_ai": "gcp.vertex_ai vertex_ai vertexai google.vertex google_vertexai google-vertex",
        "aws.bedrock": "aws.bedrock bedrock aws aws_bedrock amazon_bedrock amazon-bedrock",
        "mistral_ai": "mistral_ai mistral mistralai",
        "x_ai": "x_ai xai grok",
        "moonshot_ai": "moonshot_ai moonshot moonshotai",
        "ibm.watsonx.ai": "ibm.watsonx.ai watsonx",
    }
)
# Frameworks that write their own name where the provider belongs.
NOT_PROVIDERS: Final = frozenset(
    [
        "strands-agents",
        "microsoft.agent_framework",
        "langchain",
        "langgraph",
        "gcp.vertex.agent",
        "vercel",
        "unknown",
    ]
)
MODEL_PROVIDERS: Final = (
    (
        ("gpt-", "o1", "o3", "o4", "chatgpt", "text-embedding-3", "text-embedding-ada", "davinci", "babbage"),
        "openai",
    ),
    (("claude",), "anthropic"),
    (("gemini", "gemma"), "gcp.gemini"),
    (("command", "embed-english", "embed-multilingual", "rerank-"), "cohere"),
    (("mistral", "mixtral", "codestral", "ministral", "magistral", "pixtral"), "mistral_ai"),
    (("grok",), "x_ai"),
    (("deepseek",), "deepseek"),
    (("kimi", "moonshot"), "moonshot_ai"),
)
ROLES: Final = messages.ROLES | {
    "tool-response": "tool",
    "tool-call": "assistant",
    "aimessagechunk": "assistant",
}
OPERATIONS: Final = _table(
    {
        "llm": "chat generate_content text_completion completion acompletion responses message llm llm_call",
        "embedding": "embeddings embedding",
        "retrieval": "retrieval vector_db_retrieve",
        "rerank": "rerank",
        "llm_fetch": "fetch_response",
        "tool": "execute_tool tool tool_call",
        "agent": "invoke_agent agent_call user_prompt",
        "agent_create": "create_agent",
        "workflow": "invoke_workflow workflow.run",
        "plan": "plan",
        "step": "agent_step execute_event_loop_cycle execute_task schedule_tool_calls executor.process "
        "edge_group.process message.send",
        "chain": "chain parser",
        "memory": "search_memory create_memory update_memory upsert_memory delete_memory create_memory_store "
        "delete_memory_store",
        "span": "count_tokens",
    }
)
# Span kinds of OpenInference, LangSmith, MLflow, Langfuse, Traceloop and Laminar, in lower case.
KINDS: Final = _table(
    {
        "llm": "llm chat_model generation chat completion",
        "embedding": "embedding",
        "tool": "tool",
        "agent": "agent",
        "workflow": "workflow",
        "chain": "chain parser",
        "retrieval": "retriever retrieval",
        "rerank": "reranker rerank",
        "guardrail": "guardrail",
        "evaluator": "evaluator",
        "prompt": "prompt",
        "memory": "memory",
        "step": "task",
    }
)
VERCEL: Final = {
    "ai.toolCall": "tool",
    "ai.generateText": "agent",
    "ai.streamText": "agent",
    "ai.generateObject": "agent",
    "ai.streamObject": "agent",
    "ai.embed": "step",
    "ai.embedMany": "step",
    "ai.rerank": "step",
}
VERCEL_ENDINGS: Final = {"doGenerate": "llm", "doStream": "llm", "doEmbed": "embedding", "doRerank": "rerank"}
CLAUDE_CODE: Final = {
    "interaction": "agent",
    "llm_request": "llm",
    "tool": "tool",
    "tool.blocked_on_user": "approval",
    "tool.execution": "ignore",
    "hook": "step",
    "compaction": "step",
    "subagent.spawn": "step",
    "mcp.rpc": "step",
    "bash.subprocess": "step",
}


def finish(reasons: Iterable[str]) -> tuple[str, ...]:
    """Our words for the reasons why a model stopped; a word we do not know stays."""
    return tuple(FINISH.get(reason.lower(), reason) for reason in reasons)


def provider(name: str | None) -> str | None:
    """The convention's name of a provider; None for what is no provider."""
    if not name:
        return None
    low = name.lower()
    return None if low in NOT_PROVIDERS else PROVIDERS.get(low, low)


def provider_of_model(model: str | None) -> str | None:
    """Who makes a model of that name, as far as the name tells."""
    if not model:
        return None
    vendor, slash, rest = model.lower().rpartition("/")
    if slash and (named := PROVIDERS.get(vendor.rpartition("/")[2])):
        return named
    bare = rest.rpartition("anthropic.")[2]
    return next((ours for starts, ours in MODEL_PROVIDERS if bare.startswith(starts)), None)


def role(name: object) -> str:
    """system, user, assistant, tool, or what the emitter says."""
    low = name.lower() if isinstance(name, str) else ""
    return ROLES.get(low, low) or "user"


def kind_of_operation(name: str | None) -> str | None:
    """The record kind of a `gen_ai.operation.name`."""
    if not name:
        return None
    return OPERATIONS.get(name) or ("memory" if name.startswith("memory.") else None)
