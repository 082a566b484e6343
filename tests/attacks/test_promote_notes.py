"""Texts of commits, labels and journals in notes: shown literally, pinging nobody, and bounded."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from job.domain.errors import UsageError
from job.journal.records import RunRecord
from job.promote.changes import Change
from job.promote.commits import Commit
from job.promote.markdown import escape
from job.promote.pager import sanitized
from job.promote.release_notes import Notes, Section, as_document, as_markdown
from job.promote.template import render

WHEN = datetime(2026, 11, 24, 2, tzinfo=UTC)
ATTACKS = (
    "<!-- gone",
    "<script>alert(1)</script>",
    "&lt;b&gt; &amp; &#64;all",
    "@everyone and @team/admins",
    "see #12, !45, GH-3, other/repo#4 and $5",
    "~~struck~~ **bold** _it_ `code` ==mark==",
    "1. a list",
    "2) a list",
    "# heading",
    "> quoted",
    "- item",
    "+ item",
    "---",
    "===",
    "[link](https://evil.example) ![image](https://evil.example/x.png)",
    "https://evil.example/issues/1 www.evil.example mail@evil.example",
    "[x]: https://evil.example",
    "| a | b |",
    "$x^2$ and [^1]",
    "\\`\\<b>",
    "```",
    "    indented",
)


def notes(text: str, web: str | None = "https://github.com/team/worker") -> Notes:
    """Notes in which everything that others write is this text."""
    commit = Commit("a" * 40, text, WHEN, text, False, text)
    change = Change(text, (text,), text, text)
    section = Section(change, (commit,), (commit,), text, notes={"#1": text})
    run = RunRecord(text, WHEN)
    return Notes(text, (text,), (run,), {text: (section,)}, (change,), {text: web})


def rendered(markdown: str) -> str:
    return str(MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown))


@pytest.mark.parametrize("text", ATTACKS)
def test_texts_are_shown_literally(text: str) -> None:
    html = rendered("x " + escape(text, starts_line=False))
    shown = re.sub(r"</?p>", "", html).replace("\u200b", "").strip()
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        shown = shown.replace(entity, character)
    assert shown == "x " + text.strip()


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("web", ["https://github.com/team/worker", "https://gitlab.com/team/worker", None])
def test_no_text_makes_structure(text: str, web: str | None) -> None:
    html = rendered(as_markdown(notes(text, web)))
    plain = rendered(as_markdown(notes("word", web)))
    tags = re.compile(r"<(/?\w+)")
    # A link to the comparison is made of hashes only; apart from it the same tags in the same order.
    assert tags.findall(html) == tags.findall(plain)
    # A mention or a reference that a site would link.
    assert not re.search(r"[@#!]\w", re.sub(r"<[^>]*>", "", html))


@given(st.text(max_size=80))
def test_any_text_is_one_line_without_tags(text: str) -> None:
    markdown = escape(text)
    assert "\n" not in markdown and not re.search(r"(?<!\\)[<>`]", markdown.replace("\\\\", ""))
    html = rendered(f"- {markdown}")
    assert set(re.findall(r"<(/?\w+)", html)) <= {"ul", "/ul", "li", "/li"}


def test_lists_are_bounded() -> None:
    commits = tuple(Commit(f"{n:040x}", f"author {n}", WHEN, f"Fix (#{n})", False) for n in range(3000))
    section = Section(Change("ns", ("worker:prod",), "a" * 40, "b" * 40), commits)
    text = as_markdown(Notes("prod", ("ns",), (RunRecord("x", WHEN),), {"worker": (section,)}, (), {"worker": None}))
    assert "- and 2,500 more" in text and "and 2,900 more" in text and "and 2970 more" in text
    assert len(text) < 80_000


def test_the_pager_gets_no_control_characters() -> None:
    assert sanitized("a\tb\nc\x1b]0;x\x07\r\u202e") == "a\tb\nc\ufffd]0;x\ufffd\ufffd\ufffd"


def test_a_template_escapes_and_runs_nothing(tmp_path: Path) -> None:
    file = tmp_path / "notes.md.j2"
    document = as_document(notes("<b> @all"))
    file.write_text("{% for r in repositories %}{{ r.name }} {{ r.name | raw }}{% endfor %}", encoding="utf-8")
    assert render(file, document) == "\\<b\\> @&#8203;all <b> @all"
    for attack in (
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ repositories.__class__ }}",
        "{{ self.__init__.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{{ range(10**9) | list }}",
        "{{ missing }}",
        "{% for %}",
        "{{ 1 / 0 }}",
        "{{ repositories.append(1) }}",
    ):
        file.write_text(attack, encoding="utf-8")
        with pytest.raises(UsageError, match=r"template: .*notes.md.j2"):
            render(file, document)
    with pytest.raises(UsageError, match="No such file"):
        render(tmp_path / "missing", document)
