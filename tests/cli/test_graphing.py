"""`spanreel graph` on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

from commands import Cli, run_spans

from spanreel.collector.store import open_writer


def test_the_command_draws_runs(cli: Cli, tmp_path: Path) -> None:
    """Mermaid by default, a picture with --svg or into *.svg, JSON with its schema; a wrong wish is a usage error."""
    with open_writer(tmp_path / "spans.db") as writer:
        writer.add(run_spans(1))
    assert cli("graph", "last").out.startswith("flowchart TD\n")
    assert cli("graph", "last", "--svg").out.startswith("<svg ")
    assert cli("graph", "last", "-o", "run.svg").code == 0
    ET.parse(tmp_path / "run.svg")
    said = cli("graph", "--agent", "support", "--json").json
    assert (said["schema"], said["of"], said["runs"]) == ("spanreel.graph.v1", "observed", 1)
    assert cli("graph", "last", "--svg", "--json").code == 2
    assert cli("graph", "last", "--since", "7d").code == 2
    missing = cli("graph", "no-such-thing")
    assert missing.code == 2
    assert "neither a run nor a playbook" in missing.err
    assert json.loads(cli("schema", "graph").out)["$id"] == "spanreel.graph.v1"
