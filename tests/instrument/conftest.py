"""A model server and recording that is switched off again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_server import ModelServer

import spanreel


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A model server of the test's own."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def store() -> Path:
    """The store of the test."""
    return Path(os.environ["SPANREEL_STORE"])


@pytest.fixture(autouse=True)
def switched_off() -> Iterator[None]:
    """No test leaves the recording on."""
    yield
    spanreel.uninstrument()
