"""Tables that fit any width, and names whose tag stays."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from job.domain.model import TagName
from job.domain.natural import natural
from job.status.assess import assess
from job.status.columns import tag_columns
from job.status.model import Facts, TagFacts, TagStatus
from job.views.columns import shorten, table_of
from tests.unit.reports import NAMESPACE, failed
from tests.unit.status.test_status import NOW, current

LONG = "cluster-samples-operator-ruby-on-rails-postgresql-persistent"


def rows(*streams: str) -> list[TagStatus]:
    facts = [TagFacts(current(stream)) for stream in streams]
    return list(assess(Facts(NOW, "prod", (NAMESPACE,), facts)).tags)


def drawn(tags: list[TagStatus], width: int) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width).print(table_of(tag_columns(NOW), [(tag, "") for tag in tags], width))
    return [line.rstrip() for line in file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 250])
def test_a_table_fits_its_width_and_keeps_the_tag(width: int) -> None:
    lines = drawn(rows(LONG, "web"), width)
    assert all(cell_len(line) <= width for line in lines)
    assert lines[0].startswith("TAG")
    assert any(":prod" in line for line in lines[1:2])
    assert any(line.startswith("web:prod") for line in lines)
    assert all("current" in line for line in lines[1:])


def test_a_wide_table_cuts_no_name_of_sixty_characters() -> None:
    name = f"{'a' * 55}:prod"
    tag = replace(rows("web")[0], name=TagName(NAMESPACE, "a" * 55, "prod"))
    assert any(line.startswith(name) for line in drawn([tag], 200))


def test_a_failure_explains_itself_on_more_lines() -> None:
    facts = Facts(NOW, "prod", (NAMESPACE,), [TagFacts(failed("web"))])
    (tag,) = assess(facts).tags
    assert any("not_found" in line for line in drawn([tag], 80))


@given(st.text(min_size=1, max_size=80), st.integers(4, 60))
def test_a_short_name_has_its_end(name: str, width: int) -> None:
    text = shorten(f"{name}:prod", width)
    assert cell_len(text) <= max(width, 2)
    if width >= 12:
        assert text.endswith(":prod")


def test_names_that_differ_in_their_middle_stay_apart() -> None:
    names = [f"cluster-samples-operator-{i}-persistent:prod" for i in ("mysql", "mongodb")]
    assert len({shorten(name, 30) for name in names}) == 2


def test_numbers_sort_as_numbers() -> None:
    assert sorted(["web-10:prod", "web-9:prod", "api:prod"], key=natural) == ["api:prod", "web-9:prod", "web-10:prod"]
