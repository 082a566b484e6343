"""Fuzzers for what `promote` parses: its configuration, git's output, and the files of a reference clone."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from job.domain.errors import UsageError
from job.domain.repositories import revision_commit, web_address
from job.domain.text import clean
from job.promote.clone import parse_remote_tip
from job.promote.commits import parse_log
from job.promote.config import Config
from job.promote.config_file import config_from
from job.promote.git import parse_version, summarize
from job.promote.monorepo import parse_gitmodules, parse_tree_entry
from job.promote.reference import parse_packed_refs
from job.promote.references import delivered, references, shorten
from job.promote.remote import parse_remote

FILE = Path("/somewhere/promote.toml")
KEYS = (
    "name",
    "url",
    "rolling",
    "stable",
    "streams",
    "after",
    "submodule",
    "clones",
    "remote",
    "monorepo",
    "repository",
)
TEXT = st.text(max_size=40) | st.sampled_from(["worker", "~nobody/x", "a:b", "--x", "https://u:p@h/x", "..", "ext::sh"])
VALUES = st.recursive(
    TEXT | st.integers() | st.booleans() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | TEXT, inner, max_size=4),
    max_leaves=12,
)


def toml(value: object) -> str:
    """A value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    # TOML has no escape of surrogates.
    return json.dumps(value).replace("\\ud", "\\u0")


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6))
@example({"repository": [{"name": "a", "url": "x"}], "clones": "~no-such-user/x"})
def test_promote_toml_is_valid_or_refused(document: dict[str, object]) -> None:
    text = "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in document.items())
    _read(text)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_as_promote_toml(text: str) -> None:
    _read(text)


def _read(text: str) -> None:
    try:
        assert isinstance(config_from(text, FILE), Config)
    except UsageError as error:
        assert error.errors and all(each.startswith(str(FILE)) for each in error.errors)
        assert not any("://u:p@" in clean(each) for each in error.errors)


def test_deep_nesting_is_refused() -> None:
    _read("a = " + "[" * 5000 + "]" * 5000)
    _read("a = " + "{a = " * 5000 + "1" + "}" * 5000)
    _read('"a' + ".a" * 50_000 + '" = 1')


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=20) | st.just("\0") | st.integers().map(str), max_size=30).map("".join))
@example("\0".join(["a" * 40, "", "Jane", "99999999999999999999999", "x", "", ""]))
@example("\0".join(["a" * 40, "", "Jane", "not a number", "x", "", ""]))
@example("\0".join(["a" * 40, "", "Jane", "1" * 5000, "x", "", ""]))
def test_any_log(text: str) -> None:
    for commit in parse_log(text):
        assert all(name.isprintable() for name in references(commit))
        assert len(shorten(commit, 98)) <= 200
    assert len(delivered(parse_log(text))) <= 30


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
@example("9" * 5000 + "." + "9" * 5000)
def test_any_output_of_git(text: str) -> None:
    parse_version(text)
    parse_tree_entry(text)
    parse_remote_tip(text)
    parse_gitmodules(text, "https://example.com/team/all")
    revision_commit(text)
    assert all(len(commit) == 40 for _, commit in parse_packed_refs(text))
    message = summarize(text)
    assert len(message) <= 500 and message.isprintable()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=100) | st.text(alphabet="ab:/@#?[]%.~-1", max_size=40).map("https://{}".format))
def test_any_address(text: str) -> None:
    try:
        remote = parse_remote(text, FILE.parent)
    except ValueError as error:
        assert text not in str(error) or len(text) < 3
        return
    assert "/" not in remote.folder_name and remote.folder_name not in (".", "..") and len(remote.folder_name) < 100
    web_address(text)
