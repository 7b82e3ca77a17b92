"""A recording names the function to call again; it cannot name just anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanreel.exceptions import SpanreelError
from spanreel.instrument import codec
from spanreel.replay import entry


@pytest.mark.parametrize("function", ["subprocess:getoutput", "os:system", "os.path:exists", "builtins:eval"])
def test_a_function_of_the_standard_library_is_no_agent(function: str, tmp_path: Path) -> None:
    """A recording from elsewhere that says so runs nothing."""
    mark = tmp_path / "mark"
    inputs = codec.encode(
        {"cmd": f"touch {mark}", "command": f"touch {mark}", "source": f"open({str(mark)!r}, 'w')"}
    )
    with pytest.raises(SpanreelError, match="is no agent"):
        entry.call(function, None, inputs)
    assert not mark.exists()
