"""LOUD: a recorded call as a request that can be sent again: its own bytes, or rebuilt from its messages.

Asks are not streamed: what is compared is the answer, not the way it came. Reads the environment through `places`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spanreel.exceptions import NotReplayable
from spanreel.instrument.responder import ModelRequest
from spanreel.replay import crossing, grade, overrides
from spanreel.replay.answer import REDACTED, body_bytes
from spanreel.replay.places import COMPATIBLE, PATHS, place
from spanreel.wire import attributes as names
from spanreel.wire.lenient import mapping, parse

if TYPE_CHECKING:
    from spanreel.replay.calls import RecordedCall
    from spanreel.replay.grade import Missing
    from spanreel.replay.timeline import GradeWord
    from spanreel.wire.records import Message
    from spanreel.wire.spans import Span

TRANSPORT: Final = "requests"
REBUILT: Final = "rebuilt from its messages: settings that its emitter does not keep are not in it"
_FAMILIES: Final = (("claude", "anthropic.messages"), ("gemini", "gemini"))
_PARAMETERS: Final = {
    names.REQUEST_TEMPERATURE: "temperature",
    names.REQUEST_TOP_P: "top_p",
    names.REQUEST_TOP_K: "top_k",
    names.REQUEST_MAX_TOKENS: "max_tokens",
    names.REQUEST_SEED: "seed",
    names.REQUEST_PRESENCE_PENALTY: "presence_penalty",
    names.REQUEST_FREQUENCY_PENALTY: "frequency_penalty",
    names.REQUEST_CHOICE_COUNT: "n",
}
_UNSAID: Final = ("history.name",)
"""What emitters add of their own, and no model was told."""
_OF_AN_SDK: Final = ("extra_headers", "extra_query", "extra_body", "timeout", "stream_options", "stream")


@dataclass(frozen=True, slots=True)
class Asked:
    """A recorded call, ready to be sent again as it was.

    grade: exact where the body is the recorded one. notes: what is not as it was.
    """

    call: RecordedCall
    request: ModelRequest
    grade: GradeWord
    notes: tuple[str, ...] = ()


def asked(call: RecordedCall, parameters: Mapping[str, Any]) -> Asked:
    """The request of a recorded call, unstreamed; overrides come later.

    Args:
        call: a call of a language model.
        parameters: what will be different; only looked at, for what the recording need not have then.

    Raises:
        NotReplayable: the call lacks what is needed, by name.
        SpanreelError: there is no key for it, or nobody knows where to send it.
    """
    judged = grade.grade_call(call)
    lacking = [one for one in judged.missing if not _supplied(call, one.attribute, parameters)]
    if judged.grade == "view-only" and lacking:
        first = lacking[0]
        raise NotReplayable(
            f"step {call.number} cannot be asked again: it has no {first.attribute} ({first.why})",
            _remedy(call, first),
        )
    if judged.grade == "exact":
        return _exact(call, parameters)
    return _rebuilt(call, parameters)


def _remedy(call: RecordedCall, lacking: Missing) -> str:
    if lacking.attribute == grade.spelling(call).tools:
        return "give them: --set tools=@FILE"
    return f"record it with {lacking.switch}" if lacking.switch else "record it with its content"


def _supplied(call: RecordedCall, attribute: str, parameters: Mapping[str, Any]) -> bool:
    return attribute == grade.spelling(call).tools and parameters.get("tools") is not None


def _exact(call: RecordedCall, parameters: Mapping[str, Any]) -> Asked:
    last = call.attempts[-1].attributes
    dialect = str(last[names.WIRE_DIALECT])
    url = str(last.get(names.URL_FULL, ""))
    sent = body_bytes(last.get(names.HTTP_REQUEST_BODY)) or b""
    body = parse(sent)
    if not isinstance(body, dict):
        raise NotReplayable(
            f"step {call.number} cannot be asked again: its request is no JSON object",
            "ask another one: --step N",
        )
    notes = (
        ["a secret in it was blanked when it was recorded, and is blank in what is sent"]
        if REDACTED in sent
        else []
    )
    whole, changed = _unstreamed(dialect, body)
    notes += ["asked without streaming"] if changed or ":stream" in url else []
    return _located(call, dialect, whole, call.record.model or "", parameters, "exact", notes)


def _rebuilt(call: RecordedCall, parameters: Mapping[str, Any]) -> Asked:
    model = call.record.model or call.record.response_model or ""
    dialect = dialect_of(call)
    if (raw := _raw(call, dialect)) is not None:
        return _located(
            call, dialect, {**raw, "model": raw.get("model") or model}, model, parameters, "semantic", []
        )
    from spanreel.wire import rendering
    from spanreel.wire.rendering.neutral import NeutralRequest

    told = call.content
    neutral = NeutralRequest(
        dialect="",
        model=model,
        system=tuple(told.system or ()),
        messages=tuple(_plain(one) for one in told.input or ()),
        tools=tuple(told.tools or ()),
        parameters=_parameters(told.parameters),
    )
    left_out = {name for name, value in parameters.items() if value is None}
    made = rendering.request(dialect, neutral, model, drop={*_UNSAID, *left_out})
    dropped = [f"{name} is left out" for name in made.dropped]
    return _located(call, dialect, made.body, model, parameters, "semantic", [REBUILT, *dropped])


def _located(
    call: RecordedCall, dialect: str, body: dict[str, Any], model: str, parameters: Mapping[str, Any], word: GradeWord, notes: list[str]
) -> Asked:  # fmt: skip
    """The request with its place; where it will be sent in another dialect, that one's place is not looked for here."""
    path = PATHS.get(dialect) or f"/v1beta/models/{model.removeprefix('models/')}:generateContent"
    request = ModelRequest(dialect, "POST", path, (), overrides.encoded(body), TRANSPORT)
    target, _ = crossing.target(request, parameters.get("model"))
    if target == dialect and not _names_home(dialect, parameters.get("model")):
        there = place(call, dialect, model)
        request = ModelRequest(dialect, "POST", there.url, there.headers, request.body, TRANSPORT)
    elif target == dialect:
        base, key = crossing.key_of(dialect)
        request = ModelRequest(
            dialect, "POST", base + path, crossing.headers_of(dialect, key), request.body, TRANSPORT
        )
    return Asked(call, request, word, tuple(notes))


def _names_home(dialect: str, model: Any) -> bool:
    """Whether the model is named with the provider whose own dialect this is, so that nobody need guess it."""
    word, slash, _ = model.partition("/") if isinstance(model, str) else ("", "", "")
    known = crossing.TARGETS.get(word.lower()) if slash else None
    return known is not None and known.dialect.partition(".")[0] == dialect.partition(".")[0]


def dialect_of(call: RecordedCall) -> str:
    """The dialect in which a call without bytes was made, as far as its spans tell."""
    provider = call.record.provider or ""
    if any(_of_responses(span) for span in call.spans):
        return "openai.responses"
    if provider == "anthropic":
        return "anthropic.messages"
    if provider.startswith("gcp.") or provider == "google":
        return "gemini"
    if not provider or (provider != "openai" and provider not in COMPATIBLE):
        model = (call.record.model or call.record.response_model or "").rpartition("/")[2]
        return next((dialect for start, dialect in _FAMILIES if model.startswith(start)), "openai.chat")
    return "openai.chat"


def _of_responses(span: Span) -> bool:
    """Whether a span says that it is of OpenAI's Responses API."""
    return span.attributes.get("openai.api.type") == "responses" or span.name == "openai.response"


def _raw(call: RecordedCall, dialect: str) -> dict[str, Any] | None:
    """The arguments of the SDK, where the emitter kept them whole: they are the body but for what is the SDK's own."""
    raw = mapping(call.content.raw_request)
    said = raw.get("input" if dialect == "openai.responses" else "messages")
    if dialect == "gemini" or not isinstance(raw.get("model"), str) or not said:
        return None
    listed = isinstance(said, list) and all(
        isinstance(one, dict) and ("role" in one or "type" in one) for one in said
    )
    if not listed and not (isinstance(said, str) and dialect == "openai.responses"):
        return None
    made = {
        key: value
        for key, value in raw.items()
        if key not in _OF_AN_SDK and value is not None and value != "NOT_GIVEN"
    }
    return {**made, **mapping(raw.get("extra_body"))}


def _unstreamed(dialect: str, body: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    made = {
        key: value for key, value in body.items() if key not in ("stream", "stream_options", "background")
    }
    return made, bool(body.get("stream") or body.get("background"))


def _parameters(told: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the conventions name, those of them that are what they should be."""
    found: dict[str, Any] = {}
    for name, neutral in _PARAMETERS.items():
        value = told.get(name)
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and value == value
            and abs(value) != float("inf")
        ):
            found[neutral] = value
    stops = told.get(names.REQUEST_STOP_SEQUENCES)
    if isinstance(stops, list | tuple) and stops:
        found["stop"] = [str(one) for one in stops]
    return found


def _plain(message: Message) -> Message:
    """A message without what is null in it."""
    return {key: value for key, value in message.items() if value is not None}
