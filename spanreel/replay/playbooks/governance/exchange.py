"""LOUD: bodies in files: out of the library with what was decided about them, and into one, where each begins anew."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanreel.exceptions import BadInput
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.governance.promoting import judged
from spanreel.replay.playbooks.governance.provenance import history_of

if TYPE_CHECKING:
    from spanreel.replay.playbooks.governance.shelf import Entry


def exported(
    ref: str, store: str | os.PathLike[str] | Library | None = None, *, as_json: bool = False
) -> tuple[Entry, str]:
    """A body as the text of its file, with its `provenance`.

    Args:
        ref: which, see `Library.get`.
        store: default: the project's.
        as_json: JSON instead of YAML.

    Raises:
        UnknownPlaybook: there is none.
        StoreError: the store cannot be read.
    """
    from spanreel.replay.playbooks.formats.write import to_yaml

    library = store if isinstance(store, Library) else Library(store)
    entry = library.get(ref)
    whole = entry.body.model_copy(
        update={
            "origin": entry.origin,
            "provenance": history_of(entry, judged(library, entry)),
        }
    )
    if as_json:
        return entry, json.dumps(whole.document(), indent=2, ensure_ascii=False) + "\n"
    return entry, to_yaml(whole)


def imported(
    file: str | os.PathLike[str], store: str | os.PathLike[str] | Library | None = None, actor: Any = None
) -> tuple[Entry, bool]:
    """A body out of a file: a candidate, whatever its file says was decided; that is kept as its history.

    Args:
        file: YAML or JSON.
        store: default: the project's.
        actor: who imports it.

    Returns:
        Its entry, and whether the library did not have it yet.

    Raises:
        BadInput: the file cannot be read, or is no playbook; with its line.
        StoreError: the store cannot be written.
    """
    from spanreel.replay.playbooks.formats.file import body_of

    path = Path(file)
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error})", "name a playbook file") from error
    body = body_of(text, str(path))
    library = store if isinstance(store, Library) else Library(store)
    history = body.provenance or None
    plain = body.model_copy(update={"provenance": {}})
    known = any(one.hash == plain.hash for one in library.entries(plain.name))
    report = history.get("report") if history else None
    entry = library.add(
        plain, origin="imported", actor=actor, reason=f"from {path.name}", report=report, history=history
    )
    return entry, not known
