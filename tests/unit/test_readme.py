"""The README names what there is: a setting, reason, status or metric that it does not tell of is not documented."""

from __future__ import annotations

import re

import pytest

from job.config.flags import SETTINGS, Setting
from job.domain.model import Reason, RolloutResult, Skip
from job.publish.metrics import FAMILIES
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_documented(setting: Setting) -> None:
    assert f"`{setting.name}`" in README
    assert setting.flag is None or f"`{setting.flag}`" in README


@pytest.mark.parametrize("setting", [each for each in SETTINGS if each.flag], ids=lambda setting: setting.name)
def test_every_flag_is_in_the_row_of_its_setting_with_its_default(setting: Setting) -> None:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| `{setting.name}` | ")]
    flags, default = (cell.strip() for cell in row.split(" |")[1:3])
    assert re.findall("`([^`]+)`", flags) == [flag for flag in (setting.flag, setting.short) if flag]
    if setting.default:
        assert default == f"`{setting.default}`"
    else:
        # Told in words, if at all.
        assert not re.fullmatch("`[^`]*`", default)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_metric_is_documented_with_its_labels_and_help(family: object) -> None:
    name, labels, told = (getattr(family, each) for each in ("name", "labels", "help"))
    assert f"| `{name}` | {', '.join(labels)} | {told} |" in README


@pytest.mark.parametrize("word", [*Reason, *Skip, *RolloutResult], ids=lambda word: f"{type(word).__name__}-{word}")
def test_every_reason_and_result_is_documented(word: str) -> None:
    assert f"| `{word}` |" in README


def test_nothing_is_left_to_be_filled_in() -> None:
    assert "<!--" not in README
