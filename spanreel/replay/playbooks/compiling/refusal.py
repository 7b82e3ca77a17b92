"""Why runs cannot be made into a playbook: reasons by code. Quiet."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from spanreel.exceptions import NotCompilable

Reason: TypeAlias = Literal[
    "no_runs", "no_successful_run", "nothing_to_keep", "writes_differ", "unexplained", "check_failed", "too_large", "redacted"
]  # fmt: skip
REMEDIES: Final[dict[Reason, str]] = {
    "no_runs": "name at least one run",
    "no_successful_run": "name runs that completed and succeeded, or give --allow-partial",
    "nothing_to_keep": "name runs that call tools",
    "writes_differ": "compile those that agree apart; a tool that only reads is declared with --read TOOL",
    "unexplained": "name more runs, or put the value into the input of the run",
    "check_failed": "name other runs, or write the playbook by hand",
    "too_large": "compile a shorter run",
    "redacted": "let the tool read its secret itself, from its environment, and record the runs again",
}


def refused(reason: Reason, message: str, remedy: str | None = None) -> NotCompilable:
    """The error of a reason."""
    return NotCompilable(message, REMEDIES[reason] if remedy is None else remedy, reason=reason)
