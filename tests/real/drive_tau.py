"""A live tool-calling agent over 100 recorded episodes, with `instrument()` put under it.

usage: drive_tau.py SHARED_DATA openai|anthropic plain|tapped

plain: nothing but the one line; each episode is a run because its loop is an agent. Tools are seen on the wire only.
tapped: the tools are `@spanreel.tool` functions besides.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import spanreel

spanreel.instrument("tau")

DATA, WIRE, MODE = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
sys.path.insert(0, str(DATA / "tools"))
import tau_agent  # noqa: E402

EPISODES = DATA / "trajectories" / "tau_retail"


class TappedTape(tau_agent.Tape):
    """Plays recorded results through a tool tap, as an agent of our user's would call its tools."""

    def __call__(self, name: str, args: dict[str, Any]) -> Any:
        played = super().__call__

        @spanreel.tool(name=name, safety="read")
        def tool(**arguments: Any) -> Any:
            return played(name, arguments)

        return tool(**args)


if MODE == "tapped":
    tau_agent.Tape = TappedTape
tau_agent.LOOPS[WIRE] = spanreel.agent(name="tau")(tau_agent.LOOPS[WIRE])
results = tau_agent.run(
    str(EPISODES / "gpt4o_tool_calling_100ep.json"),
    wire=WIRE,
    stream=WIRE == "anthropic",
    tools_json=str(EPISODES / "tools.json"),
)
print(json.dumps(results))
