"""The command that receives spans: collect."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from spanreel.cli.options import Store
from spanreel.cli.terminal import note


def collect(
    host: Annotated[
        str, typer.Option(help="The address to listen on; one that others reach needs a token.")
    ] = "127.0.0.1",
    http_port: Annotated[
        int, typer.Option(min=0, max=65535, help="OTLP over HTTP; 0: any free port.")
    ] = 4318,
    grpc_port: Annotated[
        int, typer.Option(min=0, max=65535, help="OTLP over gRPC; 0: any free port.")
    ] = 4317,
    token: Annotated[
        str,
        typer.Option(
            envvar="SPANREEL_TOKEN",
            help="What senders give as `authorization: Bearer …`.",
            show_default=False,
        ),
    ] = "",
    store: Store = None,
) -> None:
    """Receive OpenTelemetry spans over OTLP and keep them in the store, until interrupted.

    A batch is acknowledged once it is on disk. Health: GET /healthz on the HTTP port.

    Examples:
        spanreel collect
        spanreel collect --store runs.db --http-port 5318 --grpc-port 5317
    """
    os.environ.setdefault(
        "GRPC_VERBOSITY", "NONE"
    )  # gRPC's own log would say in its words what we say in ours
    from spanreel.collector.server import Collector, serve
    from spanreel.collector.settings import CollectorSettings
    from spanreel.location import resolve_store

    settings = CollectorSettings(resolve_store(store), host, http_port, grpc_port, token)

    def started(collector: Collector) -> None:
        note(f"collecting into {settings.store}; stop with Ctrl-C")
        note(
            f"  OTLP/HTTP http://{_address(host)}:{collector.http_port}   OTLP/gRPC {_address(host)}:{collector.grpc_port}"
        )

    serve(settings, started)
    note("stopped")


def _address(host: str) -> str:
    return f"[{host}]" if ":" in host else host
