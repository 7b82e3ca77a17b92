"""Kill a run anywhere, resume it until it is done, and count its payments: python bench/kills.py [--seeds N] [--first N].

Writes bench/results/kills.json. The programs are those of tests/replay/test_kills.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "replay")]

import killing  # noqa: E402
from scripted_server import ScriptedServer  # noqa: E402

VARIANTS = ("sequential", "threads", "idempotent")
RESULTS = HERE / "results" / "kills.json"


def main() -> int:
    """Tell as many stories as asked; 1 when one of them went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=210)
    parser.add_argument("--first", type=int, default=1000)
    given = parser.parse_args()
    stories: list[killing.Story] = []
    with tempfile.TemporaryDirectory() as folder, ScriptedServer() as server:
        server._http.handle_error = lambda *_: None  # who asked may be gone
        calls = {one: killing.calls_of(Path(folder, one), one, server.url) for one in VARIANTS}
        for seed in range(given.first, given.first + given.seeds):
            variant = VARIANTS[seed % len(VARIANTS)]
            one = killing.story(Path(folder, str(seed)), seed, variant, calls[variant], server.url)
            stories.append(one)
            print(
                f"{len(stories)}/{given.seeds} {one.variant} {one.kill} {one.fired} {one.errors}",
                file=sys.stderr,
            )
            RESULTS.write_text(json.dumps(_report(stories), indent=1) + "\n")
    return any(one.errors for one in stories)


def _report(stories: list[killing.Story]) -> dict[str, object]:
    return {
        "kill_points": sum(one.kills for one in stories),
        "runs": len(stories),
        "resumes": sum(one.resumes for one in stories),
        "completed": sum(one.status == "completed" for one in stories),
        "asked_in_doubt": sum(len(one.doubts) for one in stories),
        "payments_fired_twice": sum(
            times > 1 for one in stories for what, times in one.fired.items() if what.startswith("pay ")
        ),
        "idempotent_calls_made_again": sum(
            times - 1 for one in stories for what, times in one.fired.items() if what.startswith("refund ")
        ),
        "errors": [killing.as_json(one) for one in stories if one.errors],
        "stories": [
            [one.seed, one.variant, one.kill, one.kills, one.resumes, len(one.doubts), one.status]
            for one in stories
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
