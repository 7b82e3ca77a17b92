"""What a `Replay` can do beyond being read: be run again. Quiet; what runs is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spanreel.replay.policy import Messages
    from spanreel.replay.rerun import Agent, Rerun
    from spanreel.replay.timeline import PathLike


class Again:
    """A run that can be run again."""

    def rerun(
        self,
        agent: Agent | None = None,
        model: str | None = None,
        instructions: str | None = None,
        tools: list[dict[str, Any]] | None = None,
        params: Mapping[str, Any] | None = None,
        messages: Messages | None = None,
        prompt: str | Mapping[str, Any] | None = None,
        step_overrides: Mapping[int, Mapping[str, Any]] | None = None,
        responses: Mapping[int, Any] | None = None,
        at: int | None = None,
        live: bool = False,
        allow_tools: Collection[str] = (),
        budget: Any = None,
        on_miss: str = "raise",
        match: str = "structural",
        *,
        file: str | PathLike | None = None,
        store: str | PathLike | None = None,
        timeout: float | None = None,
    ) -> Rerun:
        """Run it again: offline where nothing is different, else live from the first difference on.

        Tools stay recorded unless they are allowed. A divergence, a denied effect and an error of the agent are in
        the verdict; they are not raised.

        Args:
            agent: is called with the recorded inputs in this process; default: the recorded entry point, in its own.
            model: to ask instead; `provider/model` for one that speaks another dialect.
            instructions: the system prompt instead.
            tools: the tool definitions of the requests instead, as the agent's dialect writes them.
            params: further fields of the requests, by name (dotted for nested ones); None removes one.
            messages: makes the GenAI messages to send of those that the agent has; only with `agent`.
            prompt: in place of the only text among the inputs; or arguments by name.
            step_overrides: parameters for single steps, by number.
            responses: answers to give at single steps, instead of asking anybody.
            at: fork: recorded before this step, live from it on.
            live: from the first call on, whether anything is different or not.
            allow_tools: names of tools whose body may run.
            budget: `{"max_cost": USD, "max_calls": n, "max_seconds": s}`.
            on_miss: what becomes of a call that nothing recorded answers: "raise", "live" or "stub".
            match: "strict", "structural", "scrubbed" or "explore".
            file: the recording file that this run was read from; default: it is in the store.
            store: where it is, and where the new run is recorded; default: the project's.
            timeout: seconds, for a process of its own.

        Raises:
            SpanreelError: it cannot be run again, or not like that.
        """
        given = {name: value for name, value in locals().items() if name != "self"}
        from spanreel.replay import rerun

        return rerun.rerun(rerun.asked(self, **given))  # pyright: ignore[reportArgumentType] - every Again is a Replay

    async def arerun(
        self,
        agent: Agent | None = None,
        model: str | None = None,
        instructions: str | None = None,
        tools: list[dict[str, Any]] | None = None,
        params: Mapping[str, Any] | None = None,
        messages: Messages | None = None,
        prompt: str | Mapping[str, Any] | None = None,
        step_overrides: Mapping[int, Mapping[str, Any]] | None = None,
        responses: Mapping[int, Any] | None = None,
        at: int | None = None,
        live: bool = False,
        allow_tools: Collection[str] = (),
        budget: Any = None,
        on_miss: str = "raise",
        match: str = "structural",
        *,
        file: str | PathLike | None = None,
        store: str | PathLike | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - of a process of its own
    ) -> Rerun:
        """`rerun` for async code: an async agent runs in this loop, a plain one in a thread."""
        given = {name: value for name, value in locals().items() if name != "self"}
        from spanreel.replay import rerun

        return await rerun.arerun(rerun.asked(self, **given))  # pyright: ignore[reportArgumentType] - as above
