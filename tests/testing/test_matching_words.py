"""What a test says about comparing and leaving out, in VCR.py's words."""

from __future__ import annotations

pytest_plugins = ["pytester"]

CONFTEST = """
import pytest

@pytest.fixture(scope="module")
def spanreel_config():
    return {"filter_headers": [("user-agent", "any")], "filter_query_parameters": ["trace"]}
"""
TESTS = """
import os, uuid
import pytest
from dataclasses import replace
from agent import ask, client, lookup

def create(text, **more):
    return client().chat.completions.create(model="gpt-4.1-mini", messages=[{"role": "user", "content": text}], **more)

def said(request):
    return request.json["messages"][0]["content"][:2]

@pytest.mark.spanreel(filter_post_data_parameters=["user", ("metadata.session", "any")])
def test_body():
    create("hi", user=str(uuid.uuid4()), metadata={"session": str(uuid.uuid4()), "kind": "a"})

@pytest.mark.spanreel(match_on=["method", "path"])
def test_match_on():
    create(str(uuid.uuid4()))

@pytest.mark.spanreel(matcher=lambda recorded, asked: said(asked) == said(recorded))
def test_matcher(spanreel_recording):
    create("ab" + str(uuid.uuid4()))
    if spanreel_recording.mode == "none":
        assert [one.tier for one in spanreel_recording.verdict.drift] == ["matcher"]

@pytest.mark.spanreel(before_record_request=lambda request: replace(request, body=request.body.replace(b"secret", b"hidden")),
                      before_record_response=lambda response: replace(response, body=response.body.replace(b"Hello", b"Adieu")))
def test_before(spanreel_recording):
    said = create("a secret", extra_query={"trace": str(uuid.uuid4())}).choices[0].message.content
    assert said == ("Adieu wörld" if spanreel_recording.mode == "none" else "Hello wörld")

@pytest.mark.spanreel(ignore_localhost=True)
def test_ignored():
    create(str(uuid.uuid4()))
    lookup("W1")
"""


def test_what_is_left_out_and_how_calls_are_compared(project) -> None:
    """Filters hold before disk and before comparing; match_on and a matcher serve what the tiers would not; ignored calls go out."""
    project.test(CONFTEST, "conftest.py")
    project.test(TESTS)
    project.run("--spanreel-record=once").assert_outcomes(passed=5)
    assert (len(project.server.served), project.fired) == (5, 1)
    kept = {
        file.rpartition("/")[2].split(".")[0]: (project.path / file).read_text("utf-8")
        for file in project.recordings()
    }
    assert len(kept) == 5
    assert '\\"user\\":' not in kept["test_body"]
    assert '\\"session\\":\\"any\\"' in kept["test_body"]
    assert "secret" not in kept["test_before"]
    assert "trace=" not in kept["test_before"]
    assert all("OpenAI/Python" not in text for text in kept.values())
    assert "openai.chat" not in kept["test_ignored"]
    project.run("--spanreel-record=none").assert_outcomes(passed=5)
    assert (len(project.server.served), project.fired) == (6, 1)


def test_what_the_words_do_not_accept(project) -> None:
    """match_on and a matcher that say no make a miss, which names them."""
    project.test(TESTS)
    project.run("-k", "match")
    project.test(TESTS.replace('["method", "path"]', '["method", "body"]').replace('"ab"', '"xy"'))
    result = project.run("-k", "match", "--spanreel-record=none")
    result.assert_outcomes(failed=2)
    assert "tier matcher method, body: it accepts no recorded call that is left" in result.stdout.str()
    assert "tier matcher: it accepts no recorded call that is left" in result.stdout.str()
