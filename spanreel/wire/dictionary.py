"""What recordings repeat, as a preset dictionary for zlib: short records shrink as if much had been written before them.

It must never change: frames and contents written with it can only be read with it. A better one gets a name of its
own and a mark of its own beside it (zlib refuses data that another dictionary made). Pure: bytes in, bytes out.
"""

from __future__ import annotations

import zlib
from typing import Final

LIMIT: Final = 64 << 20
"""Bytes: what is larger is not packed, and nothing unpacks to more."""
_ATTRIBUTES: Final = (
    "exception.message exception.stacktrace exception.type code.file.path code.function.name code.line.number "
    "process.command_args process.working_directory vcs.ref.head.revision spanreel.run.entry spanreel.run.input "
    "spanreel.run.output spanreel.capture.incomplete spanreel.capture.redacted spanreel.tag. spanreel.metadata. "
    "gen_ai.system_instructions gen_ai.tool.definitions gen_ai.tool.description gen_ai.tool.type function "
    "gen_ai.usage.input_tokens gen_ai.usage.output_tokens gen_ai.response.finish_reasons gen_ai.response.id "
    "gen_ai.response.model gen_ai.conversation.id gen_ai.workflow.name gen_ai.agent.name invoke_agent invoke_workflow "
    "execute_tool gen_ai.tool.name gen_ai.tool.call.id gen_ai.tool.call.arguments gen_ai.tool.call.result "
    "spanreel.tool.safety write read spanreel.tool.result spanreel.tool.result.fidelity exact spanreel.tool.framework "
    "langchain openai_agents spanreel.open error.type "
    "telemetry.sdk.language\x12\x08\n\x06python telemetry.sdk.name\x12\x0f\n\ropentelemetry telemetry.sdk.version\x12\x08\n\x061.45.2 "
    "process.pid service.name service.instance.id spanreel 0.1.0 "
)
_REQUESTS: Final = (
    '{"type":"object","additionalProperties":false,"required":["properties":{"description":"","enum":["string"]},'
    '{"type":"integer"},{"type":"array","items":{"type":"string"}}}}},{"type":"function","function":{"name":"",'
    '"parameters":{"type":"object","properties":{},"required":[]},"strict":true}}],"tool_choice":"auto","input_schema":'
    '"max_tokens":1024,"temperature":0.2,"stream":true,"stream_options":{"include_usage":true},"model":"gpt-4.1-mini"'
    '{"messages":[{"role":"system","content":"You are a helpful assistant"},{"role":"user","content":"'
    '"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_","type":"function","function":{"name":"","arguments":"{\\"'
    '\\": \\"\\", \\"\\": "}"}}]},{"role":"tool","tool_call_id":"call_","content":"{\\"'
    '"parts":[{"type":"text","content":""}]},{"type":"tool_call","id":"","name":"","arguments":{}},{"type":"tool_call_response",'
    '"id":"","response":"","finish_reason":"tool_call"}]'
)
_ANSWERS: Final = (
    'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant",'
    '"model":"claude-sonnet-4-5-20250929","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":,'
    '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,'
    '"ephemeral_1h_input_tokens":0},"output_tokens":1,"service_tier":"standard"}}}\n\nevent: content_block_start\n'
    'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\nevent: content_block_delta\n'
    'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}\n\n'
    '"delta":{"type":"input_json_delta","partial_json":""}}\n\nevent: content_block_stop\ndata: {"type":"content_block_stop",'
    '"index":0}\n\nevent: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},'
    '"usage":{"output_tokens":}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n"type":"tool_use","id":"toolu_01","name":"",'
    '"input":{},"stop_reason":"end_turn"event: response.created\ndata: {"type":"response.created","sequence_number":0,'
    '"response":{"id":"resp_","object":"response","created_at":17,"status":"completed","background":false,"error":null,'
    '"incomplete_details":null,"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"output":[{"id":"rs_",'
    '"type":"reasoning","summary":[]},{"id":"fc_","type":"function_call","status":"completed","arguments":"","call_id":"call_",'
    '"name":""},{"id":"msg_","type":"message","status":"completed","content":[{"type":"output_text","annotations":[],'
    '"logprobs":[],"text":""}],"role":"assistant"}],"parallel_tool_calls":true,"previous_response_id":null,"prompt_cache_key":null,'
    '"reasoning":{"effort":null,"summary":null},"safety_identifier":null,"store":true,"temperature":1.0,"text":{"format":'
    '{"type":"text"},"verbosity":"medium"},"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":1.0,"truncation":"disabled",'
    '"usage":{"input_tokens":,"input_tokens_details":{"cached_tokens":0},"output_tokens":,"output_tokens_details":'
    '{"reasoning_tokens":0},"total_tokens":},"user":null,"metadata":{}}}\n\nevent: response.output_text.delta\ndata: '
    '{"type":"response.output_text.delta","item_id":"msg_","output_index":0,"content_index":0,"delta":"","logprobs":[],'
    '"obfuscation":""}\n\n{"object":"list","data":[{"object":"embedding","index":0,"embedding":"'
    'data: {"id":"chatcmpl-","object":"chat.completion.chunk","created":17,"model":"gpt-4.1-mini-2025-04-14","service_tier":"default",'
    '"system_fingerprint":"fp_","choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":null}],"usage":null,'
    '"obfuscation":""}\n\ndata: [DONE]\n\n'
    '{"error":{"message":"","type":"invalid_request_error","param":null,"code":null}}'
    '{"id":"chatcmpl-","object":"chat.completion","created":17,"model":"gpt-4.1-mini-2025-04-14","choices":[{"index":0,"message":'
    '{"role":"assistant","content":"","refusal":null,"annotations":[]},"role":"assistant","content":null,"tool_calls":'
    '[{"id":"call_","type":"function","function":{"name":"","arguments":"{\\"'
    '"}}]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":,"completion_tokens":,"total_tokens":,'
    '"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,'
    '"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default",'
    '"system_fingerprint":"fp_"}'
)
_SPAN: Final = (
    "chat gpt-4.1-mini\x15\n\x15gen_ai.operation.name\x12\x06\n\x04chat gen_ai.provider.name openai anthropic gen_ai.request.model "
    "spanreel.wire.dialect openai.chat openai.responses openai.embeddings anthropic.messages spanreel.wire.transport httpx2 httpx "
    "spanreel.wire.role call exchange spanreel.wire.lane\x12\x03\n\x010 spanreel.wire.outcome\x12\n\n\x08complete "
    "http.request.method\x12\x06\n\x04POST http.request.resend_count\x12\x02\x18\x00 http.request.body.size "
    'spanreel.wire.request.headers [["accept","application/json"],["content-type","application/json"],["user-agent","OpenAI/Python '
    "url.full https://api.openai.com/v1/chat/completions https://api.anthropic.com/v1/messages server.address server.port "
    'http.response.status_code\x12\x03\x18\xc8\x01 spanreel.wire.response.headers [["content-type","text/event-stream; charset=utf-8"],'
    '["x-request-id","req_"]] [["content-type","application/json"]] http.response.body.size spanreel.wire.response.chunk.ends '
    "spanreel.wire.response.chunk.micros spanreel.run.id http.request.body.content http.response.body.content "
    "spanreel.capture.level\x12\x06\n\x04full spanreel.wire.request.base\x12"
)
DICTIONARY: Final = f"{_ATTRIBUTES}{_REQUESTS}{_ANSWERS}{_SPAN}".encode("latin-1")
"""zlib looks from the end backwards: what is most common stands last."""


def pack(data: bytes, level: int) -> bytes:
    """The data by zlib with the dictionary."""
    packer = zlib.compressobj(level, zdict=DICTIONARY)
    return packer.compress(data) + packer.flush()


def unpack(packed: bytes, size: int) -> bytes | None:
    """The inverse of `pack`; None where it does not give exactly `size` bytes, or `size` is above LIMIT."""
    if size > LIMIT:
        return None
    unpacker = zlib.decompressobj(zdict=DICTIONARY)
    try:
        data = unpacker.decompress(packed, size + 1)  # never 0, which would mean without bound
    except zlib.error:
        return None
    return data if len(data) == size and unpacker.eof and not unpacker.unused_data else None
