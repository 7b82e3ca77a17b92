"""`spanreel playbook …`: which verbs there are. What each does is in the module that it comes from.

Heavy modules are imported inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import cleandoc

import typer

from spanreel.cli import (
    playbook_compile,
    playbook_deciding,
    playbook_dispatch,
    playbook_library,
    playbook_lint,
    playbook_repair,
    playbook_run,
    playbook_shadow,
)

VERBS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("compile", playbook_compile.compile_, "Make one of recorded runs."),
    ("run", playbook_run.run, "Run one, with its guards."),
    ("list", playbook_library.list_, "List the playbooks."),
    ("show", playbook_library.show, "Show one playbook and its evidence."),
    ("why", playbook_library.why, "Say where it comes from and who decided what."),
    ("candidate", playbook_library.candidate, "Say whether it can be used now."),
    ("promote", playbook_deciding.promote, "Promote one, if the evidence is enough."),
    ("disable", playbook_deciding.disable, "Take one out of use."),
    ("enable", playbook_deciding.enable, "Make a disabled one a candidate again."),
    ("retire", playbook_deciding.retire, "Put one away."),
    ("export", playbook_library.export, "Write one to a file."),
    ("import", playbook_library.import_, "Add playbooks from files."),
    ("lint", playbook_lint.lint, "Say what could be better about one."),
    ("simulate", playbook_lint.simulate, "Plan a run of one on paper."),
    ("diff", playbook_lint.diff, "Compare two."),
    ("repair", playbook_repair.repair, "Propose a repair of one that failed."),
    ("review", playbook_repair.review, "Approve or reject a repair, once."),
    ("shadow", playbook_shadow.shadow, "Walk one over recorded runs."),
    ("dispatch", playbook_dispatch.dispatch, "Do a task by the playbook that fits, else by the agent."),
    ("suggest", playbook_dispatch.suggest, "List the playbooks for a goal, with reasons."),
    ("prime", playbook_dispatch.prime, "Print what playbooks know of a task, for a prompt."),
)
"""Verb, the function that does it, and one sentence for the list."""

app = typer.Typer(name="playbook", no_args_is_help=True, rich_markup_mode=None)


def help_of(function: Callable[..., object]) -> str:
    """The docstring for `--help`: a paragraph that begins with ``Examples:`` keeps its lines."""
    return cleandoc(function.__doc__ or "").replace("\n\nExamples:\n", "\n\n\b\nExamples:\n")


@app.callback()
def playbook() -> None:
    """Turn what worked into a procedure that runs without the model, and trust it on evidence.

    A playbook is named NAME (the active body, else the newest), NAME@3 (a version), NAME@active, or by its hash.
    """


for name, function, short in VERBS:
    app.command(name, help=help_of(function), short_help=short)(function)
