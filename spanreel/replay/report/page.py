"""What all HTML of ours shares: style for light and dark, escaping, a fragment for notebooks, a page that stands alone.

Quiet; no scripts, and nothing is asked of any network: a page forbids itself both.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

from spanreel.replay.report.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

_DARK = (
    "--bad:#ff7b72;--good:#56d364;--doubt:#e3b341;--line:#8885;--wash:#8882;--ins:#2ea04359;--del:#f8514959"
)
_STYLE = (
    ".spanreel{--bad:#b3261e;--good:#1a7f37;--doubt:#8a5a00;--line:#8884;--wash:#8881;--ins:#2da44e40;--del:#e5534b40;"
    "font:14px/1.5 system-ui,sans-serif;max-width:76em}"
    f"@media(prefers-color-scheme:dark){{.spanreel{{{_DARK}}}}}"
    ".spanreel table{border-collapse:collapse;width:100%;margin:.3em 0}"
    ".spanreel td,.spanreel th{text-align:left;padding:3px 14px 3px 0;vertical-align:top;border-top:1px solid var(--line)}"
    ".spanreel tr:first-child>*{border-top:0}.spanreel th{font-weight:600}.spanreel table.figures{width:auto}"
    ".spanreel .n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}"
    ".spanreel .dim,.spanreel td.n{opacity:.75}"
    ".spanreel h3{font-size:1.25em;margin:.6em 0 .4em;overflow-wrap:anywhere}.spanreel h4{margin:1.4em 0 .3em}"
    ".spanreel pre,.spanreel code{font:12.5px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}"
    ".spanreel pre{white-space:pre-wrap;margin:2px 0 8px;padding:6px 9px;background:var(--wash);border-radius:5px}"
    ".spanreel summary{cursor:pointer;overflow-wrap:anywhere}.spanreel .at{font-weight:600;margin-top:.4em}"
    ".spanreel ins{background:var(--ins);text-decoration:none;border-radius:3px}"
    ".spanreel del{background:var(--del);text-decoration:line-through;text-decoration-thickness:1px;border-radius:3px}"
    ".spanreel .cause{border-left:4px solid var(--doubt);background:var(--wash);padding:.5em .9em;margin:.8em 0;"
    "overflow-wrap:anywhere}.spanreel .cause.same{border-color:var(--good)}"
    ".spanreel .bad,.spanreel .removed{color:var(--bad)}.spanreel .added{color:var(--good)}"
    ".spanreel .changed .mark,.spanreel .moved .mark{color:var(--doubt)}.spanreel .mark{font-weight:700;width:1.2em}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def fragment(body: str) -> str:
    """For a notebook cell, which has a page around it."""
    return f'<style>{_STYLE}</style><div class="spanreel">{body}</div>'


def document(title: str, body: str) -> str:
    """A whole page that stands alone."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>{text(title)}</title><style>{_STYLE}"
        "body{margin:0 auto;padding:1em 1.5em 4em;max-width:80em}</style></head>"
        f'<body><main class="spanreel">{body}</main></body></html>\n'
    )


def text(value: str) -> str:
    """Text for a page: cleaned and escaped, also within an attribute."""
    return escape(clean(value), quote=True)


def pre(value: Any) -> str:
    """A value in a block of its own: text as it reads, anything else as JSON."""
    return f"<pre>{text(value if isinstance(value, str) else as_json(value))}</pre>"


def as_json(value: Any) -> str:
    """A value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def table(facts: Iterable[tuple[str, str]]) -> str:
    """Names and values, a row each."""
    rows = "".join(f"<tr><th>{text(name)}</th><td>{text(value)}</td></tr>" for name, value in facts)
    return f'<table class="figures">{rows}</table>'
