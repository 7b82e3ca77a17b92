"""The user's own editor, on a text: $VISUAL, else $EDITOR, else vi. What was written is never lost."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from spanreel.exceptions import SpanreelError


def edited(text: str, name: str) -> Path:
    """A file with the text as the user left it, which whoever is done with it removes.

    Args:
        text: to begin with.
        name: what the file's name begins with.

    Raises:
        SpanreelError: there is no editor, or it failed; then the file stays, and is named.
    """
    editor = _editor()
    descriptor, path = tempfile.mkstemp(prefix=f"{name}-", suffix=".json")  # only this user can read it
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    try:
        code = subprocess.call([*editor, path])
    except OSError as error:
        os.unlink(path)
        raise SpanreelError(
            f"the editor {editor[0]} cannot be started: {error.strerror}", "set $EDITOR"
        ) from None
    if code:
        raise SpanreelError(
            f"{editor[0]} ended with code {code}; what was written is in {path}", "edit again"
        )
    return Path(path)


def _editor() -> list[str]:
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        words = shlex.split(named)
    except ValueError:
        words = []
    if not words or shutil.which(words[0]) is None:
        raise SpanreelError(
            f"there is no editor {named!r} to edit the step with", "set $EDITOR, or use --respond N=@FILE"
        )
    return words
