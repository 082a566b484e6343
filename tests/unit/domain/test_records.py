"""The records of `job.domain.records` behave as those of the standard library."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from job.domain import records

MODULES = [pytest.param(dataclasses, id="standard library"), pytest.param(records, id="ours")]


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def point(module: Any) -> Any:
    @module.dataclass(frozen=True, slots=True)
    class Point:
        """A point."""

        x: int
        y: int = 2
        names: dict[str, str] = module.field(default_factory=dict, hash=False)
        secret: str = module.field(default="", repr=False)
        note: str = module.field(default="", compare=False)

        @property
        def sum(self) -> int:
            return self.x + self.y

    return Point


def test_arguments_come_by_place_by_name_and_by_default(point: Any) -> None:
    made = point(1, names={"a": "b"})
    assert (made.x, made.y, made.names, made.secret, made.note, made.sum) == (1, 2, {"a": "b"}, "", "", 3)
    assert point(1, 2, {}, "s", "n") == point(x=1, secret="s")
    assert point(1).names is not point(1).names


@pytest.mark.parametrize(
    "call",
    [
        lambda point: point(),
        lambda point: point(y=1),
        lambda point: point(1, x=1),
        lambda point: point(1, z=1),
        lambda point: point(1, 2, {}, "", "", 6),
    ],
)
def test_wrong_arguments_are_a_type_error(point: Any, call: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError):
        call(point)


def test_instances_compare_by_what_counts(point: Any) -> None:
    assert point(1) == point(1, note="other") != point(2)
    assert hash(point(1)) == hash(point(1, names={"a": "b"}, note="other"))
    assert len({point(1), point(1), point(3)}) == 2
    assert point(1) != (1, 2, {}, "", "")


def test_it_shows_what_may_be_shown(point: Any) -> None:
    assert repr(point(1, secret="hunter2")).endswith("Point(x=1, y=2, names={}, note='')")


def test_a_frozen_instance_cannot_be_changed(point: Any) -> None:
    made = point(1)
    with pytest.raises(AttributeError):
        made.x = 2
    with pytest.raises(AttributeError):
        del made.x
    # The standard library raises either of the two for what is not a field.
    with pytest.raises((AttributeError, TypeError)):
        made.other = 1
    assert made.x == 1
    assert not hasattr(made, "__dict__")


@pytest.mark.parametrize("replace", [dataclasses.replace, records.replace])
def test_a_copy_may_differ(replace: Callable[..., Any]) -> None:
    @records.dataclass(frozen=True, slots=True)
    class Pair:
        left: int
        right: int = records.field(default=0, kw_only=True)

    assert replace(Pair(1, right=2), left=3) == Pair(3, right=2)
    assert replace(Pair(1)) == Pair(1)
    with pytest.raises(TypeError):
        replace(Pair(1), other=1)


def test_a_subclass_adds_fields(module: Any) -> None:
    @module.dataclass(frozen=True, slots=True)
    class Base:
        one: int
        only_by_name: int = module.field(default=0, kw_only=True)

    @module.dataclass(frozen=True, slots=True)
    class Derived(Base):
        two: int

    derived: Any = Derived
    made = derived(1, 2, only_by_name=3)
    assert (made.one, made.two, made.only_by_name) == (1, 2, 3)
    assert not hasattr(made, "__dict__")


def test_one_that_is_not_frozen_can_be_changed(module: Any) -> None:
    @module.dataclass(slots=True)
    class Count:
        total: int = 0

        def __repr__(self) -> str:
            return f"{self.total} in all"

    made, one = Count(), Count()
    one.total = 1
    made.total += 1
    assert made == one
    assert repr(made) == "1 in all"
    with pytest.raises(TypeError):
        hash(made)

    @module.dataclass(slots=True, eq=False)
    class Alone:
        total: int = 0

    assert Alone() != Alone()
    assert hash(Alone()) is not None


def test_ordered_ones_sort_by_their_fields(module: Any) -> None:
    @module.dataclass(frozen=True, slots=True, order=True)
    class Name:
        first: str
        second: str

    made: Any = Name
    a, b, c = made("a", "z"), made("b", "a"), made("b", "b")
    assert sorted([c, a, b]) == [a, b, c]
    assert a <= a < b and c >= c > b
    with pytest.raises(TypeError):
        sorted([a, ("a", "z")])
