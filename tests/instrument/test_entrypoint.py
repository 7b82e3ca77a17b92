"""OpenTelemetry's `opentelemetry-instrument` finds spanreel and switches it on; without its package the way out is said."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import recorded
from model_server import ModelServer

from spanreel.exceptions import SpanreelError
from spanreel.instrument import entrypoint

INSTALLED = find_spec("opentelemetry.instrumentation") is not None
ROOT = Path(__file__).parents[2]
PROGRAM = """
import os, openai
client = openai.OpenAI(api_key="none", base_url=os.environ["SERVER"] + "/v1")
print(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}]).choices[0].message.content)
"""
RUN = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
"""What the command `opentelemetry-instrument` is."""


def under_opentelemetry(folder: Path, server: ModelServer) -> subprocess.CompletedProcess[str]:
    """Run the program by `opentelemetry-instrument`, with spanreel as installed as pyproject.toml would make it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    group = "opentelemetry_instrumentor"
    entries = "\n".join(f"{name} = {target}" for name, target in project["entry-points"][group].items())
    about = folder / "installed" / "spanreel-0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: spanreel\nVersion: 0\n")
    (about / "entry_points.txt").write_text(f"[{group}]\n{entries}\n")
    (folder / "agent.py").write_text(PROGRAM)
    path = [str(about.parent), str(ROOT), os.environ.get("PYTHONPATH", "")]
    silent = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    environment = {**os.environ, **silent, "PYTHONPATH": os.pathsep.join(path), "SERVER": server.url}
    return subprocess.run(
        [sys.executable, "-c", RUN, sys.executable, str(folder / "agent.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_opentelemetry_switches_spanreel_on_or_is_missed_by_name(
    server: ModelServer, store: Path, tmp_path: Path
) -> None:
    """Where its package is installed a program is recorded with no change to it; else one clear line says what is needed."""
    if not INSTALLED:
        with pytest.raises(SpanreelError, match="needs opentelemetry-instrumentation") as raised:
            _ = entrypoint.SpanreelInstrumentor
        assert "pip install opentelemetry-instrumentation" in raised.value.remedy
        return
    done = under_opentelemetry(tmp_path, server)
    assert (done.returncode, done.stdout.strip()) == (0, server.text), done.stderr
    (span,) = recorded.exchanges(store)
    assert span.attributes["http.request.body.content"] == server.served[0].request


def test_nothing_else_is_in_the_entry_point() -> None:
    """Any other name is missing as it would be anywhere."""
    with pytest.raises(AttributeError, match="no attribute 'Other'"):
        _ = entrypoint.Other
