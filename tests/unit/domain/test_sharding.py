"""Rendezvous hashing: each stream in exactly one share, and few that move when the count changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.config.settings import read_settings
from job.domain.errors import UsageError
from job.domain.scope import Shard
from job.domain.selection import in_share

names = st.text(min_size=1, max_size=60)


def share(namespace: str, stream: str, count: int) -> list[int]:
    return [index for index in range(count) if in_share(namespace, stream, Shard(index, count))]


@given(names, names, st.integers(1, 40))
def test_each_stream_is_in_exactly_one_share(namespace: str, stream: str, count: int) -> None:
    assert len(share(namespace, stream, count)) == 1


@given(names, names)
def test_without_shards_every_stream_is_taken(namespace: str, stream: str) -> None:
    assert in_share(namespace, stream, None)
    assert in_share(namespace, stream, Shard(0, 1))


@given(names, names, st.integers(1, 30))
def test_one_share_more_moves_streams_only_to_it(namespace: str, stream: str, count: int) -> None:
    (before,), (after,) = share(namespace, stream, count), share(namespace, stream, count + 1)
    assert after in (before, count)


def test_shares_are_about_equal_and_about_one_in_n_moves() -> None:
    of_four = [share("packit-prod", f"packit-{number}", 4)[0] for number in range(2000)]
    of_five = [share("packit-prod", f"packit-{number}", 5)[0] for number in range(2000)]
    assert all(400 < of_four.count(index) < 600 for index in range(4))
    assert 300 < sum(one != other for one, other in zip(of_four, of_five, strict=True)) < 500


def test_the_share_of_a_stream_is_the_same_for_ever() -> None:
    """Other hashes would move every stream between the pods of two versions."""
    assert [share("packit-prod", name, 4)[0] for name in ("service", "worker", "dashboard", "tests")] == [
        share("packit-prod", name, 4)[0] for name in ("service", "worker", "dashboard", "tests")
    ]


def test_the_namespace_counts() -> None:
    assert {share(f"ns-{number}", "worker", 4)[0] for number in range(50)} == {0, 1, 2, 3}


# What a pod is told


def test_an_indexed_job_tells_the_share() -> None:
    environment = {"SHARDS": "4", "JOB_COMPLETION_INDEX": "2"}
    assert read_settings({}, (), environment).wanted.shard == Shard(2, 4)


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"JOB_COMPLETION_INDEX": "0"}, "JOB_COMPLETION_INDEX: "),
        ({"SHARDS": "4"}, "SHARDS: "),
        ({"SHARDS": "4", "JOB_COMPLETION_INDEX": "4"}, "SHARDS: "),
        ({"SHARDS": "0", "JOB_COMPLETION_INDEX": "0"}, "SHARDS: "),
    ],
)
def test_half_a_share_is_an_error(environment: dict[str, str], name: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_settings({}, (), environment)
    assert any(error.startswith(name) for error in caught.value.errors), caught.value.errors
