"""How many pods of the old and of the new there are to be at each step of a rollout. Pure.

Source of behaviour: Kubernetes' pkg/controller/deployment (rolling.go, recreate.go) and pkg/util/intstr.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """How many pods a replica set wants, has, and has available."""

    name: str
    wanted: int
    running: int
    available: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What a rolling update may do: pods above the number wanted, and pods missing from it."""

    replicas: int
    surge: int
    unavailable: int


def limits(replicas: int, surge: object, unavailable: object) -> Limits:
    """Numbers from numbers or percentages; that nothing may move at all is not allowed."""
    above, below = _number(surge, replicas, up=True), _number(unavailable, replicas, up=False)
    if above == 0 and below == 0:
        below = 1
    return Limits(replicas, above, min(below, replicas))


def _number(value: object, of: int, *, up: bool) -> int:
    text = str(value if value is not None else 0)
    if text.endswith("%"):
        hundredths = int(text[:-1]) * of
        return -(-hundredths // 100) if up else hundredths // 100
    return int(text)


def rolling(within: Limits, new: Size, old: Sequence[Size]) -> Mapping[str, int]:
    """The next step of a rolling update: the replica sets that change, and their new sizes. Oldest come first."""
    total = new.wanted + sum(each.wanted for each in old)
    if new.wanted > within.replicas:
        return {new.name: within.replicas}
    room = within.replicas + within.surge - total
    more = min(room, within.replicas - new.wanted)
    if more > 0:
        return {new.name: new.wanted + more}
    least = within.replicas - within.unavailable
    spare = total - least - (new.wanted - new.available)
    if spare <= 0:
        return {}
    left = _without_broken(old, spare)
    sizes = {each.name: left.get(each.name, each.wanted) for each in old}
    spare = new.available + sum(each.available for each in old) - least
    for each in old:
        fewer = min(sizes[each.name], max(spare, 0))
        sizes[each.name] -= fewer
        spare -= fewer
    return {each.name: sizes[each.name] for each in old if sizes[each.name] != each.wanted}


def _without_broken(old: Sequence[Size], spare: int) -> dict[str, int]:
    """Old pods that are not available go first, since nobody misses them."""
    sizes = {}
    for each in old:
        fewer = min(max(each.wanted - each.available, 0), spare)
        sizes[each.name] = each.wanted - fewer
        spare -= fewer
    return sizes


def recreate(replicas: int, new: Size, old: Sequence[Size]) -> Mapping[str, int]:
    """The next step where all old pods go before the first new one comes."""
    ending = {each.name: 0 for each in old if each.wanted}
    if ending or any(each.running for each in old) or new.wanted == replicas:
        return ending
    return {new.name: replicas}
