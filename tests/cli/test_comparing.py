"""diff: what it prints as text, JSON, Markdown and a page; what it takes, and how it exits."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest
from commands import Cli, Fill, run_spans

from spanreel.collector.files import write_jsonl

ANSWERS = {"answer": "Your **order** | `1042` has left, and it is on its way to you now."}


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_the_text_says_the_cause_first_and_fits(cli: Cli, fill: Fill, columns: int) -> None:
    """No line is wider than the terminal or ends in spaces; the cause comes before the steps."""
    fill([*run_spans(1), *run_spans(2, tool="get_user_and_everything_that_is_known_about_the_user")])
    done = cli("diff", "last~1", "last", columns=columns)
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= columns
    told = " ".join(done.out.split())
    assert "first difference step 1: the model answered with another tool call (get_order → get_user" in told
    assert done.out.index("first difference") < done.out.index("steps\n") < done.out.index("tool calls")


def test_runs_files_and_runs_in_files_are_compared(cli: Cli, fill: Fill, tmp_path: Path) -> None:
    """A name, a file, `file#run`, in any combination; the same run from both is identical, with exit 0."""
    fill(run_spans(1))
    write_jsonl([*run_spans(1), *run_spans(2, answer="Other.")], tmp_path / "two.otlp.jsonl")
    for a, b, code in (
        ("last", "two.otlp.jsonl#00000001", 0),
        ("two.otlp.jsonl#00000002", "two.otlp.jsonl", 0),
        ("two.otlp.jsonl#last~1", "two.otlp.jsonl#last", 4),
    ):
        assert cli("diff", a, b, "--exit-code").code == code, (a, b)
        assert cli("diff", a, b).code == 0
        printed = cli("diff", a, b, "--json").json
        assert (printed["identical"], printed["first_divergence"] is None) == (code == 0, code == 0)
        jsonschema.validate(printed, cli("schema", "diff").json)


@pytest.mark.parametrize(
    ("ignore", "code"),
    [([], 4), (["content"], 0), (["notes"], 4), (["$.nothing"], 4), (["get_order", "content"], 0)],
)
def test_what_is_ignored_does_not_count(cli: Cli, fill: Fill, ignore: list[str], code: int) -> None:
    """Two answers in other words are the same run to whom words do not matter."""
    fill([*run_spans(1), *run_spans(2, **ANSWERS)])
    assert cli("diff", "last~1", "last", "--exit-code", *(f"--ignore={name}" for name in ignore)).code == code


def test_a_path_that_is_none_is_one_line(cli: Cli, fill: Fill) -> None:
    """As is a page that cannot be written, and two forms at once."""
    fill(run_spans(1))
    for words, said in (
        (["--ignore", "$..x"], "is not a JSON path"),
        (["--html", "no/where/x.html"], "cannot write"),
        (["--json", "--markdown"], "--json and --markdown"),
    ):
        done = cli("diff", "last", "last", *words)
        assert done.code != 0
        assert said in done.err
        assert "Traceback" not in done.err


def test_markdown_stays_what_it_is(cli: Cli, fill: Fill) -> None:
    """Pipes and backticks that a model wrote neither end a cell nor the code they stand in."""
    evil = "a | b ``` c </details> @someone ![x](http://evil.example/p.png) `d`"
    fill([*run_spans(1), *run_spans(2, answer=evil, tool="get|`_order")])
    done = cli("diff", "last~1", "last", "--markdown")
    fence, tables = "", 0
    for line in done.out.splitlines():
        if fence:
            fence = "" if line == fence else fence
            continue
        if opened := re.match("`{3,}", line):
            fence = opened[0]
            continue
        tables += line.startswith("|")
        outside = re.sub(r"(`+)(?:[^`]|(?!\1)`)+?\1(?!`)", "", line)
        assert "`" not in outside, line
        assert not re.search(r"@someone|evil\.example", outside), line
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 5, line
    assert not fence
    assert tables > 5
    assert done.out.count("<details>") == done.out.count("\n</details>")


class Page(HTMLParser):
    """What a page holds: its tags, and everything it could ask a network for."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.asked: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag, and what it refers to."""
        self.tags.append(tag)
        self.asked += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "srcset", "action") or name.startswith("on")]  # fmt: skip

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.words += data


def test_the_page_stands_alone(cli: Cli, fill: Fill, tmp_path: Path) -> None:
    """No script, no reference, nothing of what was said becomes mark-up; light and dark; words are marked."""
    evil = '<script>alert(1)</script><img src="http://evil.example/x.png" onerror=alert(1)> All done.'
    fill([*run_spans(1), *run_spans(2, answer=evil)])
    done = cli("diff", "last~1", "last", "--html", "page.html")
    assert (done.out, done.err) == ("", "wrote page.html\n")
    source = (tmp_path / "page.html").read_text("utf-8")
    page = Page()
    page.feed(source)
    assert page.asked == []
    assert not {"script", "img", "link", "iframe"} & set(page.tags)
    assert {"ins", "details"} <= set(page.tags)
    assert evil in page.words.replace("\n", " ")
    assert "prefers-color-scheme:dark" in source
    assert "default-src 'none'" in source
    assert "@import" not in source
    assert "url(" not in source


def test_json_page_and_exit_code_go_together(cli: Cli, fill: Fill) -> None:
    """JSON on stdout also when a page is written; the exit code still says that the runs differ."""
    fill([*run_spans(1), *run_spans(2, **ANSWERS)])
    done = cli("diff", "last~1", "last", "--json", "--html", "p.html", "--exit-code")
    assert done.code == 4
    printed = json.loads(done.out)
    assert printed["cost_by_model"][0]["model"] == "gpt-5-mini"
    assert printed["first_divergence"]["differs"] == "answer"
