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
    with ModelServer() as server:
        yield server


@pytest.fixture
def store() -> Path:
    return Path(os.environ["SPANREEL_STORE"])


@pytest.fixture(autouse=True)
def switched_off() -> Iterator[None]:
    yield
    spanreel.uninstrument()
