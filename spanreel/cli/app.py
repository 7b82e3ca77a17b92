"""The `spanreel` command: which commands there are, and how an error looks.

An error is one line saying what is wrong and, where there is one, the command that mends it; a
traceback only with `--debug`. Heavy modules are imported inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from spanreel.cli import (
    ci,
    collecting,
    comparing,
    contracting,
    deciding,
    doctor,
    executing,
    files,
    graphing,
    playbooks,
    reading,
    running,
    schemas,
    trying,
    validating,
)
from spanreel.cli.overrides import Stepped
from spanreel.cli.playbooks import help_of
from spanreel.cli.running import Targeted
from spanreel.cli.terminal import note, said_json, say_json
from spanreel.exceptions import Signal, SpanreelError

app = typer.Typer(
    name="spanreel",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS = (
    ("try", trying.try_, "See everything on an example agent."),
    ("run", running.run, "Run a command, an agent or a playbook, recorded."),
    ("runs", reading.runs, "List the recorded runs."),
    ("show", reading.show, "Show one run as a tree."),
    ("timeline", reading.timeline, "Show one run in time."),
    ("replay", executing.replay, "Run a recorded agent again, offline or live."),
    ("fork", executing.fork, "Go another way from a step on."),
    ("approve", deciding.approve, "Approve what a run waits for."),
    ("reject", deciding.reject, "Reject what a run waits for."),
    ("resume", deciding.resume, "Go on with a paused, crashed or killed run."),
    ("ci", ci.ci, "Replay recordings against the code as it is."),
    ("graph", graphing.graph, "Draw a playbook or a run."),
    ("contract", contracting.contract, "Pin what others rely on."),
    ("diff", comparing.diff, "Compare two runs."),
    ("tail", reading.tail, "Follow the spans as they arrive."),
    ("import", files.import_, "Read spans from files."),
    ("export", files.export, "Write a run to a file."),
    ("rm", files.rm, "Delete runs."),
    ("validate", validating.validate, "Check a playbook without running it."),
    ("collect", collecting.collect, "Receive spans over OTLP."),
    ("doctor", doctor.doctor, "Check whether everything is wired."),
    ("schema", schemas.schema, "Print the JSON Schema of an output."),
    ("version", schemas.version, "Print the version."),
)


for name, function, short in COMMANDS:
    # options after the first word of `run` are those of the user's command
    settings = {"allow_interspersed_args": False} if name == "run" else {}
    kind = {"replay": Stepped, "fork": Stepped, "run": Targeted}.get(name)
    app.command(name, cls=kind, help=help_of(function), short_help=short, context_settings=settings)(function)


app.add_typer(playbooks.app, short_help="Procedures made of what worked.")


@app.callback()
def spanreel(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Record an agent as OpenTelemetry spans; look at a run, compare two, run it again.

    New here? `spanreel try` shows it all in a minute, without a key.
    """
    if debug:
        os.environ["SPANREEL_DEBUG"] = "1"


def main() -> NoReturn:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")
    said_json()
    try:
        app()
    except SpanreelError as error:
        _fail(error, error.exit_code, str(error.args[0]), error.remedy)
    except Signal as signal:
        _fail(signal, 4 if type(signal).__name__ == "Divergence" else 3, str(signal), "")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of the pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - the last line of defence: said, not swallowed
        said = f"{type(error).__name__}: {error}".rstrip(": ")
        _fail(error, 1, f"unexpected {said}", f"for the traceback: spanreel --debug {' '.join(sys.argv[1:])}")
    sys.exit(0)


def _fail(error: BaseException, code: int, message: str, remedy: str) -> NoReturn:
    if os.environ.get("SPANREEL_DEBUG"):
        traceback.print_exc()
    note(f"spanreel: {' '.join(message.split())}")
    if remedy:
        note(f"  → {' '.join(remedy.split())}")
    given = sys.argv[1:]
    if "--json" in (given[: given.index("--")] if "--" in given else given) and not said_json():
        from spanreel.cli.objects import Error

        say_json(Error.of(error, code, message, remedy).to_json(indent=2))
    sys.exit(code)
