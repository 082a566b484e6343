"""The history of a tag fits every terminal, and what it says of an image is never cut."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from job.commands.history_view import print_histories
from job.domain.history import Entry, TagHistory, tenures_of
from job.domain.model import Image, Item, TagName
from job.views import tables

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def history() -> TagHistory:
    """Rolled back from a bad image to the one before it."""
    old, bad = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
    items = [Item(digest, NOW - timedelta(hours=hours)) for hours, digest in ((1, old), (2, bad), (30, old))]
    entries = tuple(
        Entry(
            tenure,
            Image(tenure.item.digest, NOW - timedelta(days=120), tenure.item.imported_at, "0f" * 20, "1.2.3-rc4"),
            tenure.is_current,
            True,
        )
        for tenure in tenures_of(items)
    )
    return TagHistory(TagName("ns", "web", "prod"), "imported from q.io/web:prod", None, False, None, entries, True)


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 250])
def test_notes_and_digests_are_whole_at_any_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "width_of", lambda file: columns)
    file = io.StringIO()
    print_histories([history()], NOW, file)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= columns
    _, head, current, bad, *_ = lines
    assert head.split()[0] == "DIGEST" and head.split()[-1] == "NOTE"
    assert current.startswith("a" * 12) and current.rstrip().endswith("current, held")
    assert bad.startswith("b" * 12) and bad.rstrip().endswith("bad: rolled back")
    assert ("IMPORTED" in head) is (columns > 40)
