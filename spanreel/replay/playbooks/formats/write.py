"""A playbook as the text of its file: YAML in blocks, keys in the order of `Body`, where a part came from at its end.

Quiet. What it writes is read back as the same body.
"""

from __future__ import annotations

import re
from typing import Any, Final

from spanreel.replay.playbooks.body import FORMAT, Body

WIDTH: Final = 110
_BREAKS = re.compile("[\x85\u2028\u2029\ufeff]")  # outside of double quotes they end a line
_SHORT: Final = 72


def to_yaml(body: Body) -> str:
    """The YAML of a body."""
    import yaml

    document = {
        "spanreel": FORMAT,
        **{key: value for key, value in body.document().items() if key != "spanreel"},
    }
    return yaml.dump(
        document,
        Dumper=_dumper(),
        sort_keys=False,
        allow_unicode=True,
        width=WIDTH,
        default_flow_style=False,
    )


def _dumper() -> Any:
    import yaml

    from spanreel.replay.playbooks.formats.lines import means_text

    class Dumper(yaml.SafeDumper):
        """Without anchors; short lists and objects of constants on one line."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

    def text(dumper: Any, value: str) -> Any:
        if _BREAKS.search(value) or not means_text(value):
            style = '"'
        else:
            style = "|" if "\n" in value.strip("\n") else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    def flow(value: Any) -> bool:
        return (
            bool(value)
            and all(not isinstance(one, (dict, list)) for one in value)
            and len(repr(value)) <= _SHORT
        )

    def a_list(dumper: Any, value: list[Any]) -> Any:
        return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=flow(value))

    Dumper.add_representer(str, text)
    Dumper.add_representer(list, a_list)
    return Dumper
