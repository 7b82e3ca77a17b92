"""The views of the store, for people who open it with sqlite-utils, Datasette or sqlite3: `runs`, `steps`, `spans`, `messages`.

Ids in hex, times as ISO 8601, durations in milliseconds, messages as text. What is packed is named with its size and
the command that shows it. Nothing of spanreel itself reads them.
"""

from __future__ import annotations

from typing import Final

from spanreel.collector.store.keys import FIRST
from spanreel.wire import attributes as names

_WHAT: Final = {
    names.INPUT_MESSAGES: "input", names.OUTPUT_MESSAGES: "output", names.SYSTEM_INSTRUCTIONS: "system",
    names.TOOL_DEFINITIONS: "tool definition", names.TOOL_CALL_ARGUMENTS: "tool arguments",
    names.TOOL_CALL_RESULT: "tool result", "input.value": "input", "output.value": "output",
    names.RUN_INPUT: "run input", names.RUN_OUTPUT: "run output",
}  # fmt: skip
"""Attributes whose value is kept in the span's row where it is small."""


def _time(column: str) -> str:
    seconds = f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000000, 'unixepoch')"
    return f"{seconds} || printf('.%03dZ', {column} / 1000000 % 1000)"


def _duration(start: str, end: str) -> str:
    return f"CASE WHEN {end} >= {start} THEN round(({end} - {start}) / 1e6, 3) END"


def _if_text(path: str) -> str:
    return f"CASE json_type(v, '{path}') WHEN 'text' THEN nullif(json_extract(v, '{path}'), '') END"


_ONE_PART: Final = " AND ".join(
    f"json_type(v, '{path}') IS NULL" for path in ("$.tool_calls", "$[1]", "$.content[1]", "$.parts[1]", "$[0].parts[1]")
)
_PATHS: Final = ("$.content", "$[0].content", "$.content[0].text", "$.parts[0].content", "$[0].parts[0].content")
_MESSAGE: Final = (
    f"CASE WHEN json_valid(v) AND {_ONE_PART} THEN coalesce({', '.join(map(_if_text, _PATHS))}, v) ELSE v END"
)
"""The text of a message that is nothing but text; any other value `v` as it is."""
_ROLE: Final = f"CASE WHEN json_valid(v) THEN coalesce({_if_text('$.role')}, {_if_text('$[0].role')}) END"
_PACKED: Final = (
    "'(' || CASE codec WHEN 1 THEN printf('%,d bytes', length(data)) ELSE printf('compressed, %,d bytes', size) END"
    " || '; spanreel show ' || lower(substr(hex(trace_id), 1, 12)) || ')'"
)
"""What stands for a content that SQL cannot read."""
_FRAGMENT: Final = "CASE WHEN type = 'text' THEN json_quote(value) WHEN type IN ('true', 'false', 'null') THEN type ELSE value END"
_IDS: Final = "lower(hex(trace_id)) AS trace_id, lower(hex(span_id)) AS {}span_id"
_ERROR: Final = "coalesce(error_message, nullif(status_message, ''), error_type) AS error"
_KEYS: Final = "CASE attribute_key.id " + " ".join(
    f"WHEN {number} THEN '{_WHAT[name]}'" for number, name in enumerate(FIRST, 1) if name in _WHAT
) + " END"  # fmt: skip


def _said(*keys: str) -> str:
    """The text of the first of these attributes that a step's span has."""
    numbers = [str(FIRST.index(key) + 1) for key in keys]
    return (
        f"(SELECT text FROM value_text WHERE value_text.span = step.span AND key IN ({', '.join(numbers)})"  # noqa: S608
        f" ORDER BY key = {numbers[0]} DESC LIMIT 1)"
    )


VIEWS: Final = f"""
-- What contents and values say, for the views below.
CREATE VIEW content_text AS SELECT id, hash, role AS code, span, CASE codec WHEN 0 THEN {_ROLE} END AS role,
  CASE codec WHEN 0 THEN {_MESSAGE} ELSE {_PACKED} END AS text
  FROM (SELECT content.*, data AS v, (SELECT trace_id FROM span JOIN trace ON trace.id = trace WHERE span.id = content.span) AS trace_id
  FROM content);
CREATE VIEW value_text AS SELECT span, key, what, content, {_ROLE} AS role,
  coalesce((SELECT text FROM content_text WHERE id = content), {_MESSAGE}) AS text
  FROM (SELECT *, CASE WHEN v LIKE '{{"$content":%' THEN json_extract(v, '$."$content"') WHEN cut < 0 THEN -cut ELSE (SELECT content FROM node WHERE id = cut) END AS content
  FROM (SELECT *, CASE WHEN v LIKE '{{"$cut":%' THEN json_extract(v, '$."$cut"[1][0][1]') END AS cut FROM (SELECT span.id AS span, attribute_key.id AS key, {_KEYS} AS what,
  coalesce(json_extract(span.attributes, '$."$' || attribute_key.id || '"'), json_extract(shape.attributes, '$."' || name_of || '"')) AS v
  FROM span JOIN shape ON shape.id = shape JOIN (SELECT id, name AS name_of FROM attribute_key WHERE id <= {len(FIRST)}) AS attribute_key)
  WHERE v IS NOT NULL));

CREATE VIEW runs AS SELECT
  run_id, nullif(alias, run_id) AS alias, agent_name, status, model, {_time("started_ns")} AS started_at,
  {_duration("started_ns", "ended_ns")} AS duration_ms, steps, spans, input_tokens, output_tokens, cost, session, error
  FROM run ORDER BY started_ns DESC;
CREATE VIEW spans AS SELECT
  {_IDS.format("")}, lower(hex(parent_span_id)) AS parent_span_id, shape.name, shape.kind, operation, agent, model, tool_name,
  {_time("start_ns")} AS started_at, {_duration("start_ns", "end_ns")} AS duration_ms,
  CASE status WHEN 1 THEN 'ok' WHEN 2 THEN 'error' ELSE 'unset' END AS status, open, input_tokens, output_tokens, {_ERROR},
  provider, session, emitter, response_id, tool_call_id, scope.name AS scope, json_extract(resource.attributes, '$."service.name"') AS service,
  (SELECT '{{' || group_concat(json_quote(coalesce(attribute_key.name, key)) || ':' || {_FRAGMENT}) || '}}' FROM
    (SELECT key, type, value FROM json_each(span.attributes) UNION ALL SELECT key, type, value FROM json_each(shape.attributes)
      WHERE json_type(span.attributes, '$."$' || (SELECT id FROM attribute_key WHERE name = key) || '"') IS NULL
      AND key NOT IN (SELECT value FROM json_each(rest, '$.missing')))
    LEFT JOIN attribute_key ON key GLOB '$[0-9]*' AND attribute_key.id = CAST(substr(key, 2) AS INTEGER)) AS attributes, events
  FROM span JOIN trace ON trace.id = span.trace JOIN shape ON shape.id = shape
  JOIN scope ON scope.id = scope JOIN resource ON resource.id = resource;
CREATE VIEW steps AS SELECT
  run.run_id, number, shape.kind, coalesce(tool_name, shape.model, shape.name) AS what, {_time("start_ns")} AS started_at,
  {_duration("start_ns", "end_ns")} AS duration_ms, {_said(names.TOOL_CALL_ARGUMENTS)} AS arguments,
  {_said(names.TOOL_CALL_RESULT, names.OUTPUT_MESSAGES, names.HTTP_RESPONSE_BODY)} AS result,
  span.input_tokens, span.output_tokens, {_ERROR}, lower(hex(span_id)) AS span_id
  FROM step JOIN run ON run.id = run JOIN span ON span.id = span JOIN shape ON shape.id = shape;
CREATE VIEW messages AS SELECT
  'sha256:' || lower(hex(hash)) AS content_id, {_IDS.format("first_")}, {_time("start_ns")} AS first_seen_at, what, role, text FROM
  (SELECT hash, span, CASE code WHEN 1 THEN 'input' WHEN 2 THEN 'output' WHEN 3 THEN 'system' WHEN 4 THEN 'tool definition'
    WHEN 5 THEN 'request body' WHEN 6 THEN 'response body' WHEN 7 THEN 'tool arguments' WHEN 8 THEN 'tool result'
    ELSE 'attribute' END AS what, role, text FROM content_text
  UNION ALL SELECT NULL, span, what, role, text FROM value_text WHERE content IS NULL AND what IS NOT NULL) AS said
  LEFT JOIN span ON span.id = said.span LEFT JOIN trace ON trace.id = trace;
"""  # noqa: S608
