"""No planted secret survives, nothing else is touched, and JSON stays JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.exceptions import BadInput
from spanreel.wire.redaction import DEFAULT_PATTERNS, Redactor, clean_url, request_headers, response_headers
from spanreel.wire.secrets import OVERLAP

CORPUS = json.loads((Path(__file__).parents[1] / "recordings" / "secrets.json").read_text("utf-8"))
REDACTOR = Redactor()

# how a secret may lie in what is recorded
EMBEDDINGS = {
    "bare": lambda text: text,
    "prose": lambda text: f"Then I ran it with\n{text}\nand it worked, 3 of 3.",
    "json": lambda text: json.dumps({"messages": [{"role": "user", "content": f"see:\n{text}\nok"}], "n": 1}),
    "json at the start": lambda text: json.dumps([text, {"next": "value"}]),
    "json ascii tab": lambda text: json.dumps({"output": f"a\t{text}\tb"}, ensure_ascii=True, indent=2),
    "json in json": lambda text: json.dumps(
        {"arguments": json.dumps({"command": f"echo\n{text}\n", "note": "x"})}
    ),
    "json in json in json": lambda text: json.dumps(
        {"a": json.dumps({"b": json.dumps({"c": f"\n{text}\n"})})}
    ),
    "event stream": lambda text: f"event: x\ndata: {json.dumps({'delta': text})}\n\ndata: [DONE]\n\n",
}


def planted(entry: dict[str, Any]) -> tuple[str, str]:
    """The text around a secret, and what must not survive of it."""
    secret = "".join(entry["parts"])
    return entry.get("before", "") + secret + entry.get("after", ""), secret


def remains(secret: str, clean: str) -> list[str]:
    """Pieces of the secret that are still there, whatever became of its line ends and escapes."""
    pieces = [secret, *re.split(r"\s+|\\n|\\\\n", secret)]
    return [piece for piece in pieces if len(piece) >= 8 and "PRIVATE KEY" not in piece and piece in clean]


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("entry", CORPUS, ids=[entry["kind"] for entry in CORPUS])
def test_no_planted_secret_survives(entry, embedding):
    """Whatever it is embedded in, no secret is left, the body's JSON is still JSON, and a second pass finds nothing."""
    text, secret = planted(entry)
    body = EMBEDDINGS[embedding](text)
    clean, count = REDACTOR.body(body.encode())
    assert count >= 1
    assert not remains(secret, clean.decode())
    assert "[redacted:" in clean.decode()
    if embedding.startswith("json"):
        value = json.loads(clean)
        assert type(value) is type(json.loads(body))
    assert REDACTOR.body(clean) == (clean, 0)


@pytest.mark.parametrize("entry", CORPUS, ids=[entry["kind"] for entry in CORPUS])
def test_values(entry):
    """A secret in an attribute is blanked wherever it is: text, bytes, list or object."""
    text, secret = planted(entry)
    value = {"a": [text, {"b": text.encode()}], "plain": 7, "none": None}
    clean, count = REDACTOR.value(value)
    assert count >= 2
    assert not remains(secret, str(clean))
    assert clean["plain"] == 7


@pytest.mark.parametrize("cut", [1, 5, 40])
@pytest.mark.parametrize("entry", CORPUS, ids=[entry["kind"] for entry in CORPUS])
def test_a_clean_prefix_hides_no_secret(entry, cut):
    """A secret that begins in the prefix which was clean and ends behind it is found."""
    text, secret = planted(entry)
    body = (b"x " * OVERLAP) + text.encode()
    start = len(body) - len(text.encode()) + text.index(secret) + min(cut, len(secret) - 1)
    clean, _ = REDACTOR.body(body, clean_upto=start)
    assert not remains(secret, clean.decode())


def test_ordinary_content_is_untouched(shared: Path):
    """Recorded agents' messages, tool calls and results hold no secret, and come back as the same object."""
    for name in ("tau_retail/gpt4o_tool_calling_100ep.json", "tau_retail/tools.json"):
        body = (shared / "data" / "trajectories" / name).read_bytes()
        assert REDACTOR.body(body) == (body, 0)


@pytest.mark.parametrize(
    "text",
    [
        '{"max_tokens": 100, "usage": {"prompt_tokens": 12}, "logprobs": [{"token": "Hello", "logprob": -1.0}]}',
        '{"properties": {"password": {"type": "string"}}, "required": ["password", "api_key"]}',
        "client = OpenAI(api_key=os.environ['OPENAI_API_KEY'], password=settings.password)",
        "The password: it was the one you chose. A secret: nobody knows.",
        "task-sk-learn is a package; scikit-learn-contrib-something-long too",
        "the bearer of this message; basic understanding of electromagnetism",
        "https://example.com:8443/path?x=1 and git@github.com:org/repo.git",
        '{"key": "value", "keys": ["a"], "monkey": "banana", "api_key": null, "password": ""}',
        "export API_KEY=$OPENAI_API_KEY; TOKEN=${GITHUB_TOKEN}; password=<your password>",
    ],
)
def test_words_that_only_sound_secret_stay(text):
    """Names of secrets, references to them and ordinary words are content, and stay."""
    assert REDACTOR.text(text) == (text, 0)


def test_keys_are_found_at_any_depth_and_in_any_case():
    """A user's key blanks whatever stands under it: in objects, in lists, and in JSON inside a string."""
    redactor = Redactor(keys=["SSN"])
    body = json.dumps(
        {"a": [{"ssn": 123456789}], "arguments": json.dumps({"Ssn": {"n": "987"}, "k": 1})}
    ).encode()
    clean, count = redactor.body(body)
    assert count == 2
    value = json.loads(clean)
    assert value["a"] == [{"ssn": "[redacted:key]"}]
    assert json.loads(value["arguments"]) == {"Ssn": "[redacted:key]", "k": 1}
    assert redactor.body(b'{ "other" : 1 }') == (b'{ "other" : 1 }', 0)


def test_paths():
    """A JSON path blanks exactly what it names, in bodies, values and each event of a stream."""
    redactor = Redactor(paths=["$.messages[*].name", "$.tools[0].secret", "$['odd key'].*"])
    value = {
        "messages": [{"name": "Ann", "x": 1}, {"name": "Bo"}],
        "tools": [{"secret": 1}, {"secret": 2}],
        "odd key": {"a": 1},
    }
    clean, count = redactor.body(json.dumps(value).encode())
    assert count == 4
    assert json.loads(clean) == redactor.value(value)[0]
    assert json.loads(clean)["tools"] == [{"secret": "[redacted:key]"}, {"secret": 2}]
    stream = b'data: {"messages":[{"name":"Ann"}]}\r\n\r\ndata: [DONE]\r\n\r\n'
    assert redactor.body(stream) == (stream.replace(b"Ann", b"[redacted:key]"), 1)


def test_patterns_and_a_function():
    """A user's expressions and function come beside the default patterns; of an expression only the group `secret` goes."""
    redactor = Redactor(
        patterns=(*DEFAULT_PATTERNS, r"EMP-\d+", re.compile(r"né (?P<secret>\w+)")),
        custom=lambda text: text.replace("Ann", "A."),
    )
    assert redactor.text("EMP-12 né Öztürk, Ann") == ("[redacted:pattern] né [redacted:pattern], A.", 3)
    clean, count = redactor.body(json.dumps({"who": "Ann", "key": "EMP-3"}).encode())
    assert (json.loads(clean), count) == ({"who": "A.", "key": "[redacted:pattern]"}, 2)


@pytest.mark.parametrize(
    "rule", [{"paths": ["messages"]}, {"paths": ["$."]}, {"paths": ["$[x]"]}, {"patterns": ["("]}]
)
def test_rules_that_cannot_be_read(rule):
    """A rule that cannot be read is refused when it is given, not skipped when it matters."""
    with pytest.raises(BadInput):
        Redactor(**rule)


@given(
    st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes(body):
    """No bytes break it, and what it leaves alone is equal byte for byte."""
    for redactor in (REDACTOR, Redactor(keys=["a"], paths=["$[*]"])):
        clean, count = redactor.body(body)
        assert count or clean == body


# texts that talk about secrets, quote them, and end in the middle of it
TALK = st.lists(
    st.sampled_from(
        [
            "password",
            ": ",
            "=",
            "'",
            '"',
            "\\",
            "x9y8z7w6",
            ",",
            "}",
            " ",
            "\n",
            "Cookie: a=",
            "-----BEGIN PRIVATE KEY-----",
            "://u:",
        ]
    ),
    max_size=6,
).map("".join)
LEAF = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | TALK | st.lists(TALK).map(json.dumps)
)
JSON = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "password", "api_key"]) | TALK, inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON, st.sampled_from([None, 2]), st.booleans())
def test_json_stays_json(value, indent, ascii_only):
    """Whatever is blanked, a JSON body stays JSON of the same shape."""
    clean, _ = REDACTOR.body(
        json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    )
    assert type(json.loads(clean)) is type(value)


def test_deep_nesting_is_not_kept_unsearched():
    """What is nested too deep to be searched is dropped, not passed."""
    value: Any = "deep"
    for _ in range(5000):
        value = [value]
    clean, count = REDACTOR.value(value)
    assert count == 1
    assert "deep" not in str(clean).replace("[redacted:depth]", "")


def test_headers():
    """Request headers are kept by an allow-list; reply headers all but cookies and credentials."""
    sent = [
        ("Authorization", "Bearer x"),
        ("X-Api-Key", "y"),
        ("api-key", "z"),
        ("Cookie", "a=b"),
        ("Content-Type", "application/json"),
        ("x-goog-api-key", "q"),
    ]
    assert request_headers(sent) == [("Content-Type", "application/json")]
    came = [
        ("Set-Cookie", "a=b"),
        ("x-amz-security-token", "t"),
        ("date", "today"),
        ("x-ratelimit-remaining-tokens", "9"),
    ]
    assert response_headers(came) == [("date", "today"), ("x-ratelimit-remaining-tokens", "9")]


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://user:pass@host/v1/x?key=abc&api-version=2#f", "https://host/v1/x?api-version=2"),
        ("https://host/m:generate?alt=sse&key=AIzaX", "https://host/m:generate?alt=sse"),
        (
            "https://h/p?X-Amz-Signature=1&X-Amz-Credential=2&x-amz-security-token=3&sig=4&access_token=5&a=b",
            "https://h/p?a=b",
        ),
        ("/relative?client_secret=1", "/relative"),
        ("https://[::1]:80/x?keyword=a", "https://[::1]:80/x?keyword=a"),
        ("", ""),
    ],
)
def test_urls(url, clean):
    """A URL loses user name, password, fragment, and parameters that carry credentials."""
    assert clean_url(url) == clean


@given(st.text(max_size=80))
def test_any_url(url):
    """No text breaks the cleaning of URLs."""
    assert isinstance(clean_url(url), str)


@pytest.mark.parametrize(
    "word",
    [
        "eyJ-",
        "sk-",
        "cookie:",
        "password=",
        '"password":',
        '\\"password\\":\\"',
        "://a:",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
@pytest.mark.timeout(20)
def test_hostile_repetition_ends(word):
    """The start of a secret over and over costs no more than its length allows."""
    body = (word * 60_000)[:60_000].encode()
    assert len(REDACTOR.body(body)[0]) > 0
