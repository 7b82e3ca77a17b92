"""Playbooks compiled in made-up worlds, by the thousand: how often exactly right, nothing, or wrong.

usage: python bench/playbook_worlds.py [FIRST] [COUNT]

Each number is a world (see `tests/playbooks/worlds.py`): a procedure, one to four runs of it to compile from, and one
that the compiler never sees. It prints what came of them by number of runs, and the numbers of those that went wrong;
it ends with 1 if there is one.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "playbooks"))

from worlds import outcome


def main(first: int = 0, count: int = 1000) -> int:
    """Print the figures of some worlds."""
    tally: dict[int, Counter[str]] = defaultdict(Counter)
    wrong: list[int] = []
    for seed in range(first, first + count):
        found = outcome(Random(seed))
        tally[found.runs][found.how] += 1
        if found.how == "wrong":
            wrong.append(seed)
            print(f"{seed}: {found.wrong}")
    for runs, hows in sorted(tally.items()):
        told = ", ".join(f"{how} {number}" for how, number in hows.most_common())
        print(f"from {runs} runs: {told}")
    print(f"wrong: {len(wrong)} of {count}: {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
