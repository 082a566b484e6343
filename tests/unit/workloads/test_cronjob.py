"""What is known of a CronJob of this program."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.config.settings import read_settings
from job.domain.durations import as_setting, duration
from job.workloads.cronjob import planning
from tests.unit.doctor.test_checks import with_environment


@given(st.integers(1, 86400 * 900) | st.floats(0.001, 86400 * 900).map(lambda seconds: round(seconds, 3)))
def test_a_setting_has_the_whole_duration(seconds: float) -> None:
    assert duration(as_setting(seconds)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "environment",
    [
        {"MIN_AGE": "1d4h"},
        {"MIN_AGE": "1d2h3m4s", "REHEARSE": "true"},
        {"PROVEN_IN": "packit-stg/*:stg, qa/web:v[0-9]*", "PROVEN_FOR": "36h"},
    ],
)
def test_a_plan_with_the_gates_of_the_cronjob(environment: dict[str, str]) -> None:
    job = with_environment(**environment)
    words = shlex.split(planning(job) or "")
    assert words[:4] == ["import-images", "plan", "-n", ",".join(job.namespaces)]
    given = dict(zip(words[4::2], words[5::2], strict=False))
    names = {"--min-age": "MIN_AGE", "--proven-in": "PROVEN_IN", "--proven-for": "PROVEN_FOR"}
    flags = {names[flag]: value for flag, value in given.items() if flag in names}
    flags |= {"REHEARSE": "true"} if "--rehearse" in words else {}
    assert read_settings(flags, [], {}).gates == job.settings.gates
    assert given["--deployment"] == job.deployment


@pytest.mark.parametrize("environment", [{}, {"VERIFY": "up: up", "PROMETHEUS_URL": "https://prometheus"}])
def test_without_gates_that_a_plan_asks_there_is_none(environment: dict[str, str]) -> None:
    assert planning(with_environment(**environment)) is None
