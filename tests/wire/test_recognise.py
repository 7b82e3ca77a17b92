"""A request is recognised by its path and a probe of its bytes; the host names the provider."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.wire.recognise import DIALECTS, by_name, path_of, provider_of, recognise, request_model

CHAT = b'{"model":"m","messages":[]}'
CONTENTS = b'{"contents":[]}'
MESSAGES = b'{"model":"m","max_tokens":1,"messages":[]}'


@pytest.mark.parametrize(
    ("method", "url", "body", "name"),
    [
        ("POST", "https://api.openai.com/v1/chat/completions", CHAT, "openai.chat"),
        ("post", "http://127.0.0.1:8000/chat/completions?x=1", CHAT, "openai.chat"),
        (
            "POST",
            "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
            CHAT,
            "openai.chat",
        ),
        ("GET", "https://api.openai.com/v1/chat/completions", b"", None),
        ("POST", "https://api.openai.com/v1/responses", b'{"input":"x"}', "openai.responses"),
        ("POST", "https://api.openai.com/v1/responses/resp_1/cancel", b"", None),
        ("POST", "https://forms.example/v1/responses", b'{"answers":[]}', None),
        ("POST", "https://api.openai.com/v1/embeddings", b'{"input":"x"}', "openai.embeddings"),
        ("POST", "http://localhost:11434/api/embeddings", b'{"prompt":"x","input":1}', None),
        ("POST", "https://api.anthropic.com/v1/messages?beta=true", MESSAGES, "anthropic.messages"),
        ("POST", "https://proxy/anthropic/v1/messages", MESSAGES, "anthropic.messages"),
        ("POST", "https://api.anthropic.com/v1/messages/count_tokens", MESSAGES, None),
        ("POST", "https://api.openai.com/v1/threads/t/messages", b'{"role":"user"}', None),
        (
            "POST",
            "https://h/v1/projects/p/locations/l/publishers/anthropic/models/c@1:streamRawPredict",
            b"{}",
            "anthropic.messages",
        ),
        ("POST", "https://h/v1beta/models/gemini-2.5-pro:generateContent", CONTENTS, "gemini"),
        ("POST", "https://h/v1beta/models/g:streamGenerateContent?alt=sse", CONTENTS, "gemini"),
        (
            "POST",
            "https://h/v1/projects/p/locations/l/publishers/google/models/g:generateContent",
            CONTENTS,
            "gemini",
        ),
        ("POST", "https://h/v1beta/models/g:countTokens", CONTENTS, None),
        ("POST", "https://h/v1beta/models/g:generateContent", b"{}", None),
        ("POST", "https://api.openai.com/v1/traces/ingest", CHAT, None),
        ("POST", "", b"", None),
    ],
)
def test_recognise(method, url, body, name):
    """Method, path and probe decide; host, query and letter case of the method do not."""
    dialect = recognise(method, url, body)
    assert (dialect.name if dialect else None) == name


def test_names_are_known_again():
    """What a span says its dialect was leads back to it."""
    assert all(by_name(dialect.name) is dialect for dialect in DIALECTS)
    assert by_name("telepathy") is None


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.openai.com", "openai"),
        ("fake.openai.azure.com:443", "azure.ai.openai"),
        ("API.GROQ.COM", "groq"),
        ("api.mistral.ai", "mistral_ai"),
        ("api.deepseek.com", "deepseek"),
        ("api.x.ai", "x_ai"),
        ("openrouter.ai", "openrouter"),
        ("api.anthropic.com", "anthropic"),
        ("eu-west1-aiplatform.googleapis.com", "openai"),
        ("aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("127.0.0.1:8000", "openai"),
        ("notopenai.azure.com.evil", "openai"),
        ("", "openai"),
    ],
)
def test_provider_of(host, provider):
    """A provider's host and all below it name the provider; any other leaves the dialect's."""
    assert provider_of(DIALECTS[0], host) == provider


@pytest.mark.parametrize(
    ("body", "url", "model"),
    [
        (b'{"messages":[{"content":"\\"model\\": \\"no\\""}],"model" : "gpt-5"}', "", "gpt-5"),
        (
            b'{"messages":[{"content":[{"type":"tool_use","input":{"model":"T"}}]}],"model":"claude"}',
            "",
            "claude",
        ),
        (b'{"tools":[{"model":"inner"}]}', "", "inner"),
        (b'{"messages":[]}', "https://h/openai/deployments/gpt-4o/chat/completions", "gpt-4o"),
        (b'{"contents":[{"args":{"model":"T"}}]}', "https://h/v1beta/models/g-2.5:generateContent", "g-2.5"),
        (b"", "", None),
        (b'{"model":7}', "", None),
    ],
)
def test_request_model(body, url, model):
    """The model is found without a parse: the one at the top of the body, else the one in the path."""
    assert request_model(body, url) == model


@given(st.text(max_size=60), st.binary(max_size=60))
def test_anything_may_be_asked(url, body):
    """No URL and no bytes break the call path."""
    recognise("POST", url, body)
    request_model(body, url)
    assert isinstance(path_of(url), str)
