"""What became of a suite of recordings as JUnit XML and as Markdown. Quiet: text out, nothing is written.

JUnit's format is five elements that the standard library writes; a library for it would be one more dependency of a
plain installation, for no less code.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from spanreel.replay.report.text import clean

if TYPE_CHECKING:
    from spanreel.replay.suite import CaseResult, SuiteSummary

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SIGNS = {"passed": "✅", "diverged": "❌", "error": "⚠️"}
_SHOWN = 20


def junit(found: SuiteSummary) -> str:
    """JUnit XML: a case for each run, its failure the divergence report."""
    counts = found.counts
    totals = {
        "tests": str(counts.total),
        "failures": str(counts.diverged),
        "errors": str(counts.errors),
        "time": _seconds(found.duration),
    }
    top = ET.Element("testsuites", totals)
    suite = ET.SubElement(top, "testsuite", {"name": "spanreel", "timestamp": found.started_at, **totals})
    for one in found.recordings:
        folder, _, name = one.name.replace("\\", "/").rpartition("/")
        case = ET.SubElement(
            suite,
            "testcase",
            {"classname": _xml(folder or "recordings"), "name": _xml(name), "time": _seconds(one.duration)},
        )
        if one.verdict:
            kept = ET.SubElement(case, "properties")
            ET.SubElement(kept, "property", {"name": "verdict", "value": one.verdict})
        if one.result == "diverged":
            failure = ET.SubElement(case, "failure", {"type": "Divergence", "message": _xml(_headline(one))})
            failure.text = _xml(one.first_divergence or "")
        elif one.result == "error":
            error = ET.SubElement(case, "error", {"type": "error", "message": _xml(_headline(one))})
            error.text = _xml("\n".join(part for part in (one.problem, one.remedy) if part))
        if one.output:
            ET.SubElement(case, "system-out").text = _xml(one.output)
    ET.indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(top, encoding="unicode") + "\n"


def markdown(found: SuiteSummary) -> str:
    """For GitHub's step summary: the counts, a table, and the reports of what did not pass."""
    counts = found.counts
    lines = [
        "## spanreel: recordings",
        "",
        f"{counts.passed} of {counts.total} passed, {counts.diverged} diverged, {counts.errors} failed otherwise, in {_seconds(found.duration)} s",
        "",
        "| | recording | verdict | recorded | time |",
        "|---|---|---|---:|---:|",
    ]
    ordered = sorted(found.recordings, key=lambda one: one.result == "passed")
    lines += [
        f"| {_SIGNS[one.result]} | {_cell(one.name)} | {one.verdict or one.result} | {one.effects.recorded} | "
        f"{_seconds(one.duration)} s |"
        for one in ordered
    ]
    for one in [one for one in ordered if one.result != "passed"][:_SHOWN]:
        words = one.first_divergence or "\n".join(
            part for part in (one.problem, one.remedy, one.output) if part
        )
        lines += ["", f"<details><summary>{_html(one.name)}: {_html(_headline(one))}</summary>", ""]
        lines += [_fenced(clean(words)), "", "</details>"]
    return "\n".join(lines) + "\n"


def _headline(one: CaseResult) -> str:
    words = one.first_divergence or one.problem or one.result
    return clean(words).partition("\n")[0]


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.3f}"


def _xml(text: str) -> str:
    return _NOT_XML.sub("", clean(text))


def _cell(text: str) -> str:
    return _html(text).replace("|", "\\|").replace("`", "\\`")


def _html(text: str) -> str:
    flat = clean(text).replace("\n", " ")
    return flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
