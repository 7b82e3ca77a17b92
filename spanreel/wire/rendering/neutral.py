"""A request and an answer in no provider's words, and what becomes of what another provider has no words for.

Values only: which field of which wire is which is known to `reading` and to the dialects' renderers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spanreel.exceptions import SpanreelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.wire.records import Message, Part
    from spanreel.wire.usage import Usage

STANDARD: Final = frozenset(
    {"text", "reasoning", "tool_call", "tool_call_response", "refusal", "blob", "uri", "file"}
)
"""Types of parts that every renderer knows; a part of another type is one dialect's own, and has its block as `native`."""

HARMLESS: Final = frozenset(
    {
        "user", "metadata", "store", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "service_tier",
        "safety_identifier", "stream_options", "include", "cache_control", "labels", "safetySettings", "anthropic_version",
        "anthropic_beta", "betas", "inference_geo", "reasoning.summary", "reasoning.generate_summary",
    }
)  # fmt: skip
"""Fields that tell a provider who asks, where to keep or cache, how to bill, filter or send, and never what the model is
asked. They are left out for another dialect, and named in `RenderedRequest.dropped`."""


class NotExpressible(SpanreelError):
    """A dialect has no words for something in a request or an answer.

    Attributes:
        feature: what, as an override names it, such as ``seed`` or ``history.reasoning``.
        target: the dialect.
    """

    def __init__(self, feature: str, target: str, why: str = "") -> None:
        said = f"{target} cannot express {feature}" + (f" ({why})" if why else "")
        of_answer = feature.startswith(("answer.", "finish_reason."))
        super().__init__(
            said,
            "ask a model of the agent's own dialect" if of_answer else f"--set {feature}=null leaves it out",
        )
        self.feature = feature
        self.target = target


@dataclass(frozen=True, slots=True)
class NeutralRequest:
    """What a request asks, whoever is asked.

    dialect: the one it was read from. system: parts of the leading instructions. messages: the conversation, a message's
    `role` being system, user, assistant or tool. tools: ``{"type": "function", "name", "description"?, "parameters"?,
    "strict"?}``, or a provider's own tool as its dialect's `read` gives it.
    parameters: by name, each only where set: temperature, top_p, top_k, max_tokens, stop (list of str), seed,
    presence_penalty, frequency_penalty, n, stream, parallel_tool_calls, verbosity,
    tool_choice (``{"mode": "auto"|"none"|"required", "names"?: [...]}``),
    response_format (``{"type": "text"|"json_object"|"json_schema", "schema"?, "name"?, "strict"?, "description"?}``),
    reasoning (``{"level"?: str, "budget"?: int, "adaptive"?: bool, "shown"?: str|bool}``).
    extra: fields of the source's body with no neutral name, dotted where nested; only the same dialect can say them.
    fields: the names at the top of the source's body.
    """

    dialect: str
    model: str | None = None
    system: tuple[Part, ...] = ()
    messages: tuple[Message, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RenderedRequest:
    """A request in a dialect.

    path: of the provider's API, from its root, with a query where the dialect wants one. body: JSON.
    dropped: what was left out, sorted: `HARMLESS` fields, what the caller named, and thoughts of turns that are over.
    headers: what the body's form wants beside credentials; none in the source's own dialect, whose headers hold.
    """

    path: str
    body: dict[str, Any]
    dropped: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class NeutralAnswer(NamedTuple):
    """What a model answered. message: role assistant. finish_reason: in the convention's words. model: who answered."""

    message: Message
    finish_reason: str
    usage: Usage
    model: str | None
    response_id: str | None


@dataclass(slots=True)
class Rendering:
    """One rendering under way: what it is for, and what it leaves out.

    native: what is rendered was read from this very dialect, whose own words are therefore at hand.
    """

    target: str
    native: bool = False
    model: str = ""
    drop: frozenset[str] = frozenset()
    dropped: set[str] = field(default_factory=set[str])
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def refuse(self, feature: str, why: str = "") -> None:
        """Leave out what the dialect cannot say, if the caller wants that.

        Raises:
            NotExpressible: the caller does not.
        """
        if feature not in self.drop:
            raise NotExpressible(feature, self.target, why)
        self.dropped.add(feature)

    def leave(self, feature: str) -> None:
        """Leave out what does not change what the model is asked."""
        self.dropped.add(feature)

    def others(self, extra: Mapping[str, Any], body: dict[str, Any]) -> None:
        """Fields without a neutral name: said again in their own dialect, left out where harmless, else refused."""
        for name, value in extra.items():
            if name in self.drop:
                self.dropped.add(name)
            elif self.native:
                put(body, name, value)
            elif name in HARMLESS or is_default(name, value):
                self.leave(name)
            else:
                self.refuse(name)

    def known(self, parameters: Mapping[str, Any], expressible: frozenset[str] | set[str]) -> dict[str, Any]:
        """The parameters that the dialect can say; any other is refused, unless its value is what nobody asks for."""
        found = {name: value for name, value in parameters.items() if name not in self.drop}
        self.dropped.update(name for name in parameters if name in self.drop)
        for name in list(found):
            if name not in expressible:
                value = found.pop(name)
                if not is_default(name, value):
                    self.refuse(name)
        return found


_DEFAULTS: Final[dict[str, tuple[Any, ...]]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "parallel_tool_calls": (True,),
    "truncation": ("disabled",),
    "background": (False,),
    "verbosity": ("medium",),
    "modalities": (["text"],),
    "generationConfig.responseModalities": (["TEXT"], []),
    "generationConfig.responseLogprobs": (False,),
    "include": ([],),
    "tool_choice": ({"mode": "auto"},),
    "response_format": ({"type": "text"},),
    "functions": ([],),
    "container": (None,),
    "context_management": ({}, []),
    "mcp_servers": ([],),
}


def is_default(name: str, value: Any) -> bool:
    """Whether a value is what a provider does when the field is not there."""
    return value is None or value in _DEFAULTS.get(name, ())


def put(body: dict[str, Any], name: str, value: Any) -> None:
    """Set a field by its dotted name."""
    *path, last = name.split(".")
    for key in path:
        inner = body.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        body = inner
    body[last] = value
