"""LOUD: other playbooks by name: in the library of the store, where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spanreel.exceptions import SpanreelError
from spanreel.replay.playbooks.body import Body


def loader(store: Any = None) -> Callable[[str, str | None], Body]:
    """What finds a playbook within another: of that hash, else the active one of the name.

    A candidate is never run because another playbook names it.
    """

    def load(name: str, hash: str | None) -> Body:  # noqa: A002 - the word of the key
        from spanreel.replay.playbooks.governance.library import Library

        entry = Library(store).get(f"{name}@{hash.removeprefix('sha256:')}" if hash else f"{name}@active")
        if hash is not None and entry.hash != hash:
            raise SpanreelError(f"there is no playbook {name} of hash {hash}", "see: spanreel playbook list")
        return entry.body

    return load
