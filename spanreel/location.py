"""Where the store is, and what lies beside it.

The agent's process and the collector meet here: both must find the same store without importing each
other. Paths only; nothing is opened but the collector's announcement.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

PROJECT_MARKERS = (".spanreel", ".git", "pyproject.toml", "setup.py", "package.json")


def default_store(start: str | os.PathLike[str] | None = None) -> Path:
    """The store to use when none is named: `$SPANREEL_STORE`, else the project's, else the user's.

    Args:
        start: the folder from which the project root is looked for upwards; default: the working directory.
    """
    if named := os.environ.get("SPANREEL_STORE"):
        return Path(named).expanduser().absolute()
    folder = Path(start or Path.cwd()).absolute()
    home = Path.home()
    for candidate in (folder, *folder.parents):
        if candidate == home and not (candidate / ".spanreel").is_dir():
            break
        if any((candidate / marker).exists() for marker in PROJECT_MARKERS):
            return candidate / ".spanreel" / "spans.db"
    data = os.environ.get("XDG_DATA_HOME") or str(home / ".local" / "share")
    return Path(data) / "spanreel" / "spans.db"


def project_root(start: Path) -> Path | None:
    """The nearest folder from here upwards that is the root of a project; None: there is none below the home folder."""
    folder, home = start.absolute(), Path.home()
    for candidate in (folder, *folder.parents):
        if candidate == home:
            return None
        if any((candidate / marker).exists() for marker in PROJECT_MARKERS):
            return candidate
    return None


def resolve_store(store: str | os.PathLike[str] | None) -> Path:
    """The absolute path of the store that was named, or of the default one."""
    return Path(store).expanduser().absolute() if store else default_store()


def spool_folder(store: Path) -> Path:
    """Where processes append what they recorded while no collector serves the store."""
    return store.with_name(store.name + ".spool")


def lock_file(store: Path) -> Path:
    """Held (flock) by whoever drains the spool into the store."""
    return store.with_name(store.name + ".lock")


def key_file(store: Path) -> Path:
    """The store's own key for keyed hashes (32 bytes, 0600)."""
    return store.with_name(store.name + ".key")


def announcement_file(store: Path) -> Path:
    """Written by the collector that serves the store."""
    return store.with_name(store.name + ".collector.json")


@dataclass(frozen=True, slots=True)
class Announcement:
    """A collector that serves a store: process id, ports on `host`, and the token it wants (or an empty string)."""

    pid: int
    host: str
    http_port: int
    grpc_port: int
    token: str = ""


def announced_collector(store: Path) -> Announcement | None:
    """The collector that serves this store, if its announcement is there and its process lives."""
    try:
        found = json.loads(announcement_file(store).read_text("utf-8"))
        announcement = Announcement(
            int(found["pid"]),
            str(found["host"]),
            int(found["http_port"]),
            int(found["grpc_port"]),
            str(found.get("token", "")),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return announcement if _alive(announcement.pid) else None


def prepare_folder(folder: Path) -> None:
    """Make the store's folder (0700), ignored by git."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ignore = folder / ".gitignore"
    if folder.name == ".spanreel" and not ignore.exists():
        ignore.write_text("*\n", "utf-8")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
