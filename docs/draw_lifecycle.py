"""Draw the lifecycle of playbooks into docs/playbooks-lifecycle.md, from the table that decides: `lifecycle.TRANSITIONS`.

python docs/draw_lifecycle.py
"""  # noqa: INP001 - a script, in no package

from __future__ import annotations

from pathlib import Path

from spanreel.replay.playbooks.governance.lifecycle import DISPATCHABLE, STATUSES, TRANSITIONS

PAGE = Path(__file__).parent / "playbooks-lifecycle.md"
BEGIN, END = "<!-- drawn by draw_lifecycle.py from the table -->", "<!-- end of what is drawn -->"
MEANS = {
    "candidate": "compiled, imported or written; nothing is known of it yet",
    "shadow": "walked beside the agent, without any effect",
    "active": "what dispatch picks",
    "needs_repair": "was active, and its executions fail; it keeps its name, and dispatch passes it over",
    "review": "a repair of another body; waits for somebody's yes or no",
    "disabled": "taken out of use until it is enabled",
    "retired": "replaced, or put away; its runs still name it",
    "rejected": "a repair that was turned down; final",
}
WHO = {
    "gates": "anyone, if its gates pass; else by force, with a reason",
    "reviewer": "a reviewer, once",
    "evidence": "evidence, by itself",
    "anyone": "anyone",
    "library": "follows from another promotion",
}


def drawn() -> str:
    """The picture and the tables."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for one in TRANSITIONS:
        arrows.setdefault((one.before or "[*]", one.after), []).append(one.event)
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {before} --> {after}: {', '.join(events)}" for (before, after), events in arrows.items()]
    lines += ["```", "", "| status | what it is | dispatched |", "|---|---|---|"]
    lines += [f"| {one} | {MEANS[one]} | {'yes' if one in DISPATCHABLE else 'no'} |" for one in STATUSES]
    lines += ["", "| from | event | to | who |", "|---|---|---|---|"]
    lines += [f"| {one.before or '–'} | {one.event} | {one.after} | {WHO[one.who]} |" for one in TRANSITIONS]
    return "\n".join(lines)


def page(before: str) -> str:
    """The page with what is drawn put in its place."""
    head, _, rest = before.partition(BEGIN)
    return f"{head}{BEGIN}\n{drawn()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
