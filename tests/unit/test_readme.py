"""The README names what there is: a setting, reason, status or metric that it does not tell of is not documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from job.metrics import FAMILIES
from job.model import Reason, Skip
from job.options import SETTINGS

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_documented(setting: object) -> None:
    name, flag = getattr(setting, "name", ""), getattr(setting, "flag", None)
    assert f"`{name}`" in README
    assert flag is None or f"`{flag}`" in README


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_metric_is_documented_with_its_labels_and_help(family: object) -> None:
    name, labels, told = (getattr(family, each) for each in ("name", "labels", "help"))
    assert f"| `{name}` | {', '.join(labels)} | {told} |" in README


@pytest.mark.parametrize("reason", [*Reason, *(skip for skip in Skip if skip is not Skip.WAVE)])
def test_every_reason_is_documented(reason: str) -> None:
    assert f"| `{reason}` |" in README


def test_nothing_is_left_to_be_filled_in() -> None:
    assert "<!--" not in README
