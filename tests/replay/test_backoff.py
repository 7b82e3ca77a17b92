"""SDKs wait between attempts, but not between recorded ones. A canary for the private method this rests on."""

from __future__ import annotations

import anthropic
import openai
import pytest

from spanreel.replay import backoff


@pytest.mark.parametrize("client", [openai.OpenAI(api_key="x"), anthropic.Anthropic(api_key="x")])
def test_no_wait_within_and_the_own_reckoning_after(client):
    """The SDK's method is there, and is its own again afterwards."""
    from types import SimpleNamespace

    options = SimpleNamespace(get_max_retries=lambda default: 2)
    with backoff.no_backoff():
        assert getattr(client, backoff.WAITING)(2, options, None) == 0.0
    assert getattr(client, backoff.WAITING)(2, options, None) > 0.1
