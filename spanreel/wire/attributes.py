"""Every attribute name that spanreel writes; the only place where they are spelled.

Names are those of the OpenTelemetry conventions where there is one (GenAI conventions, development
channel, read in November 2026; core conventions v1.44); `spanreel.*` only where there is none.
Names that only other emitters use are in `conventions/`.
"""

from __future__ import annotations

from typing import Final

# GenAI conventions
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_TOP_K: Final = "gen_ai.request.top_k"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
REQUEST_PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
REQUEST_STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
REQUEST_CHOICE_COUNT: Final = "gen_ai.request.choice.count"
REQUEST_PREVIOUS_RESPONSE: Final = "gen_ai.request.previous_response.id"
REQUEST_REASONING_LEVEL: Final = "gen_ai.request.reasoning.level"
REQUEST_ENCODING_FORMATS: Final = "gen_ai.request.encoding_formats"
EMBEDDING_DIMENSIONS: Final = "gen_ai.embeddings.dimension.count"
OUTPUT_TYPE: Final = "gen_ai.output.type"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
USAGE_INPUT: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT: Final = "gen_ai.usage.output_tokens"
USAGE_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"
USAGE_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_WRITE: Final = "gen_ai.usage.cache_write.input_tokens"
USAGE_CACHE_CREATION: Final = (
    "gen_ai.usage.cache_creation.input_tokens"  # the earlier name, which backends still read
)
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"
AGENT_NAME: Final = "gen_ai.agent.name"
AGENT_ID: Final = "gen_ai.agent.id"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
CONTENT: Final = (
    INPUT_MESSAGES,
    OUTPUT_MESSAGES,
    SYSTEM_INSTRUCTIONS,
    TOOL_DEFINITIONS,
    TOOL_CALL_ARGUMENTS,
    TOOL_CALL_RESULT,
)

# core conventions
HTTP_METHOD: Final = "http.request.method"
HTTP_STATUS: Final = "http.response.status_code"
HTTP_RESEND: Final = "http.request.resend_count"
HTTP_REQUEST_BODY: Final = "http.request.body.content"
HTTP_RESPONSE_BODY: Final = "http.response.body.content"
HTTP_REQUEST_SIZE: Final = "http.request.body.size"
HTTP_RESPONSE_SIZE: Final = "http.response.body.size"
URL_FULL: Final = "url.full"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
CODE_FUNCTION: Final = "code.function.name"
CODE_FILE: Final = "code.file.path"
CODE_LINE: Final = "code.line.number"
PROCESS_ARGS: Final = "process.command_args"
PROCESS_CWD: Final = "process.working_directory"
PROCESS_PID: Final = "process.pid"
PROCESS_EXIT: Final = "process.exit.code"
VCS_REVISION: Final = "vcs.ref.head.revision"
SERVICE_NAME: Final = "service.name"
SERVICE_INSTANCE: Final = "service.instance.id"

# ours: runs and effects
OPEN: Final = "spanreel.open"
RUN_ID: Final = "spanreel.run.id"
RUN_INPUT: Final = "spanreel.run.input"
RUN_OUTPUT: Final = "spanreel.run.output"
RUN_ENTRY: Final = "spanreel.run.entry"  # how to run it again: function | process
REQUEST_HASH: Final = "spanreel.request.hash"
EFFECT_SOURCE: Final = "spanreel.effect.source"
SOURCE_RUN_ID: Final = "spanreel.source.run_id"
INCOMPLETE: Final = "spanreel.capture.incomplete"
CAPTURE_LEVEL: Final = "spanreel.capture.level"
REDACTED: Final = "spanreel.capture.redacted"  # how many secrets were blanked in this span
TOOL_SAFETY: Final = "spanreel.tool.safety"
TOOL_FRAMEWORK: Final = "spanreel.tool.framework"
TOOL_RESULT: Final = "spanreel.tool.result"  # the codec's JSON: what the caller got back, typed
TOOL_FIDELITY: Final = "spanreel.tool.result.fidelity"  # exact | text | opaque
TOOL_IDEMPOTENCY: Final = "spanreel.tool.idempotency_key"
OUTCOME: Final = "spanreel.outcome."
TAG: Final = "spanreel.tag."
EXPERIMENT: Final = "spanreel.experiment."
METADATA: Final = "spanreel.metadata."
APPROVAL_ID: Final = "spanreel.approval.id"
APPROVAL_STATUS: Final = "spanreel.approval.status"  # pending | approved | rejected
APPROVAL_SUMMARY: Final = "spanreel.approval.summary"
APPROVAL_DETAILS: Final = "spanreel.approval.details"  # JSON
APPROVAL_ACTOR: Final = "spanreel.approval.actor"  # JSON object, or a name
APPROVAL_REASON: Final = "spanreel.approval.reason"
NOTE: Final = "spanreel.note"  # event name; attributes spanreel.note.kind, .summary, .data

# ours: playbooks
PLAYBOOK_NAME: Final = "spanreel.playbook.name"
PLAYBOOK_HASH: Final = (
    "spanreel.playbook.hash"  # sha256:<64 hex>: on the root of each execution, and on the body
)
PLAYBOOK_STATE: Final = "spanreel.playbook.state"  # on state spans
PLAYBOOK_VISIT: Final = "spanreel.playbook.state.visit"
PLAYBOOK_NEXT: Final = "spanreel.playbook.state.next"
PLAYBOOK_SAVED: Final = "spanreel.playbook.state.saved"  # JSON: the variables that the state set
PLAYBOOK_ATTEMPT: Final = "spanreel.playbook.attempt"  # 2, 3, ...: of an action that was tried again
PLAYBOOK_PURPOSE: Final = "spanreel.playbook.purpose"  # compensation
PLAYBOOK_MODE: Final = "spanreel.playbook.mode"  # strict | guided | shadow, on the root of an execution
PLAYBOOK_PARAMS: Final = "spanreel.playbook.params"  # canonical JSON, on the root of an execution
PLAYBOOK_META: Final = (
    "spanreel.workflow."  # prefix: what the body says of itself (meta), on the root of an execution
)
PLAYBOOK_GUARD: Final = (
    "spanreel.playbook.guard"  # which guard stopped it, on its root and on the state's span
)
PLAYBOOK_STOPPED_AT: Final = "spanreel.playbook.stopped_at"  # the state, on the root
PLAYBOOK_REASON: Final = "spanreel.playbook.reason"
PLAYBOOK_MODEL_CALLS: Final = "spanreel.playbook.model_calls"  # that it made itself
PLAYBOOK_TOOL_CALLS: Final = "spanreel.playbook.tool_calls"
PLAYBOOK_SCORE: Final = (
    "spanreel.playbook.score"  # 0 to 1: of a shadow, how much of what the agent did it proposed
)
PLAYBOOK_DIVERGENCE: Final = "spanreel.playbook.divergence"  # JSON: of a shadow, the first one
PLAYBOOK_AVOIDED: Final = (
    "spanreel.playbook.avoided"  # JSON: model_calls, tokens, cost, seconds that its sources needed
)
PLAYBOOK_BODY: Final = "spanreel.playbook.body"  # JSON text, on the span that keeps a body
PLAYBOOK_ORIGIN: Final = "spanreel.playbook.origin"
PLAYBOOK_REPORT: Final = "spanreel.playbook.report"  # JSON: what the compiler said of it
PLAYBOOK_HISTORY: Final = (
    "spanreel.playbook.history"  # JSON: of a body that was imported, what its file told of where it came from
)
PLAYBOOK_PARENT: Final = "spanreel.playbook.parent"  # the hash that a repair began with
DECISION: Final = (
    "spanreel.decision.kind"  # added | status | promote | review | repair | dispatch | hook | exported | ...
)
DECISION_FROM: Final = "spanreel.decision.from"
DECISION_TO: Final = "spanreel.decision.to"
DECISION_ACTOR: Final = "spanreel.decision.actor"  # JSON object, or a name
DECISION_REASON: Final = "spanreel.decision.reason"
DECISION_GATES: Final = "spanreel.decision.gates"  # JSON: each gate, what it asked, what was found
DECISION_FORCED: Final = "spanreel.decision.forced"
DECISION_RUNS: Final = "spanreel.decision.runs"  # ids of the runs that it is about

# ours: recordings that are kept with tests, on the root
RECORDING_FORMAT: Final = "spanreel.recording.format"  # 1
RECORDING_SPANS: Final = (
    "spanreel.recording.spans"  # how many a file has; with the format, on the scope of its first line
)
RECORDING_STARTED: Final = "spanreel.recording.started"  # nanoseconds since the epoch, as decimal digits
RECORDING_TIMES: Final = "spanreel.recording.times"
"""Space-separated microseconds since that start, one for each tick that stands for a time in the file."""
RECORDING_SEED: Final = "spanreel.recording.seed"  # of the uuid4 values that were drawn

# ours: the wire
WIRE_DIALECT: Final = "spanreel.wire.dialect"
WIRE_ROLE: Final = "spanreel.wire.role"  # call | exchange: a hint, grouping decides
WIRE_TRANSPORT: Final = "spanreel.wire.transport"
WIRE_LANE: Final = "spanreel.wire.lane"
WIRE_OUTCOME: Final = "spanreel.wire.outcome"  # complete | closed | dropped | cancelled | error
WIRE_ERROR: Final = "spanreel.wire.error.message"
WIRE_REQUEST_HEADERS: Final = "spanreel.wire.request.headers"  # JSON list of pairs
WIRE_RESPONSE_HEADERS: Final = "spanreel.wire.response.headers"  # JSON list of pairs
WIRE_REQUEST_BASE: Final = "spanreel.wire.request.base"
"""`<span id>:<prefix bytes>`: the body is that span's first bytes and our tail; with `:<suffix bytes>`, its last ones follow."""
WIRE_CHUNK_ENDS: Final = "spanreel.wire.response.chunk.ends"  # space-separated byte offsets
WIRE_CHUNK_MICROS: Final = (
    "spanreel.wire.response.chunk.micros"  # space-separated microseconds since the start
)
WIRE_ASKED_DIALECT: Final = "spanreel.wire.asked.dialect"
"""With the next two, what the agent's SDK asked, where an override sent something else (which is the request body)."""
WIRE_ASKED_URL: Final = "spanreel.wire.asked.url"
WIRE_ASKED_BODY: Final = "spanreel.wire.asked.body"
WIRE_GIVEN_STATUS: Final = "spanreel.wire.given.status"
"""With the next two, what the agent's SDK was given, where the answer came in another dialect (it is the response body)."""
WIRE_GIVEN_HEADERS: Final = "spanreel.wire.given.headers"  # JSON list of pairs
WIRE_GIVEN_BODY: Final = "spanreel.wire.given.body"
BODIES: Final = (HTTP_REQUEST_BODY, HTTP_RESPONSE_BODY, WIRE_ASKED_BODY, WIRE_GIVEN_BODY)
"""What holds entity bytes."""
REPLAY_TIER: Final = "spanreel.replay.tier"
REPLAY_SOURCE_SPAN: Final = "spanreel.replay.source.span_id"
REPLAY_SCORE: Final = "spanreel.replay.score"  # 0 to 1, of a neighbour
REPLAY_OVERRIDES: Final = "spanreel.replay.overrides"  # JSON: what was asked to be different, on the root
FORK_STEP: Final = "spanreel.fork.step"  # of the source run, from which on this one went live
RUN_SEGMENT: Final = (
    "spanreel.run.segment"  # 2, 3, ...: the root of a resumed run; spanreel.run.id names the run
)
CONTRACT: Final = (
    "spanreel.contract.hash"  # of the code: on roots of the entry point, on tool spans of the tool
)

SCOPE: Final = "spanreel"
KIND_INTERNAL: Final = 1
KIND_CLIENT: Final = 3
STATUS_UNSET: Final = 0
STATUS_ERROR: Final = 2
