"""The command that receives spans: collect."""

from __future__ import annotations

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
    from spanreel.collector.server import serve
    from spanreel.collector.settings import Settings
    from spanreel.location import resolve_store

    path = resolve_store(store)
    serve(Settings(store=path, host=host, http_port=http_port, grpc_port=grpc_port, token=token))
    note(f"stopped; the spans are in {path}")
