"""One canonical text for a JSON value, so that content is compared and hashed as text. It hashes nothing itself.

Hashes are taken of text, never of Python values: `0`, `0.0`, `False` and `-0.0` compare equal and are not the same content.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any


def canonical_json(value: Any) -> str:
    """The one text of a JSON value: sorted keys, no spaces, characters as they are.

    Args:
        value: a JSON value or an OTLP one; bytes in it become ``{"base64": …}``.

    Raises:
        TypeError: the value holds something that is neither.
        RecursionError: the value is nested deeper than the interpreter can follow.
    """
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(value: object) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return {"base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")
