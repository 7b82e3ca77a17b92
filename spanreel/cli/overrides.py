"""What `--set`, `--step`, `--respond` and `--edit` say, as values; a wrong one is one line and exit code 2.

`--step N` is about the `--set`s that follow it. Click hands over each option's values without their order among other
options, so `Stepped` writes that order into the values first: `--step 4 --set a=1` becomes `--set 4:a=1`.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from typer.core import TyperCommand

from spanreel.exceptions import SpanreelError

SYSTEM: Final = "instructions"
"""What the system prompt is called, whatever it is called in a dialect."""

_ALIASES: Final = {"system": SYSTEM, "system_prompt": SYSTEM, "instructions": SYSTEM}
_TEXTS: Final = frozenset({"model", SYSTEM})
_KNOWN: Final = (
    "model", "instructions", "system", "tools", "tool_choice", "temperature", "top_p", "top_k", "max_tokens",
    "max_completion_tokens", "max_output_tokens", "stop", "stop_sequences", "seed", "frequency_penalty",
    "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "n", "response_format", "parallel_tool_calls",
    "reasoning_effort", "reasoning", "thinking", "service_tier", "user", "metadata", "store", "stream", "verbosity",
    "text", "previous_response_id", "generationConfig", "safetySettings", "include", "truncation", "messages", "input",
)  # fmt: skip
_SCOPED: Final = re.compile(r"(\d+):", re.ASCII)


class Usage(SpanreelError):
    """An option says something that cannot be meant."""

    exit_code = 2


class Stepped(TyperCommand):
    """A command whose `--set`s belong to the `--step` before them; without a RUN before `--` it is the last one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, in_order(args, self._with_value()))

    def _with_value(self) -> frozenset[str]:
        options: list[Any] = [one for one in self.params if not getattr(one, "is_flag", True)]
        return frozenset(name for one in options for name in one.opts)


def in_order(args: Sequence[str], with_value: frozenset[str]) -> list[str]:
    """The arguments with each `--set` naming its step.

    Raises:
        Usage: a `--step` that is no number.
    """
    found: list[str] = []
    rest, step, named = list(args), "", False
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*found, *([] if named else ["last"]), word, *rest]
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            named = True
            found.append(word)
        elif name not in with_value:
            found.append(word)
        else:
            value = value if equals or not rest else rest.pop(0)
            if name == "--step":
                step = str(_number(value, "--step"))
            elif name == "--set" and step and not _SCOPED.match(value):
                value = f"{step}:{value}"
            found.append(f"{name}={value}")
    return found


def parameters(given: Sequence[str]) -> tuple[dict[str, Any], dict[int, dict[str, Any]], list[str]]:
    """What `--set` says: for every call, for single steps, and a hint for each name that looks misspelt.

    Raises:
        Usage: it is not KEY=VALUE, or its file cannot be read.
    """
    every: dict[str, Any] = {}
    steps: dict[int, dict[str, Any]] = {}
    hints: list[str] = []
    for said in given:
        scope = _SCOPED.match(said)
        name, equals, text = said[scope.end() if scope else 0 :].partition("=")
        name = name.strip()
        if not equals or not name:
            raise Usage(
                f"--set {said}: there is no value", "write --set KEY=VALUE, such as --set temperature=0"
            )
        kept = steps.setdefault(int(scope[1]), {}) if scope else every
        name = _ALIASES.get(name, name)
        kept[name] = _value(text, f"--set {name}", plain=name in _TEXTS)
        hints += _hint(name)
    return every, steps, hints


def numbered(given: Sequence[str], option: str) -> dict[int, str]:
    """What an option says of steps, `N=TEXT`.

    Raises:
        Usage: it is not that, or says two things of one step.
    """
    found: dict[int, str] = {}
    for said in given:
        number, equals, text = said.partition("=")
        if not equals:
            raise Usage(f"{option} {said}: there is no answer", f"write {option} N=TEXT, or {option} N=@FILE")
        step = _number(number, option)
        if step in found:
            raise Usage(f"{option} says two things of step {step}", "leave one out")
        found[step] = text
    return found


def answers(given: Sequence[str], tools: frozenset[int]) -> dict[int, Any]:
    """What `--respond` says; numbers and the like are values where a tool answers, and text where a model does.

    Raises:
        Usage: as `numbered`.
    """
    said = numbered(given, "--respond")
    found = {step: _value(text, f"--respond {step}", plain=False) for step, text in said.items()}
    for step, value in found.items():
        if step not in tools and not isinstance(value, (str, dict)):
            found[step] = text_of(said[step], f"--respond {step}")
    return found


def edits(given: Sequence[str]) -> dict[int, Path | None]:
    """What `--edit` says: the steps to open an editor on, or with `N=@FILE` the files of earlier edits.

    Raises:
        Usage: it is neither.
    """
    found: dict[int, Path | None] = {}
    for said in given:
        number, equals, file = said.partition("=")
        if equals and not file.startswith("@"):
            raise Usage(f"--edit {said} names no file", "write --edit N, or --edit N=@FILE")
        found[_number(number, "--edit")] = Path(file[1:]) if equals else None
    return found


def text_of(said: str, option: str) -> str:
    """A text as it is, or with `@FILE` the file's (`@@` begins a text with @).

    Raises:
        Usage: the file cannot be read.
    """
    if said.startswith("@@"):
        return said[1:]
    if not said.startswith("@"):
        return said
    try:
        return Path(said[1:]).read_text("utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise Usage(f"{option}: {said[1:]} cannot be read ({why})", "name a file of text after @") from None


def value_of(said: str, option: str) -> Any:
    """A value: JSON if it is that, else text; ``@FILE``: of that file.

    Raises:
        Usage: the file cannot be read.
    """
    return _value(said, option, plain=False)


def _value(said: str, option: str, *, plain: bool) -> Any:
    """JSON if it is that, else text. plain: where text is expected, so that only quoted text, lists and null are JSON."""
    text = text_of(said, option)
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text
    return text if plain and not isinstance(found, (str, list, type(None))) else found


def _no_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _number(said: str, option: str) -> int:
    if not said.isascii() or not said.isdigit() or int(said) < 1:
        raise Usage(f"{option} {said}: that is no step", "steps are numbered from 1: see `spanreel show`")
    return int(said)


def _hint(name: str) -> list[str]:
    first = name.partition(".")[0]
    if first in _KNOWN:
        return []
    like = difflib.get_close_matches(first, _KNOWN, 1, 0.75)
    return [f"note: {name} is sent as it is; did you mean {like[0]}?"] if like else []
