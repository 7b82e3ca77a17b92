"""Which commit is checked out here, read from git's own files. Starts no process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=32)
def revision(folder: str) -> str | None:
    """The commit id (hex) of the working tree around `folder`; None where there is none, or it cannot be read."""
    here = Path(folder)
    for candidate in (here, *here.parents):
        try:
            git = _git_folder(candidate / ".git")
            if git is not None:
                return _head(git)
        except (OSError, ValueError):  # no rights, or no text: then it is not known
            return None
    return None


def _git_folder(marker: Path) -> Path | None:
    if marker.is_dir():
        return marker
    if marker.is_file():  # a worktree or a submodule points elsewhere
        return marker.parent / marker.read_text().removeprefix("gitdir:").strip()
    return None


def _head(git: Path) -> str | None:
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref:"):
        return head or None
    ref = head.removeprefix("ref:").strip()
    shared = git / "commondir"
    common = git / shared.read_text().strip() if shared.is_file() else git
    for folder in (git, common):
        if (folder / ref).is_file():
            return (folder / ref).read_text().strip()
    return _packed(common / "packed-refs", ref)


def _packed(packed: Path, ref: str) -> str | None:
    if not packed.is_file():
        return None
    for line in packed.read_text().splitlines():
        commit, _, name = line.partition(" ")
        if name == ref:
            return commit
    return None
