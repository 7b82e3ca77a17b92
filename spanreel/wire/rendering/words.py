"""What the renderers share: texts of values, ids, arguments, and a stream's events."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.wire.records import Part
    from spanreel.wire.rendering.neutral import Rendering

_ID: Final = re.compile(r"[A-Za-z0-9_-]+")
_KNOWN: Final = frozenset(
    {"type", "content", "name", "id", "arguments", "response", "modality", "mime_type", "uri", "file_id"}
)
_OURS: Final = frozenset({"native", "returned", "is_error", "wrapper", "wire_role"})


def json_text(value: Any) -> str:
    """A value as a text: a text as it is, anything else as compact JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def result_text(part: Mapping[str, Any]) -> str:
    """A tool's result as a text; nothing is an empty one."""
    response = part.get("response")
    return "" if response is None else json_text(response)


def identity(wanted: str, limit: int, *, any_signs: bool = False) -> str:
    """A tool call's id as a provider takes it: as it is, or, where it has other signs or is too long, a hash of it."""
    if (any_signs or _ID.fullmatch(wanted)) and len(wanted) <= limit:
        return wanted
    return "call_" + hashlib.blake2b(wanted.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def arguments(part: Part, rendering: Rendering) -> dict[str, Any]:
    """The arguments of a tool call as an object; none is an empty one."""
    value = part.get("arguments")
    if isinstance(value, dict):
        return value
    if value is None or value == "":
        return {}
    rendering.refuse("history.tool_call.arguments", "they are not a JSON object")
    return {}


def extras(part: Part, known: frozenset[str] | set[str], rendering: Rendering) -> dict[str, Any]:
    """What a part says beyond the convention: said again in its own dialect, else left out by name."""
    rest = {
        key: value
        for key, value in part.items()
        if key not in _KNOWN and key not in known and key not in _OURS
    }
    if rendering.native:
        return rest
    for key, value in rest.items():
        if value not in (None, [], {}, "") and (key, value) != ("detail", "auto"):
            rendering.leave(f"history.{part['type']}.{key}")
    return {}


def data_url(part: Part) -> str:
    """A blob as a `data:` URL."""
    return f"data:{part.get('mime_type') or 'application/octet-stream'};base64,{part['content']}"


def sse(value: Mapping[str, Any], event: str = "") -> bytes:
    """One server-sent event that carries a JSON object."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n".encode(
        "utf-8", "surrogatepass"
    )


def schema_name(value: Any) -> str:
    """A name for a schema of an answer where a dialect wants one."""
    return value if isinstance(value, str) and value else "answer"


def check_names(tools: Any, rule: re.Pattern[str], rendering: Rendering) -> None:
    """Refuse tools whose names the dialect does not take."""
    for tool in tools:
        if not rendering.native and not rule.fullmatch(str(tool.get("name"))):
            rendering.refuse(f"tools.{tool.get('name')}", f"names are {rule.pattern}")


def tool_fields(tool: Mapping[str, Any], rendering: Rendering) -> dict[str, Any]:
    """Name, description, parameters and the rest of a function; what only its own dialect says is left out by name."""
    made = {
        key: tool[key] for key in ("name", "description", "parameters", "strict", "format") if key in tool
    }
    for key, value in tool.items():
        if key in made or key == "type" or value is None:
            continue
        if rendering.native:
            made[key] = value
        elif key in _HARMLESS_OF_TOOLS or value in ([], {}, False):
            rendering.leave(f"tools.{key}")
        else:
            rendering.refuse(f"tools.{key}")
    return made


_ROLES: Final = ("system", "user", "assistant", "tool")
_HARMLESS_OF_TOOLS: Final = frozenset(
    {"cache_control", "strict", "eager_input_streaming", "behavior", "wrapped_type"}
)


def message_extras(message: Mapping[str, Any], rendering: Rendering) -> dict[str, Any]:
    """What a message says beside role and parts; a participant's name is part of what is asked."""
    rest = {
        key: value
        for key, value in message.items()
        if key not in ("role", "parts", "finish_reason", "wire_role")
    }
    if rendering.native:
        return rest
    if message["role"] not in _ROLES:
        rendering.refuse("history.role", f"nobody is called {message['role']}")
    for key, value in rest.items():
        if value in (None, [], {}, ""):
            continue
        if key == "name" and message["role"] != "tool":
            rendering.refuse("history.name")
        else:
            rendering.leave(f"history.{key}")
    return {}


def result_extras(part: Mapping[str, Any], rendering: Rendering) -> None:
    """Leave out by name what marks a result on other wires only; its words say that it failed."""
    if part.get("is_error") is True:
        rendering.leave("history.tool_call_response.is_error")
    if part.get("cache_control"):
        rendering.leave("cache_control")


def native_block(part: Part, rendering: Rendering, where: str = "history.") -> dict[str, Any] | None:
    """The block of a part that only its own dialect knows.

    Raises:
        NotExpressible: it is said in another dialect.
    """
    native = part.get("native")
    if rendering.native and isinstance(native, dict):
        return native
    kind = str(part["type"])
    rendering.refuse(
        f"{where}{part.get('modality', kind)}", f"a {kind} there" if kind != part.get("modality") else ""
    )
    return None


def is_web(uri: Any) -> bool:
    """Whether any provider can fetch the address."""
    return isinstance(uri, str) and uri.startswith(("http://", "https://"))


_SOUNDS: Final = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mp3": "mp3", "audio/mpeg": "mp3"}


def sound_format(part: Mapping[str, Any]) -> str | None:
    """A sound's format as OpenAI names it; None where it takes no such sound."""
    return _SOUNDS.get(str(part.get("mime_type", "")).lower())


def file_name(part: Mapping[str, Any]) -> str:
    """A name for a document that has none."""
    kind = str(part.get("mime_type", "")).partition("/")[2]
    return f"document.{kind}" if kind.isalnum() else "document"


def instructions(system: Any, rendering: Rendering) -> str:
    """Instructions as one text, a paragraph each.

    Raises:
        NotExpressible: something in them is no text.
    """
    texts: list[str] = []
    for part in system:
        if part["type"] == "text":
            extras(part, frozenset(), rendering)
            texts.append(part["content"])
        else:
            rendering.refuse(f"system.{part['type']}")
    return "\n\n".join(texts)
