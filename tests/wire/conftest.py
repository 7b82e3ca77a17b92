"""Fixtures of the wire's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from recorded_exchanges import Exchange, cassette_exchanges

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def cassettes(shared: Path) -> list[tuple[str, Exchange]]:
    """Every recorded interaction of the shared cassettes, with the dialect that their own reader gives it."""
    return list(cassette_exchanges(shared / "data"))
