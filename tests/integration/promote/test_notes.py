"""Release notes as Markdown."""

from __future__ import annotations

from datetime import UTC, datetime

from job.journal.records import RunRecord
from job.promote.release_notes import Notes, as_markdown


def test_texts_of_a_journal_are_escaped() -> None:
    run = RunRecord("\x1b]0;owned\x07<b>[x](y)", datetime(2026, 11, 24, 2, tzinfo=UTC))
    text = as_markdown(Notes("prod", ("packit-prod",), (run,), {}, (), {}))
    assert "\x1b" not in text and "\x07" not in text
    assert "<b>" not in text and "[x](y)" not in text
    assert "Run " in text and "owned" in text
