"""What `spanreel doctor` looks at. Each check answers with one line, and with a remedy when it is not well."""

from __future__ import annotations

import json
import os
import platform
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module, metadata
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from spanreel import version
from spanreel.cli.objects import Check, Diagnosis
from spanreel.cli.words import plural
from spanreel.exceptions import SpanreelError
from spanreel.location import announced_collector, announcement_file, spool_folder

if TYPE_CHECKING:
    from spanreel.instrument.frameworks.probe import Probed

FRAMEWORKS = {"langchain": "langchain-core", "langgraph": "langgraph", "openai-agents": "openai-agents"}
"""Frameworks that can be tapped, and the package each is in."""
IMPORTS = 60.0  # seconds that frameworks have to be imported
PROBE = "spanreel.instrument.frameworks.probe"
PATIENCE = 1.0  # seconds that a collector has to answer


def diagnosis(store: Path) -> Diagnosis:
    """Every check, in the order of what depends on what."""
    checks = [
        _python(),
        *_packages(),
        *_folder(store),
        *_store(store),
        *_spool(store),
        _collector(store),
        *_clients(),
        *_frameworks(),
        *_extras(),
    ]
    return Diagnosis(healthy=all(check.state != "fail" for check in checks), checks=checks)


def _python() -> Check:
    return Check(name="python", state="ok", found=f"{platform.python_version()} at {sys.executable}")


def _packages() -> Iterator[Check]:
    found = [f"spanreel {version.installed()}"]
    missing: list[str] = []
    for line in requires("spanreel") or () if _installed("spanreel") else ():
        name = line.split(";")[0].split("[")[0].split(">")[0].split("<")[0].split("=")[0].strip()
        if "extra ==" in line:
            continue
        if _installed(name):
            found.append(f"{name} {metadata.version(name)}")
        else:
            missing.append(name)
    if missing:
        yield Check(
            name="packages",
            state="fail",
            found=f"not installed: {', '.join(missing)}",
            remedy="pip install --force-reinstall spanreel",
        )
    else:
        yield Check(name="packages", state="ok", found=", ".join(found))


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except PackageNotFoundError:
        return False
    return True


def _folder(store: Path) -> Iterator[Check]:
    """The nearest folder that is there must let us write, or no agent can record."""
    folder = next(parent for parent in store.parents if parent.exists())
    if not folder.is_dir():
        yield Check(
            name="folder",
            state="fail",
            found=f"{folder} is a file, not a folder",
            remedy="name another --store",
        )
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield Check(
            name="folder",
            state="fail",
            found=f"{folder} cannot be written",
            remedy=f"chmod u+rwx {folder}, or name another store with --store",
        )


def _store(store: Path) -> Iterator[Check]:
    if not store.exists():
        yield Check(
            name="store",
            state="ok",
            found=f"none yet at {store}; the first run makes it",
            remedy="spanreel run -- python your_agent.py",
        )
        return
    try:
        from spanreel.collector.store import open_reader

        with open_reader(store, drain=False) as reader:
            runs = reader.runs()
    except SpanreelError as error:
        yield Check(name="store", state="fail", found=str(error.args[0]), remedy=error.remedy or None)
        return
    size = store.stat().st_size / 1024 / 1024
    yield Check(name="store", state="ok", found=f"{store}: {plural(len(runs), 'run')}, {size:.1f} MiB")
    mode = stat.S_IMODE(store.stat().st_mode)
    if mode & 0o077:
        yield Check(
            name="permissions",
            state="warn",
            found=f"others may read the store (mode {mode:04o})",
            remedy=f"chmod 600 {store}",
        )
    if not os.access(store, os.W_OK):
        yield Check(
            name="permissions", state="warn", found="the store is read-only here", remedy=f"chmod u+w {store}"
        )
    doubtful = [run for run in runs if run.incomplete]
    if doubtful:
        yield Check(
            name="captures",
            state="warn",
            found=f"{len(doubtful)} of {plural(len(runs), 'run')} recorded incompletely: {doubtful[0].incomplete[0]}",
            remedy=f"spanreel show {doubtful[0].run_id}",
        )


def _spool(store: Path) -> Iterator[Check]:
    from spanreel.wire.spool import frames

    folder = spool_folder(store)
    if not folder.is_dir():
        return
    pending = [path for path in sorted(folder.iterdir()) if path.is_file()]
    torn = size = 0
    for path in pending:
        content = path.read_bytes()
        size += len(content)
        found = frames(content)
        while found.more:
            torn += found.torn_bytes
            found = frames(content, found.next_offset)
        torn += found.torn_bytes
    if torn:
        yield Check(
            name="spool",
            state="warn",
            found=f"{torn} bytes in {folder} are torn, by a kill in the middle of a write; the rest is read",
            remedy="spanreel runs --status incomplete",
        )
    elif pending:
        yield Check(name="spool", state="ok", found=f"{plural(len(pending), 'file')}, {size / 1024:.0f} KiB")


def _collector(store: Path) -> Check:
    announced = announced_collector(store)
    if announced is None:
        if announcement_file(store).exists():
            return Check(
                name="collector",
                state="warn",
                found="the collector that announced itself is gone",
                remedy=f"spanreel collect --store {store}",
            )
        return Check(
            name="collector", state="ok", found="none runs; agents write beside the store, readers collect it"
        )
    where = f"{announced.host}:{announced.http_port}"
    if _answers(announced.host, announced.http_port):
        return Check(
            name="collector",
            state="ok",
            found=f"pid {announced.pid} on {where}, gRPC port {announced.grpc_port}",
        )
    return Check(
        name="collector",
        state="fail",
        found=f"pid {announced.pid} does not answer on {where}",
        remedy=f"stop it and start it again: kill {announced.pid}; spanreel collect --store {store}",
    )


def _answers(host: str, port: int) -> bool:
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _clients() -> Iterator[Check]:
    """The HTTP clients that are installed, and whether the names that the tap wraps are still in them."""
    from spanreel.instrument.clients.httpx import MODULES, POINTS

    any_installed = False
    for name in MODULES:
        if find_spec(name) is None:
            continue
        any_installed = True
        module = import_module(name)
        found = f"{name} {module.__version__}"
        if all(
            any(point in vars(getattr(module, owner)) for point in POINTS)
            for owner in ("Client", "AsyncClient")
        ):
            yield Check(name="tap", state="ok", found=f"{found} can be tapped")
        else:
            yield Check(
                name="tap",
                state="fail",
                found=f"{found} lacks the names that the tap wraps ({', '.join(POINTS)})",
                remedy="pip install -U spanreel",
            )
    if not any_installed:
        yield Check(
            name="tap",
            state="warn",
            found=f"no HTTP client that can be tapped is installed here ({', '.join(MODULES)})",
            remedy="run doctor with the Python that runs your agent",
        )


def _frameworks() -> Iterator[Check]:
    """The frameworks that are installed, and whether the names that their taps wrap are still in them."""
    installed = [name for name, package in FRAMEWORKS.items() if _installed(package)]
    if not installed:
        return
    try:
        probed = _probed(installed)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        yield Check(
            name="tap",
            state="warn",
            found=f"the frameworks could not be looked at ({type(error).__name__})",
            remedy=f"{sys.executable} -m {PROBE} {' '.join(installed)}",
        )
        return
    for name in installed:
        package = f"{FRAMEWORKS[name]} {metadata.version(FRAMEWORKS[name])}"
        lacking = {
            one["target"]: one["state"]
            for one in probed
            if one["framework"] == name and one["state"] != "found"
        }
        if not lacking:
            yield Check(name="tap", state="ok", found=f"{package}: tools and runs can be tapped")
        elif set(lacking.values()) == {"missing"}:
            yield Check(
                name="tap",
                state="fail",
                found=f"{package} lacks names that the tap wraps: {', '.join(lacking)}",
                remedy=f"pip install -U spanreel, or an earlier {FRAMEWORKS[name]}",
            )
        else:
            target, why = next(item for item in lacking.items() if item[1] != "missing")
            yield Check(
                name="tap",
                state="warn",
                found=f"{package} cannot be imported: {target.partition(':')[0]}: {why}",
                remedy=f"pip install --force-reinstall {FRAMEWORKS[name]}",
            )


def _probed(frameworks: list[str]) -> list[Probed]:
    """In a process of its own: doctor itself loads no framework. What stands in this folder is not what is installed."""
    line = [sys.executable, "-P", "-m", PROBE, *frameworks]
    done = subprocess.run(line, capture_output=True, text=True, timeout=IMPORTS, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _extras() -> Iterator[Check]:
    from spanreel.replay.pricing import pricing_available

    if pricing_available():
        yield Check(name="pricing", state="ok", found="runs are priced")
    else:
        yield Check(
            name="pricing",
            state="ok",
            found="no price list: runs show no cost",
            remedy="pip install 'spanreel[pricing]'",
        )
