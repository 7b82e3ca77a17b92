"""What a failed call's reply says went wrong, in the shapes that providers share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spanreel.wire import lenient

if TYPE_CHECKING:
    from spanreel.wire.dialect import Reply

_MESSAGE_LIMIT = 2000  # characters of a reply that is not JSON, such as a proxy's page


def of(answer: Mapping[str, Any], reply: Reply | None) -> tuple[str | None, str | None]:
    """The `error.type` and the message of a reply, or two Nones.

    Args:
        answer: the reply's body as an object (may be empty).
        reply: the reply itself; a status of 400 or more is an error whatever the body says.
    """
    failed = reply is not None and reply.status >= 400
    error = answer.get("error")
    if not error and not failed:
        return None, None
    fields = error if isinstance(error, Mapping) else answer if failed else {}
    # the status names the kind where the body does not
    kind = next(
        (word for key in ("type", "code") if (word := _word(fields.get(key))) and word != "error"), None
    )
    message = (
        lenient.text(fields.get("message")) or lenient.text(error) or lenient.text(answer.get("message"))
    )
    if message is None and reply is not None and failed and not answer:
        message = reply.body[: 4 * _MESSAGE_LIMIT].decode("utf-8", "replace")[:_MESSAGE_LIMIT].strip() or None
    return kind or (str(reply.status) if reply is not None and failed else "error"), message


def _word(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return lenient.text(value)
