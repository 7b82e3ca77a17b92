"""Commands about spanreel itself: schema, version."""

from __future__ import annotations

from typing import Annotated

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
OWN = {
    "verdict": "spanreel.replay.verdict:Verdict",
    "divergence": "spanreel.replay.divergence:DivergenceReport",
    "timeline": "spanreel.cli.objects:Timeline",
    "tail": "spanreel.cli.objects:TailedSpan",
    "import": "spanreel.cli.objects:Imported",
    "doctor": "spanreel.cli.objects:Diagnosis",
    "version": "spanreel.cli.objects:Versions",
}
"""Schema name -> `module:class`, besides those in `replay.schemas`; `spanreel replay --json` prints a verdict."""


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
    from spanreel.replay.schemas import MODELS, json_schema

    names = sorted({*MODELS, *OWN})
    if name is None:
        for each in names:
            say(each)
        return
    if name not in names:
        raise SpanreelError(f"there is no schema {name!r}; there are {', '.join(names)}", "spanreel schema")
    if name in MODELS:
        found = json_schema(name)
    else:
        from importlib import import_module

        module, _, cls = OWN[name].partition(":")
        written = getattr(import_module(module), cls).model_json_schema(by_alias=True, mode="serialization")
        found = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"spanreel.{name}.v1",
            **written,
        }
    say_json(json.dumps(found, indent=2))


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
