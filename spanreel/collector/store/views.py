"""The views of the store, for people who open it with sqlite-utils, Datasette or sqlite3: `runs`, `steps`, `spans`, `messages`.

Ids in hex, times as ISO 8601, durations in milliseconds, messages as text. What is packed is named with its size and
the command that shows it. Nothing of spanreel itself reads them.
"""

from __future__ import annotations

from typing import Final

from spanreel.collector.store.keys import FIRST
from spanreel.wire import attributes as names


def _time(column: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', {column} / 1e9, 'unixepoch')"


def _duration(start: str, end: str) -> str:
    return f"CASE WHEN {end} >= {start} THEN round(({end} - {start}) / 1e6, 3) END"


_ONE_PART: Final = " AND ".join(
    f"json_type(v, '{path}') IS NULL"
    for path in ("$.tool_calls", "$[1]", "$.content[1]", "$.parts[1]", "$[0].parts[1]")
)
_PATHS: Final = (
    "$.content[0].text",
    "$.parts[0].content",
    "$[0].parts[0].content",
    "$[0].content",
    "$.content",
)
_PLAIN: Final = ", ".join(f"json_extract(v, '{path}')" for path in _PATHS)
_MESSAGE: Final = f"CASE WHEN json_valid(v) AND {_ONE_PART} THEN coalesce({_PLAIN}, v) ELSE v END"
"""The text of a message that is nothing but text; any other value `v` as it is."""
_ROLE: Final = (
    "CASE WHEN json_valid(v) THEN coalesce(json_extract(v, '$.role'), json_extract(v, '$[0].role')) END"
)
_PACKED: Final = (
    "'(' || CASE codec WHEN 1 THEN printf('%,d bytes', length(data)) ELSE printf('compressed, %,d bytes', size) END"
    " || '; spanreel show ' || (SELECT lower(substr(hex(trace_id), 1, 12)) FROM span JOIN trace ON trace.id = trace WHERE span.id = content.span) || ')'"
)
"""What stands for a content that SQL cannot read."""
_FRAGMENT: Final = "CASE WHEN type = 'text' THEN json_quote(value) WHEN type IN ('true', 'false', 'null') THEN type ELSE value END"
_IDS: Final = "lower(hex(trace_id)) AS trace_id, lower(hex(span_id)) AS {}span_id"
_ERROR: Final = "coalesce(error_message, nullif(status_message, ''), error_type) AS error"


def _said(*keys: str) -> str:
    """The text of the first of these attributes that a step's span has."""
    numbers = [str([*FIRST].index(key) + 1) for key in keys]
    return (
        f"(SELECT coalesce((SELECT text FROM said WHERE said.content = value.content), v) FROM value"  # noqa: S608
        f" WHERE value.span = step.span AND key IN ({', '.join(numbers)}) ORDER BY key = {numbers[0]} DESC LIMIT 1)"
    )


VIEWS: Final = f"""
CREATE VIEW value AS SELECT span, key, what, v,
  CASE WHEN v LIKE '{{"$content":%' THEN json_extract(v, '$."$content"') WHEN cut < 0 THEN -cut
    ELSE (SELECT content FROM node WHERE id = cut) END AS content
  FROM (SELECT *, CASE WHEN v LIKE '{{"$cut":%' THEN json_extract(v, '$."$cut"[1][0][1]') END AS cut FROM
  (SELECT span.id AS span, key.id AS key, what,
  coalesce(json_extract(span.attributes, '$."$' || key.id || '"'), json_extract(shape.attributes, '$."' || key.name || '"')) AS v
  FROM span JOIN shape ON shape.id = shape JOIN attribute_key AS key ON key.id <= {len(FIRST)}) WHERE v IS NOT NULL);
CREATE VIEW said AS SELECT hash, span, content, key, what, {_ROLE} AS role, coalesce(packed, {_MESSAGE}) AS text FROM
  (SELECT hash, span, id AS content, NULL AS key, (SELECT what FROM attribute_key AS key WHERE key.id = role) AS what,
    CASE codec WHEN 0 THEN data END AS v,
    CASE WHEN codec THEN {_PACKED} END AS packed FROM content
  UNION ALL SELECT NULL, span, NULL, key, what, v, NULL FROM value WHERE content IS NULL);

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
  'sha256:' || lower(hex(hash)) AS content_id, {_IDS.format("first_")}, {_time("start_ns")} AS first_seen_at, what, role, text
  FROM said LEFT JOIN span ON span.id = said.span LEFT JOIN trace ON trace.id = trace;
"""  # noqa: S608
