"""The seam: who answers this call?

Every tap asks the responder once per effect. Nobody (`None`) means the network, or the tool's own body, as nothing
were watching. A `…Route` means the same under an execution: what goes live, perhaps changed, is told and counted.
Recording and replaying are the same code path with another responder; there is no second mechanism.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry import context as otel_context

if TYPE_CHECKING:
    from spanreel.instrument.exchange import Exchange

LIVE_KEY = otel_context.create_key("spanreel-live")
"""Set in the context of an effect that an execution lets out."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A model call about to leave: one HTTP attempt, its bytes as the SDK made them.

    lane: structural path of the thread that makes it (`threads.lane`).
    """

    dialect: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    transport: str
    lane: str = "0"


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What to hand to the SDK instead of going to the network.

    Either a response (`status`, `headers`, body as `chunks`) or, with status 0, a transport error
    (`error_type` is the class's qualified name). `source` is recorded or stub.
    at_cut: of a stream that was not read to its end: called when more is asked for than was recorded, and raises.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    chunks: tuple[bytes, ...] = ()
    micros: tuple[int, ...] = ()
    error_type: str | None = None
    error_message: str = ""
    outcome: str = "complete"
    source: str = "recorded"
    source_run_id: str | None = None
    source_span_id: str | None = None
    tier: str = "exact"
    score: float | None = None
    at_cut: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """A model call that goes to the network in an execution: as the SDK made it, or changed.

    dialect, url, headers, body: what to send. given: renders the whole reply (status, headers, decoded body) for the
    dialect that the SDK reads; None: the reply passes through as it comes. ended: told once, when it is over.
    """

    dialect: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    given: Callable[[int, tuple[tuple[str, str], ...], bytes], ModelAnswer] | None = None
    ended: Callable[[Exchange], None] | None = None
    source: str = "live"


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A tool about to run. `arguments` is the JSON value the model gave (or the call's own arguments).

    contract: of the code behind it (see `contract`); None where no tap knows it.
    """

    name: str
    arguments: Any
    call_id: str | None = None
    safety: str = "write"
    framework: str = ""
    lane: str = "0"
    contract: str | None = None


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What to hand back instead of running the tool: the codec's JSON text of a value, or of an exception to raise."""

    encoded: str
    source: str = "recorded"
    source_run_id: str | None = None
    source_span_id: str | None = None
    tier: str = "exact"


@dataclass(frozen=True, slots=True)
class ToolRoute:
    """A tool whose body runs in an execution. ended: told once, with the exception that ended it or None."""

    ended: Callable[[BaseException | None], None] | None = None
    source: str = "live"


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A gate that the agent has come to."""

    id: str
    summary: str | None = None
    details: Any = None
    lane: str = "0"


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided about a gate. Truthy when approved.

    actor: a name, or a JSON object of who decided. source_span_id: the decision's span.
    """

    approved: bool
    actor: Any = None
    reason: str | None = None
    source_run_id: str | None = None
    source_span_id: str | None = None

    def __bool__(self) -> bool:
        return self.approved


@dataclass(frozen=True, slots=True)
class RootFacts:
    """What an execution says on the root of the run that it is.

    links: trace and span ids in hex. outward: whether something in it may happen for real, and so be sent to a backend.
    run_id: of a resumed run, which goes on under its name.
    """

    attributes: Mapping[str, Any]
    links: tuple[tuple[str, str], ...] = ()
    outward: bool = False
    run_id: str | None = None


class Responder(Protocol):
    """Answers calls, or lets them through. `root`: what the roots of runs say while it answers."""

    @property
    def root(self) -> RootFacts | None: ...

    def model(self, request: ModelRequest) -> ModelAnswer | ModelRoute | None:
        """None: the network answers. Raises Divergence or EffectDenied when nothing may."""
        ...

    def tool(self, request: ToolRequest) -> ToolAnswer | ToolRoute | None:
        """None: the tool's body runs. Raises Divergence or EffectDenied when it may not."""
        ...

    def approval(self, request: ApprovalRequest) -> Decision | None:
        """None: nobody has decided, and the run pauses."""
        ...


class Live:
    """Everything goes to the network and to the tools themselves; nobody has decided anything."""

    root: RootFacts | None = None

    def model(self, request: ModelRequest) -> ModelAnswer | ModelRoute | None:
        return None

    def tool(self, request: ToolRequest) -> ToolAnswer | ToolRoute | None:
        return None

    def approval(self, request: ApprovalRequest) -> Decision | None:
        return None


LIVE = Live()
SCOPE_KEY = otel_context.create_key("spanreel-scope")
_current: Responder = LIVE


@dataclass(slots=True, eq=False)
class Scope:
    """What began under one responder carries this in its context. after: who answers it once that one has left."""

    after: Responder | None = None


def current() -> Responder:
    """Who answers here: in this process, but for what outlived the one who answered when it began."""
    scope = otel_context.get_current().get(SCOPE_KEY)
    left = scope.after if isinstance(scope, Scope) else None
    return left or _current


def install(responder: Responder) -> Responder:
    """Let `responder` answer from now on, in every thread; returns the one that did until now."""
    global _current
    before, _current = _current, responder
    return before
