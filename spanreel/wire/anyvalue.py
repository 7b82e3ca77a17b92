"""OTLP/JSON values: ids, numbers, attributes, in whatever spelling exporters use.

It must not know what a span is. `BadValue` says what is wrong with one value; who reads the document says where.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Any, Final, cast

from spanreel.wire.spans import Value

MAX_DEPTH: Final = 100
"""How deep attribute values may nest; the protobuf libraries stop at the same depth."""


NANOS_MAX: Final = 2**63 - 1


class BadValue(ValueError):
    """A value cannot be read; the span that holds it cannot be kept, the rest of its document can."""


def clean_text(text: str) -> str:
    """The text, with half surrogates (JSON can hold them, UTF-8 cannot) replaced."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def text(value: Any) -> str:
    """What should be a string; another JSON value is kept as its JSON text."""
    return (
        clean_text(value)
        if isinstance(value, str)
        else ""
        if value is None
        else clean_text(json.dumps(value))
    )


def identifier(value: Any, size: int, what: str) -> str:
    """A trace or span id, given as hex or base64, in lower-case hex; `size` in bytes.

    Raises:
        BadValue: it is missing, of another size, or all zero.
    """
    raw = id_bytes(value, size)
    if raw is None:
        raise BadValue(f"{what} {value!r:.60} is not {size} bytes in hex or base64")
    if not any(raw):
        raise BadValue(f"{what} is all zero")
    return raw.hex()


def optional_identifier(value: Any, size: int, what: str) -> str | None:
    """As `identifier`, or None for what exporters write when there is no parent."""
    if value is None or (isinstance(value, str) and not value.strip("0= A")):
        return None
    return identifier(value, size, what)


def id_bytes(value: Any, size: int) -> bytes | None:
    """The id, given as hex or base64; None when it is neither, or of another size."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    try:
        if len(text) == size * 2:
            return bytes.fromhex(text)
        raw = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (ValueError, binascii.Error):
        return None
    return raw if len(raw) == size else None


def attributes(item: Mapping[str, Any]) -> dict[str, Value]:
    """The `attributes` of an item: a list of pairs, or (seen in the field) a plain object."""
    listed = item.get("attributes")
    if not listed:
        return {}
    if isinstance(listed, dict):  # a plain object instead of a list of pairs
        return {
            clean_text(key): decode_value(value, 0) for key, value in cast("dict[str, Any]", listed).items()
        }
    return _pairs(listed, 0)


def _pairs(listed: Any, depth: int) -> dict[str, Value]:
    if not isinstance(listed, list):
        raise BadValue("attributes are neither a list nor an object")
    found: dict[str, Value] = {}
    for pair in cast("list[Any]", listed):
        if not isinstance(pair, dict) or not isinstance(key := cast("dict[str, Any]", pair).get("key"), str):
            raise BadValue("an attribute has no key")
        found[clean_text(key)] = decode_value(cast("dict[str, Any]", pair).get("value"), depth)
    return found


def decode_value(value: Any, depth: int) -> Value:
    """An OTLP AnyValue; anything that is not shaped like one is taken as the plain value."""
    if not isinstance(value, dict):
        return _plain(value, depth)
    if depth > MAX_DEPTH:
        raise BadValue("attribute values nest too deep")
    found = cast("dict[str, Any]", value)
    if not found:
        return None
    name, content = next(iter(found.items()))
    reader = _READERS.get(name)
    return _plain(found, depth) if reader is None or len(found) != 1 else reader(content, depth)


def _plain(value: Any, depth: int) -> Value:
    if depth > MAX_DEPTH:
        raise BadValue("attribute values nest too deep")
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {
            clean_text(key): _plain(item, depth + 1) for key, item in cast("dict[str, Any]", value).items()
        }
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return float(value)
    return cast("Value", value)


def _integer(value: Any, _: int) -> Value:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise BadValue(f"{value!r:.40} is not a whole number") from None
    if not -(2**63) <= number < 2**63:
        raise BadValue(f"{number} does not fit 64 bits")
    return number


def _double(value: Any, _: int) -> Value:
    try:
        return float(value)  # JSON has no NaN: OTLP spells it as text
    except (TypeError, ValueError, OverflowError):
        raise BadValue(f"{value!r:.40} is not a number") from None


def _bytes(value: Any, _: int) -> Value:
    try:
        return base64.b64decode(str(value), validate=True)
    except (ValueError, binascii.Error):
        raise BadValue("a bytesValue is not base64") from None


def _array(value: Any, depth: int) -> Value:
    listed = cast("dict[str, Any]", value).get("values", []) if isinstance(value, dict) else value
    if not isinstance(listed, list):
        raise BadValue("an arrayValue has no values")
    return [decode_value(item, depth + 1) for item in cast("list[Any]", listed)]


def _map(value: Any, depth: int) -> Value:
    listed = cast("dict[str, Any]", value).get("values", []) if isinstance(value, dict) else value
    return _pairs(listed, depth + 1)


def _string(value: Any, _: int) -> Value:
    return text(value)


def _boolean(value: Any, _: int) -> Value:
    return value.lower() == "true" if isinstance(value, str) else bool(value)


_READERS: Final = {
    name: reader
    for camel, snake, reader in (
        ("stringValue", "string_value", _string), ("boolValue", "bool_value", _boolean),
        ("intValue", "int_value", _integer), ("doubleValue", "double_value", _double),
        ("bytesValue", "bytes_value", _bytes), ("arrayValue", "array_value", _array),
        ("kvlistValue", "kvlist_value", _map),
    )
    for name in (camel, snake)
}  # fmt: skip


def enum(value: Any, names: Mapping[str, int], highest: int, what: str) -> int:
    """An enum given as number or name; 0 for a number that is not in use."""
    number = names.get(value) if isinstance(value, str) and not value.isdigit() else value
    try:
        found = int(cast("Any", number))
    except (TypeError, ValueError, OverflowError):
        raise BadValue(f"{what} {value!r:.40} is not known") from None
    return found if 0 <= found <= highest else 0


def nanos(value: Any, what: str) -> int:
    """A time in nanoseconds, given as number or string."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise BadValue(f"{what} {value!r:.40} is not a time in nanoseconds") from None
    if not 0 <= number <= NANOS_MAX:
        raise BadValue(f"{what} {number} is out of range")
    return number


def count(value: Any) -> int:
    """A 32-bit count; 0 when it is not readable, for it only says how much is missing."""
    try:
        return min(max(int(value), 0), 2**32 - 1)
    except (TypeError, ValueError, OverflowError):
        return 0


def encode_value(value: Value) -> dict[str, Any]:
    """One OTLP AnyValue as JSON."""
    if value is None:
        return {}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {
            "doubleValue": value
            if math.isfinite(value)
            else "NaN"
            if value != value
            else "Infinity"
            if value > 0
            else "-Infinity"
        }
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {"kvlistValue": {"values": encode_attributes(value)}}
    return {"arrayValue": {"values": [encode_value(item) for item in value]}}


def encode_attributes(attributes: Mapping[str, Value]) -> list[dict[str, Any]]:
    """Attributes as the list of pairs of OTLP/JSON."""
    return [{"key": key, "value": encode_value(value)} for key, value in attributes.items()]
