"""LOUD: what the project's hooks are asked before a playbook is promoted; what they said is kept beside its body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spanreel.replay.hooks import BEFORE_PROMOTE, Said, consult

if TYPE_CHECKING:
    from spanreel.replay.playbooks.library import Library
    from spanreel.replay.playbooks.shelf import Entry


def ask_before(
    library: Library,
    entry: Entry,
    to: str | None,
    gates: Sequence[Any] | None,
    *,
    forced: bool,
    reason: str | None,
    actor: Any,
) -> Entry:
    """Ask before a body is promoted.

    Args:
        library: where the body is.
        entry: the body as it was read.
        to: the status that it is to have.
        gates: figures of `promotion.judge`.
        forced: they said no, and it is to happen all the same.
        reason: in words.
        actor: who promotes it.

    Returns:
        The body as it is now, with what the hooks said.

    Raises:
        Refused: a hook said no.
    """
    about = {
        "playbook": entry.name,
        "version": entry.version,
        "hash": entry.hash,
        "from": entry.status,
        "to": to,
        "gates": [one if isinstance(one, dict) else one.model_dump(mode="json") for one in gates or ()],
        "forced": forced,
        "reason": reason,
        "actor": actor,
        "store": str(library.path),
    }
    said: list[Said] = []
    try:
        consult(BEFORE_PROMOTE, about, keep=said.append)
    finally:
        for one in said:
            refused = f"refused: {one.refusal.args[0]}" if one.refusal is not None else "allowed"
            who = {"hook": " ".join(one.hook.command)}
            entry = library.decide(entry, "hook", reason=refused, actor=who)
    return entry
