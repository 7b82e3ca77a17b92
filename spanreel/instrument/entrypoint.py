"""spanreel for `opentelemetry-instrument`: the `opentelemetry_instrumentor` entry point.

Imports `opentelemetry.instrumentation` only when it is used: spanreel itself does not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.exceptions import SpanreelError

if TYPE_CHECKING:
    SpanreelInstrumentor: type[Any]


def __getattr__(name: str) -> Any:
    if name == "SpanreelInstrumentor":
        found = globals()[name] = _instrumentor()
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _instrumentor() -> type[Any]:
    """The class that `opentelemetry-instrument` looks for.

    Raises:
        SpanreelError: `opentelemetry-instrumentation` is not installed.
    """
    try:
        from opentelemetry.instrumentation.instrumentor import (  # pyright: ignore[reportMissingImports] - optional
            BaseInstrumentor,
        )
    except ImportError as error:
        raise SpanreelError(
            "SpanreelInstrumentor needs opentelemetry-instrumentation",
            "pip install opentelemetry-instrumentation, or call spanreel.instrument()",
        ) from error
    base: Any = BaseInstrumentor

    class SpanreelInstrumentor(base):
        """`spanreel.instrument()` in the shape of OpenTelemetry's instrumentors; takes its arguments."""

        def instrumentation_dependencies(self) -> tuple[str, ...]:
            """Nothing: taps wait for the modules that they tap."""
            return ()

        def _instrument(self, **kwargs: Any) -> None:
            from spanreel.instrument.activate import instrument

            kwargs.pop("skip_dep_check", None)
            instrument(**kwargs)

        def _uninstrument(self, **kwargs: Any) -> None:
            from spanreel.instrument.activate import uninstrument

            uninstrument()

    return SpanreelInstrumentor
