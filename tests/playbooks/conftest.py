"""A store for every test of playbooks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def store() -> Path:
    """The store that is used when none is named."""
    return Path(os.environ["SPANREEL_STORE"])
