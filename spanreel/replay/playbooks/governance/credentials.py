"""A body is kept whole, so it must not hold a credential: what a recording would have blanked is refused here.

Quiet. A binding is no credential, whatever the argument is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from spanreel.exceptions import BadInput
from spanreel.wire.redaction import Redactor

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Body

_BINDING: Final = "{{"


def refuse_credentials(body: Body) -> None:
    """Look for credentials in a body.

    Raises:
        BadInput: it holds one; says where.
    """
    document = body.document()
    found = _blanked(document, Redactor().value(document)[0], "")
    if found:
        raise BadInput(
            f"playbook {body.name} holds a credential at {found}, and a body is kept whole",
            "make it a parameter, or let the tool read it from its environment",
        )


def _blanked(before: Any, after: Any, path: str) -> str | None:
    """Where a secret was blanked that is no binding."""
    if isinstance(before, dict) and isinstance(after, dict):
        pairs = ((f"{path}.{key}".lstrip("."), before[key], after.get(key)) for key in before)
    elif isinstance(before, list) and isinstance(after, list):
        pairs = (
            (f"{path}[{at}]", one, other) for at, (one, other) in enumerate(zip(before, after, strict=False))
        )
    else:
        return path if before != after and not (isinstance(before, str) and _BINDING in before) else None
    return next((found for place, one, other in pairs if (found := _blanked(one, other, place))), None)
