"""A responder that answers tools from their recorded spans: by the model's call id, then by name and arguments."""

from __future__ import annotations

import json

from spanreel.exceptions import Divergence
from spanreel.instrument.responder import ModelRequest, RootFacts, ToolAnswer, ToolRequest
from spanreel.wire import attributes as names
from spanreel.wire.spans import Span


class RecordedTools:
    """`left`: what was recorded and not yet asked for. Models stay live. `by_id=False`: as after a new answer."""

    root = RootFacts({names.SOURCE_RUN_ID: "source"})

    def __init__(self, recorded: list[Span], *, by_id: bool = True) -> None:
        self.asked: list[ToolRequest] = []
        self.left = [span for span in recorded if names.TOOL_RESULT in span.attributes]
        self._by_id = by_id

    def model(self, request: ModelRequest) -> None:
        return None

    def tool(self, request: ToolRequest) -> ToolAnswer:
        self.asked.append(request)
        for span in self.left:
            said = span.attributes
            same_id = self._by_id and request.call_id and said.get(names.TOOL_CALL_ID) == request.call_id
            same_call = said[names.TOOL_NAME] == request.name and (
                json.loads(str(said[names.TOOL_CALL_ARGUMENTS])) == request.arguments
            )
            if same_id or same_call:
                self.left.remove(span)
                return ToolAnswer(
                    str(said[names.TOOL_RESULT]), source_run_id="source", source_span_id=span.span_id
                )
        raise Divergence(f"tool {request.name} was not recorded")
