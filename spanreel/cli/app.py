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

from spanreel.cli import collecting, comparing, doctor, executing, files, reading, schemas, trying
from spanreel.cli.terminal import note
from spanreel.exceptions import Signal, SpanreelError

app = typer.Typer(
    name="spanreel",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS = (
    ("try", trying.try_),
    ("run", executing.run),
    ("runs", reading.runs),
    ("show", reading.show),
    ("timeline", reading.timeline),
    ("replay", executing.replay),
    ("diff", comparing.diff),
    ("tail", reading.tail),
    ("import", files.import_),
    ("export", files.export),
    ("rm", files.rm),
    ("collect", collecting.collect),
    ("doctor", doctor.doctor),
    ("schema", schemas.schema),
    ("version", schemas.version),
)
WITH_A_COMMAND = {
    "run",
    "replay",
}  # what follows `--`, or the first word that is no option, is the user's own

for name, function in COMMANDS:
    settings = {"allow_interspersed_args": False} if name == "run" else {}
    app.command(name, context_settings=settings)(function)


@app.callback()
def spanreel(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Record an agent as OpenTelemetry spans; look at a run, compare two, run it again offline.

    New here? `spanreel try` shows it all in a minute, without a key.
    """
    if debug:
        os.environ["SPANREEL_DEBUG"] = "1"


def main() -> NoReturn:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")
    try:
        app()
    except SpanreelError as error:
        _fail(error.exit_code, str(error.args[0]), error.remedy)
    except Signal as signal:
        _fail(4 if type(signal).__name__ == "Divergence" else 3, str(signal), "")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of the pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - the last line of defence: said, not swallowed
        said = f"{type(error).__name__}: {error}".rstrip(": ")
        _fail(1, f"unexpected {said}", f"for the traceback: spanreel --debug {' '.join(sys.argv[1:])}")
    sys.exit(0)


def _fail(code: int, message: str, remedy: str) -> NoReturn:
    if os.environ.get("SPANREEL_DEBUG"):
        traceback.print_exc()
    note(f"spanreel: {' '.join(message.split())}")
    if remedy:
        note(f"  → {' '.join(remedy.split())}")
    sys.exit(code)
