"""Commands about spanreel itself: schema, version."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spanreel.cli.options import Json
from spanreel.cli.terminal import say, say_json

PACKAGES = (
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp",
    "wrapt",
    "pydantic",
    "sqlite-utils",
    "typer",
    "starlette",
    "uvicorn",
)
MODELS = {
    "replay": "spanreel.replay.timeline:Replay",
    "runs": "spanreel.replay.timeline:RunList",
    "diff": "spanreel.replay.compare:ReplayComparison",
    "grade": "spanreel.replay.grade:Grade",
    "resent": "spanreel.replay.resent:Resent",
    "samples": "spanreel.replay.samples:Sampled",
    "verdict": "spanreel.replay.verdict:Verdict",
    "divergence": "spanreel.replay.divergence:DivergenceReport",
    "ci": "spanreel.replay.suite:SuiteSummary",
    "playbook": "spanreel.replay.playbooks.body:Body",
    "validation": "spanreel.cli.objects:Validation",
    "contract": "spanreel.replay.surface:Contract",
    "contract_changes": "spanreel.replay.surface:ContractChanges",
    "graph": "spanreel.replay.report.graph:Graph",
    "run": "spanreel.replay.playbooks.result:TargetRun",
    "playbook_run": "spanreel.replay.playbooks.result:PlaybookResult",
    "target_check": "spanreel.replay.playbooks.result:TargetCheck",
    "timeline": "spanreel.cli.objects:Timeline",
    "tail": "spanreel.cli.objects:TailedSpan",
    "import": "spanreel.cli.objects:Imported",
    "decision": "spanreel.cli.objects:DecisionMade",
    "doctor": "spanreel.cli.objects:Diagnosis",
    "compile_report": "spanreel.replay.playbooks.compiling.report:CompileReport",
    "playbooks": "spanreel.cli.playbook_objects:PlaybookList",
    "playbook_entry": "spanreel.cli.playbook_objects:PlaybookShown",
    "playbook_decision": "spanreel.cli.playbook_objects:PlaybookDecided",
    "playbook_candidate": "spanreel.cli.playbook_objects:PlaybookCandidate",
    "playbook_why": "spanreel.replay.playbooks.governance.provenance:PlaybookWhy",
    "playbook_lint": "spanreel.replay.playbooks.planning.lint:Lint",
    "simulation": "spanreel.replay.playbooks.planning.simulation:Simulation",
    "playbook_diff": "spanreel.replay.playbooks.repairs.difference:PlaybookDiff",
    "playbook_repair": "spanreel.replay.playbooks.repairs.repair:Repair",
    "playbook_review": "spanreel.replay.playbooks.governance.review:Reviewed",
    "shadow": "spanreel.replay.playbooks.shadows.shadow:ShadowReport",
    "dispatch": "spanreel.replay.playbooks.dispatching.dispatched:Dispatched",
    "suggestions": "spanreel.replay.playbooks.dispatching.suggest:Suggestions",
    "priming": "spanreel.replay.playbooks.dispatching.prime:Priming",
    "error": "spanreel.cli.objects:Error",
    "version": "spanreel.cli.objects:Versions",
}
"""Schema name -> `module:class`, imported when it is asked for; `spanreel replay --json` prints a verdict."""


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of what is printed under `"schema": "spanreel.<name>.v1"`.

    Raises:
        KeyError: there is no such schema.
    """
    from importlib import import_module

    module, _, cls = MODELS[name].partition(":")
    found = getattr(import_module(module), cls).model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"spanreel.{name}.v1", **found}


def schema(
    name: Annotated[
        str | None, typer.Argument(help="Which one; without it their names.", show_default=False)
    ] = None,
) -> None:
    """Print the JSON Schema of what a command prints with --json.

    Examples:
        spanreel schema
        spanreel schema replay
    """
    import json

    from spanreel.exceptions import SpanreelError

    if name is None:
        for each in sorted(MODELS):
            say(each)
        return
    if name not in MODELS:
        known = ", ".join(sorted(MODELS))
        raise SpanreelError(f"there is no schema {name!r}; there are {known}", "spanreel schema")
    say_json(json.dumps(json_schema(name), indent=2))


def version(json: Json = False) -> None:
    """Print the version of spanreel, and with --json those of what it stands on.

    Examples:
        spanreel version
        spanreel version --json
    """
    from spanreel import version

    if not json:
        say(f"spanreel {version.installed()}")
        return
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    from spanreel.cli.objects import Versions

    packages: dict[str, str] = {}
    for package in PACKAGES:
        try:
            packages[package] = installed(package)
        except PackageNotFoundError:
            continue
    found = Versions(
        spanreel=version.installed(),
        python=platform.python_version(),
        platform=platform.platform(),
        packages=packages,
    )
    say_json(found.to_json(indent=2))
