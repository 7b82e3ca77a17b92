"""Runs made up for the compiler: a world of records, a procedure over them, and what an agent that follows it records."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from spanreel.replay.playbooks.compiling.observed import Call, Observed, Said
from spanreel.replay.playbooks.walk import jsonable


class Agent:
    """Writes down what it calls. tools: name -> (safety, function of the arguments)."""

    def __init__(self, tools: Mapping[str, tuple[str, Callable[..., Any]]]) -> None:
        self._tools = tools
        self._calls: list[Call] = []
        self._said: list[Said] = []
        self._at = 0

    def hears(self, text: str) -> None:
        """Somebody says something to it."""
        self._at += 10
        self._said.append(Said(self._at, text))

    def calls(self, name: str, **arguments: Any) -> Any:
        """It calls a tool; gives the result as JSON."""
        self._at += 10
        safety, function = self._tools[name]
        result = function(**arguments)
        text = result if isinstance(result, str) else None
        arguments = json.loads(json.dumps(arguments))
        span = f"{'a' * 32}:{self._at:016x}"
        self._calls.append(Call(self._at, name, arguments, jsonable(result), text, None, safety, span))
        return jsonable(result)

    def run(self, run_id: str, given: Any = None, *, ok: bool = True) -> Observed:
        """What it did so far, as a run."""
        texts = [
            one
            for one in ([given] if isinstance(given, str) else (given or {}).values())
            if isinstance(one, str) and " " in one
        ]
        said = (*(Said(0, text, "input") for text in texts), *self._said)
        return Observed(
            run_id, "agent", given, said, tuple(self._calls), (), None, ok, "" if ok else "it failed"
        )
