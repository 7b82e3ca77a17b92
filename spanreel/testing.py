"""For tests of agents: what is asserted about runs, and models that are made up. The pytest plugin is registered by itself."""

from __future__ import annotations

from spanreel.replay.testing.assertions import assert_same_behaviour, assert_steps, assert_tool_called
from spanreel.replay.testing.requests import Request, Response
from spanreel.replay.testing.stub import Stub, stub_model, tool_call

__all__ = [
    "Request",
    "Response",
    "Stub",
    "assert_same_behaviour",
    "assert_steps",
    "assert_tool_called",
    "stub_model",
    "tool_call",
]
