"""Where each field of a record may stand: attribute names of all emitters, the most trusted one first."""

from __future__ import annotations

from typing import Final

PROVIDER: Final = (
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.provider",
    "llm.system",
    "ai.model.provider",
    "langsmith.metadata.ls_provider",
)
MODEL: Final = (
    "gen_ai.request.model",
    "llm.request.model_name",
    "llm.model_name",
    "embedding.model_name",
    "reranker.model_name",
    "ai.model.id",
    "langsmith.metadata.ls_model_name",
    "langfuse.observation.model.name",
    "model_name",
    "model",
)
RESPONSE_MODEL: Final = ("gen_ai.response.model", "llm.response.model_name", "ai.response.model")
RESPONSE_ID: Final = ("gen_ai.response.id", "ai.response.id")
TOOL_NAME: Final = ("gen_ai.tool.name", "tool.name", "ai.toolCall.name", "tool_name", "traceloop.entity.name")
TOOL_CALL_ID: Final = (
    "gen_ai.tool.call.id",
    "gen_ai.tool.call_id",
    "tool_use_id",
    "ai.toolCall.id",
    "tool.id",
)
AGENT: Final = (
    "gen_ai.agent.name",
    "agent.name",
    "agent_name",
    "gen_ai.workflow.name",
    "langsmith.metadata.lc_agent_name",
    "ai.telemetry.functionId",
    "lk.agent_name",
    "traceloop.workflow.name",
)
SESSION: Final = (
    "gen_ai.conversation.id",
    "session.id",
    "langsmith.metadata.thread_id",
    "traceloop.association.properties.thread_id",
    "traceloop.association.properties.session_id",
    "ai.telemetry.metadata.sessionId",
    "langsmith.metadata.session_id",
    "gcp.vertex.agent.session_id",
    "anthropic.session.id",
    "conversation.id",
    "langfuse.session.id",
)
USER: Final = (
    "user.id",
    "enduser.id",
    "langfuse.user.id",
    "ai.telemetry.metadata.userId",
    "traceloop.association.properties.user_id",
)
FINISH: Final = (
    "gen_ai.response.finish_reasons",
    "gen_ai.response.finish_reason",
    "llm.finish_reason",
    "ai.response.finishReason",
    "anthropic.message.stop_reason",
    "gen_ai.completion.0.finish_reason",
    "stop_reason",
)
COST: Final = (
    "gen_ai.usage.cost",
    "gen_ai.cost.total_cost",
    "litellm.cost.total",
    "operation.cost",
    "llm.cost.total",
    "cost_usd",
)
ERROR_TYPE: Final = ("error.type", "exception.type", "error_type", "error_class")

INPUT: Final = (
    "gen_ai.usage.input_tokens",
    "llm.token_count.prompt",
    "gen_ai.usage.prompt_tokens",
    "ai.usage.inputTokens",
    "ai.usage.promptTokens",
    "ai.usage.tokens",
    "input_token_count",
    "input_tokens",
)
OUTPUT: Final = (
    "gen_ai.usage.output_tokens",
    "llm.token_count.completion",
    "gen_ai.usage.completion_tokens",
    "ai.usage.outputTokens",
    "ai.usage.completionTokens",
    "output_token_count",
    "output_tokens",
)
CACHE_READ: Final = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.cached_input_tokens",
    "gen_ai.usage.input_cached_tokens",
    "gen_ai.usage.input_tokens.cached",
    "llm.token_count.prompt_details.cache_read",
    "ai.usage.inputTokenDetails.cacheReadTokens",
    "ai.usage.cachedInputTokens",
    "gen_ai.usage.details.cache_read_tokens",
    "cached_token_count",
    "cached_content_token_count",
    "cache_read_tokens",
)
CACHE_WRITE: Final = (
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.cache_write_input_tokens",
    "llm.token_count.prompt_details.cache_write",
    "ai.usage.inputTokenDetails.cacheWriteTokens",
    "gen_ai.usage.details.cache_write_tokens",
    "cache_creation_tokens",
)
REASONING: Final = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.output_tokens.reasoning",
    "llm.token_count.completion_details.reasoning",
    "ai.usage.outputTokenDetails.reasoningTokens",
    "ai.usage.reasoningTokens",
    "gen_ai.usage.details.reasoning_tokens",
    "reasoning_token_count",
    "thoughts_token_count",
)

# Content.
ARGUMENTS: Final = (
    "gen_ai.tool.call.arguments",
    "tool_arguments",
    "ai.toolCall.args",
    "gcp.vertex.agent.tool_call_args",
    "langfuse.observation.input",
    "mlflow.spanInputs",
    "input.value",
    "traceloop.entity.input",
    "tool_input",
    "full_command",
    "lmnr.span.input",
    "gen_ai.prompt",
    "gen_ai.input.messages",
)
RESULT: Final = (
    "gen_ai.tool.call.result",
    "tool_response",
    "ai.toolCall.result",
    "gcp.vertex.agent.tool_response",
    "anthropic.tool_result.content",
    "langfuse.observation.output",
    "mlflow.spanOutputs",
    "output.value",
    "traceloop.entity.output",
    "lmnr.span.output",
    "gen_ai.completion",
    "gen_ai.output.messages",
)
INPUT_MESSAGES: Final = (
    "gen_ai.input.messages",
    "ai.prompt.messages",
    "ai.prompt",
    "pydantic_ai.all_messages",
    "all_messages_events",
    "gcp.vertex.agent.llm_request",
    "llm.prompts",
    "langfuse.observation.input",
    "mlflow.spanInputs",
    "input.value",
    "gen_ai.prompt",
    "lmnr.span.input",
    "user_prompt",
    "traceloop.entity.input",
)
OUTPUT_MESSAGES: Final = (
    "gen_ai.output.messages",
    "gcp.vertex.agent.llm_response",
    "langfuse.observation.output",
    "mlflow.spanOutputs",
    "output.value",
    "gen_ai.completion",
    "lmnr.span.output",
    "final_result",
    "response.model_output",
    "traceloop.entity.output",
)
TOOLS: Final = ("gen_ai.tool.definitions", "ai.prompt.tools", "mlflow.chat.tools")
RAW_REQUEST: Final = (
    "input.value",
    "mlflow.spanInputs",
    "langfuse.observation.input",
    "gcp.vertex.agent.llm_request",
)
RAW_RESPONSE: Final = (
    "output.value",
    "mlflow.spanOutputs",
    "langfuse.observation.output",
    "gcp.vertex.agent.llm_response",
)
PARAMETERS: Final = (
    "llm.invocation_parameters",
    "embedding.invocation_parameters",
    "langfuse.observation.model.parameters",
)
