"""Never two runs that import the same at a time: overlaps, expiry on one's own clock, and every order of steps."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from job.cluster import LEASES
from job.domain.errors import ClusterError
from job.domain.scope import Scope, Shard
from job.run.lease import LEASE_SECONDS, RENEW_SECONDS, SCOPE_ANNOTATION, Holder, Lock, LockedError, lease_name
from job.run.lease_keeper import Keeper
from job.runtime.clock import Clock
from tests.unit.objects import JSON, NAMESPACE, Asked, ManualClock, Objects, connection_lost, refusal

PROD, STG, ALL = Scope("prod"), Scope("stg"), Scope()
NAME = "import-images-prod"
tags = st.from_regex(re.compile(r"\w[\w.-]{0,127}", re.ASCII), fullmatch=True)
shards = st.integers(1, 6).flatmap(lambda count: st.builds(Shard, st.integers(0, count - 1), st.just(count)))
scopes = st.builds(Scope, st.none() | st.sampled_from(["prod", "stg"]), st.none() | shards)


def lock(
    objects: Objects,
    clock: ManualClock | None = None,
    scope: Scope = PROD,
    name: str = "me",
    job: str | None = None,
    stop: bool = False,
) -> Lock:
    clock = clock or ManualClock()
    return Lock(objects, NAMESPACE, scope, Holder(name, job), stopping=lambda: stop, clock=clock.clock)


def held(objects: Objects, scope: Scope = PROD, holder: str = "other", job: str | None = None, **spec: str) -> JSON:
    """A Lease that somebody holds, as a run writes it."""
    lock(objects, scope=scope, name=holder, job=job)._take(frozenset())
    objects.change(LEASES, lease_name(scope), **spec)
    return objects.there(LEASES, lease_name(scope))


def spec(objects: Objects, name: str = NAME) -> JSON:
    found = objects.there(LEASES, name)["spec"]
    assert isinstance(found, dict)
    return found


def alive(objects: Objects, scope: Scope = PROD) -> ManualClock:
    """A clock by which the holder renews its Lease every 15 seconds."""
    renewals = itertools.count(1)

    def tick(now: float) -> None:
        if (now - 1000) // 15 >= 1:
            objects.change(LEASES, lease_name(scope), renewTime=f"2026-11-24T02:00:{next(renewals):02}.000000Z")

    return ManualClock(tick)


# Scopes and names


@given(scopes, scopes)
def test_overlap_is_mutual(one: Scope, other: Scope) -> None:
    assert one.overlaps(other) == other.overlaps(one)
    assert one.overlaps(one)


@given(scopes, scopes, st.sampled_from(["prod", "stg"]), st.integers(0, 10_000))
def test_scopes_that_import_one_tag_overlap(one: Scope, other: Scope, tag: str, number: int) -> None:
    from job.domain.selection import in_share

    def takes(scope: Scope) -> bool:
        return scope.deployment in (None, tag) and in_share(NAMESPACE, f"s{number}", scope.shard)

    assert not (takes(one) and takes(other)) or one.overlaps(other)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (PROD, PROD, True),
        (PROD, STG, False),
        (ALL, PROD, True),
        (ALL, ALL, True),
        (Scope("prod", Shard(0, 4)), PROD, True),
        (Scope("prod", Shard(0, 4)), ALL, True),
        (Scope("prod", Shard(0, 4)), Scope("prod", Shard(1, 4)), False),
        (Scope("prod", Shard(0, 4)), Scope("prod", Shard(1, 2)), True),
        (Scope("prod", Shard(0, 4)), Scope("stg", Shard(0, 4)), False),
        (Scope(None, Shard(0, 4)), Scope("stg", Shard(1, 4)), False),
    ],
)
def test_overlaps(one: Scope, other: Scope, overlap: bool) -> None:
    assert one.overlaps(other) is overlap


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        (PROD, "import-images-prod"),
        (ALL, "import-images-all"),
        (Scope("prod", Shard(2, 4)), "import-images-prod-shard-2-of-4"),
        (Scope(None, Shard(0, 1)), "import-images-all-shard-0-of-1"),
    ],
)
def test_lease_names(scope: Scope, name: str) -> None:
    assert lease_name(scope) == name


@given(tags, st.none() | shards)
@example("a..b", None)
@example("1.-2", None)
@example("all", None)
def test_every_lease_name_is_one_that_the_api_takes(tag: str, shard: Shard | None) -> None:
    name = lease_name(Scope(tag, shard))
    assert len(name) <= 253
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", name)


@given(tags, tags, st.none() | shards, st.none() | shards)
@example("Prod", "prod", None, None)
@example("a_b", "a-b", None, None)
@example("a", "a-shard-0-of-2", Shard(0, 2), None)
def test_scopes_of_one_lease_name_overlap(one: str, other: str, first: Shard | None, second: Shard | None) -> None:
    scopes = Scope(one, first), Scope(other, second)
    assert lease_name(scopes[0]) != lease_name(scopes[1]) or scopes[0] == scopes[1]


def test_a_deployment_called_all_is_not_all_deployments() -> None:
    assert lease_name(Scope("all")) != lease_name(ALL)


# Taking and releasing


def test_takes_a_free_lock_without_waiting_and_releases_it() -> None:
    objects, clock = Objects(), ManualClock()
    mine = lock(objects, clock, job="uid-1")
    mine.acquire()
    lease = objects.there(LEASES, NAME)
    assert lease["spec"]["holderIdentity"] == "me"
    assert lease["spec"]["leaseDurationSeconds"] == 60
    assert lease["spec"]["leaseTransitions"] == 0
    assert lease["metadata"]["labels"] == {"app.kubernetes.io/name": "import-images"}
    mine.release()
    assert spec(objects)["holderIdentity"] == ""
    assert clock.slept == []


def test_takes_a_released_lock_at_once() -> None:
    objects, clock = Objects(), ManualClock()
    held(objects, holderIdentity="")
    lock(objects, clock).acquire()
    assert (spec(objects)["holderIdentity"], spec(objects)["leaseTransitions"], clock.slept) == ("me", 1, [])


@pytest.mark.parametrize("scope", [PROD, ALL, Scope("prod", Shard(0, 2))])
def test_a_live_holder_is_left_alone(scope: Scope) -> None:
    objects = Objects()
    held(objects, scope)
    clock = alive(objects, scope)
    with pytest.raises(LockedError, match="other"):
        lock(objects, clock).acquire()
    assert sum(clock.slept) < 20
    assert spec(objects, lease_name(scope))["holderIdentity"] == "other"
    assert all(each["spec"]["holderIdentity"] != "me" for each in objects.all(LEASES))


@pytest.mark.parametrize("scope", [STG, Scope("stg", Shard(0, 2))])
def test_what_does_not_overlap_is_no_hindrance(scope: Scope) -> None:
    objects, clock = Objects(), ManualClock()
    held(objects, scope)
    lock(objects, clock).acquire()
    assert clock.slept == []


@pytest.mark.parametrize("scope", [PROD, ALL, Scope("prod", Shard(0, 2))])
@pytest.mark.parametrize("renewed", ["2026-11-24T02:00:00.000000Z", "1999-01-01T00:00:00Z", "2999-01-01T00:00:00Z", ""])
def test_a_dead_holder_is_outlived_by_ones_own_clock(scope: Scope, renewed: str) -> None:
    objects, clock = Objects(), ManualClock()
    held(objects, scope, renewTime=renewed)
    lock(objects, clock).acquire()
    assert LEASE_SECONDS <= sum(clock.slept) < LEASE_SECONDS + 5
    assert spec(objects)["holderIdentity"] == "me"


@pytest.mark.parametrize("is_alive", [False, True])
def test_a_holder_whose_lease_has_no_label_is_watched_like_any_other(is_alive: bool) -> None:
    """A list by label leaves it out, so that a dead one kept its lock for ever."""
    objects = Objects()
    clock = alive(objects) if is_alive else ManualClock()
    lease = held(objects)
    objects.put(LEASES, NAMESPACE, {**lease, "metadata": {**lease["metadata"], "labels": {}}})
    if is_alive:
        with pytest.raises(LockedError, match="locked by other"):
            lock(objects, clock).acquire()
        assert 0 < sum(clock.slept) < 20
        return
    lock(objects, clock).acquire()
    assert LEASE_SECONDS <= sum(clock.slept) < LEASE_SECONDS + 5
    taken = objects.there(LEASES, NAME)
    assert taken["spec"]["holderIdentity"] == "me" and taken["metadata"]["labels"]


def test_a_holder_that_renews_at_the_last_moment_is_alive() -> None:
    objects, clock = Objects(), ManualClock()
    held(objects, ALL)

    def tick(now: float) -> None:
        if now >= 1000 + LEASE_SECONDS - 3:
            objects.change(LEASES, lease_name(ALL), renewTime=f"2026-11-24T02:00:59.{int(now):06}Z")

    clock.tick = tick
    with pytest.raises(LockedError):
        lock(objects, clock).acquire()


def test_a_holder_that_lets_go_while_watched_was_alive() -> None:
    """It was alive a moment ago, so that it may just have imported: whoever comes second ends locked, always."""
    objects, clock = Objects(), ManualClock()
    held(objects, ALL)
    clock.tick = lambda now: objects.change(LEASES, lease_name(ALL), holderIdentity="")
    with pytest.raises(LockedError, match="other"):
        lock(objects, clock).acquire()
    assert sum(clock.slept) < 5
    assert [each["metadata"]["name"] for each in objects.all(LEASES)] == [lease_name(ALL)]


def test_a_lease_that_vanishes_while_watched_is_no_hindrance() -> None:
    objects, clock = Objects(), ManualClock()
    held(objects, ALL)
    clock.tick = lambda now: objects.remove(LEASES, lease_name(ALL)) if len(clock.slept) == 1 else None
    lock(objects, clock).acquire()
    assert sum(clock.slept) < 5
    assert spec(objects)["holderIdentity"] == "me"


def test_a_holder_that_comes_back_between_look_and_write_is_noticed() -> None:
    objects, clock = Objects(), ManualClock()
    held(objects, ALL)

    def hook(asked: Asked) -> None:
        if asked.verb == "create":
            objects.change(LEASES, lease_name(ALL), renewTime="2026-11-24T02:01:00.000000Z")
            clock.tick = alive(objects, ALL).tick

    objects.before = hook
    with pytest.raises(LockedError):
        lock(objects, clock).acquire()
    assert spec(objects)["holderIdentity"] == ""


def test_a_retried_pod_of_the_same_job_takes_over_at_once() -> None:
    objects, clock = Objects(), ManualClock()
    held(objects, job="uid-1")
    lock(objects, clock, job="uid-1").acquire()
    assert clock.slept == []
    assert spec(objects)["holderIdentity"] == "me"


@pytest.mark.parametrize("jobs", [("uid-1", "uid-2"), (None, None), ("uid-1", None)])
def test_another_job_does_not_take_over(jobs: tuple[str | None, str | None]) -> None:
    objects = Objects()
    held(objects, job=jobs[0])
    with pytest.raises(LockedError):
        lock(objects, alive(objects), job=jobs[1]).acquire()


def test_another_scope_of_the_same_job_does_not_take_over() -> None:
    objects = Objects()
    held(objects, Scope("prod", Shard(0, 2)), job="uid-1")
    with pytest.raises(LockedError):
        lock(objects, alive(objects, Scope("prod", Shard(0, 2))), job="uid-1").acquire()


@pytest.mark.parametrize("text", ["", "null", "[]", "3", '{"shard": [1]}', '{"shard": "x"}', '{"shard": {}}', "{"])
def test_a_lease_whose_scope_was_overwritten_overlaps_everything(text: str) -> None:
    objects = Objects()
    lease = held(objects, STG)
    lease["metadata"]["annotations"] = {SCOPE_ANNOTATION: text}
    objects.put(LEASES, NAMESPACE, lease)
    with pytest.raises(LockedError):
        lock(objects, alive(objects, STG)).acquire()


def test_who_creates_the_lease_first_has_it() -> None:
    objects = Objects()
    clock = alive(objects)

    def hook(asked: Asked) -> None:
        if asked.verb == "create":
            objects.before = lambda asked: None
            held(objects)

    objects.before = hook
    with pytest.raises(LockedError, match="other"):
        lock(objects, clock).acquire()
    assert spec(objects)["holderIdentity"] == "other"


def test_a_stop_ends_the_watching() -> None:
    objects, clock = Objects(), ManualClock()
    held(objects)
    with pytest.raises(LockedError, match="stopped"):
        lock(objects, clock, stop=True).acquire()
    assert clock.slept == []


@pytest.mark.parametrize("verb", ["get", "list", "create"])
def test_a_refusal_is_the_callers_to_tell(verb: str) -> None:
    objects = Objects()
    objects.refused[verb, "leases"] = 403
    with pytest.raises(ClusterError) as caught:
        lock(objects).acquire()
    assert caught.value.code == 403


def test_a_lock_that_could_not_be_checked_is_not_kept() -> None:
    objects = Objects()
    objects.script("list", "leases", None, refusal(500))
    with pytest.raises(ClusterError):
        lock(objects).acquire()
    assert spec(objects)["holderIdentity"] == ""


# Keeping


def test_renewal_moves_the_time_and_nothing_else() -> None:
    objects = Objects()
    mine = lock(objects)
    mine.acquire()
    before = spec(objects)
    assert mine.renew()
    after = spec(objects)
    assert after.pop("renewTime") > before.pop("renewTime")
    assert after == before


def test_somebody_elses_lease_is_a_lost_lock_and_stays_theirs() -> None:
    objects = Objects()
    mine = lock(objects)
    mine.acquire()
    objects.change(LEASES, NAME, holderIdentity="thief")
    assert not mine.renew()
    mine.release()
    assert spec(objects)["holderIdentity"] == "thief"


def test_a_deleted_lease_is_a_lost_lock() -> None:
    objects = Objects()
    mine = lock(objects)
    mine.acquire()
    objects.remove(LEASES, NAME)
    assert not mine.renew()


def test_a_renewal_whose_answer_was_lost_is_no_loss() -> None:
    objects, clock = Objects(), ManualClock()
    mine = lock(objects, clock)
    mine.acquire()
    for _ in range(4):
        objects.script("update", "leases", connection_lost(), after=True)
        clock.now += 15
        assert mine.renew()
        clock.now += 15
        assert mine.renew()


def test_a_release_after_a_renewal_whose_answer_was_lost_takes_effect() -> None:
    objects = Objects()
    mine = lock(objects)
    mine.acquire()
    objects.script("update", "leases", connection_lost(), after=True)
    mine.renew()
    mine.release()
    assert spec(objects)["holderIdentity"] == ""


def test_a_lock_that_cannot_be_renewed_is_given_up_before_others_may_take_it() -> None:
    objects, clock = Objects(), ManualClock()
    mine = lock(objects, clock)
    mine.acquire()
    objects.refused["update", "leases"] = 500
    kept = []
    while clock.now < 1000 + LEASE_SECONDS:
        clock.now += 5
        kept.append(mine.renew())
    assert kept[:3] == [True] * 3
    assert kept[-2:] == [False] * 2


def test_a_holder_that_slept_past_its_lease_does_not_go_on_beside_another() -> None:
    """The Lease of another scope is another object, so that no conflict tells."""
    objects, clock = Objects(), ManualClock()
    mine = lock(objects, clock)
    mine.acquire()
    other = lock(objects, clock, ALL, "other")
    other.acquire()
    assert sum(clock.slept) >= LEASE_SECONDS
    assert mine.expired or not mine.renew()


def test_the_keeper_renews_tells_of_a_loss_and_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("job.run.lease_keeper.RENEW_SECONDS", 0.01)
    objects, lost, renewed = Objects(), threading.Event(), threading.Event()
    mine, theirs = lock(objects), lock(objects, scope=STG)
    mine.acquire()
    theirs.acquire()
    objects.after = lambda asked: renewed.set() if asked.verb == "update" else None
    with Keeper(lambda namespace: lost.set(), 8) as keeper:
        keeper.keep(mine)
        keeper.keep(theirs)
        assert renewed.wait(10)
        assert not lost.is_set()
        while not lost.is_set():
            objects.change(LEASES, NAME, holderIdentity="thief")
    assert spec(objects)["holderIdentity"] == "thief"
    assert spec(objects, lease_name(STG))["holderIdentity"] == ""


def test_locks_are_released_side_by_side_and_never_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each API request may hang, and the pod has only so much time."""
    objects, hanging, released = Objects(), threading.Event(), threading.Semaphore(0)
    locks = [lock(objects, scope=Scope(f"d{number}")) for number in range(8)]
    for each in locks:
        each.acquire()
    # Seven requests pass only when all of them are under way.
    together = threading.Barrier(7)

    def hang(asked: Asked) -> None:
        if asked.verb == "update" and asked.name == "import-images-d0":
            hanging.wait(60)
        elif asked.verb == "update":
            together.wait(60)

    def count(asked: Asked) -> None:
        if asked.verb == "update":
            released.release()

    objects.before, objects.after = hang, count
    # The time is over once seven are released, however long that takes here.
    over = threading.Event()

    def wait_for_seven() -> None:
        if all(released.acquire(timeout=60) for _ in range(7)):
            over.set()

    watcher = threading.Thread(target=wait_for_seven)
    watcher.start()
    clock = SimpleNamespace(monotonic=lambda: 1000.0 if over.is_set() else 0.0)
    try:
        with Keeper(lambda namespace: None, 8) as keeper:
            for each in locks:
                keeper.keep(each)
            monkeypatch.setattr("job.run.lease_keeper.time", clock)
        assert over.is_set()
        holders = {each["metadata"]["name"]: each["spec"]["holderIdentity"] for each in objects.all(LEASES)}
        assert holders == {f"import-images-d{number}": "" if number else "me" for number in range(8)}
    finally:
        hanging.set()
        watcher.join()


def test_the_keeper_tells_of_a_lock_that_ran_out_beside_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("job.run.lease_keeper.RENEW_SECONDS", 0.01)
    objects, clock, lost = Objects(), ManualClock(), threading.Event()
    told: list[str] = []
    mine, theirs = lock(objects, clock), lock(objects, ManualClock(), scope=STG)
    mine.acquire()
    theirs.acquire()
    clock.now += LEASE_SECONDS

    def tell(namespace: str) -> None:
        told.append(namespace)
        lost.set()

    with Keeper(tell, 8) as keeper:
        keeper.keep(theirs)
        keeper.keep(mine)
        assert lost.wait(10)
    assert told == [NAMESPACE]


def test_locks_are_released_so_many_at_a_time() -> None:
    objects, guard = Objects(), threading.Lock()
    locks = [lock(objects, scope=Scope(f"d{number}")) for number in range(9)]
    for each in locks:
        each.acquire()
    now: list[int] = []
    most = 0

    def count(asked: object) -> None:
        nonlocal most
        with guard:
            now.append(1)
            most = max(most, len(now))
        time.sleep(0.02)
        with guard:
            now.pop()

    with Keeper(lambda namespace: None, 2) as keeper:
        for each in locks:
            keeper.keep(each)
        objects.before = count
    assert most == 2
    assert {each["spec"]["holderIdentity"] for each in objects.all(LEASES)} == {""}


def test_what_nobody_foresaw_while_it_is_released_does_not_end_the_run(caplog: pytest.LogCaptureFixture) -> None:
    objects = Objects()
    mine = lock(objects)
    mine.acquire()

    def fail(asked: object) -> None:
        raise MemoryError

    with Keeper(lambda namespace: None, 8) as keeper:
        keeper.keep(mine)
        objects.before = fail
    assert "expires by itself" in caplog.text and "MemoryError" in caplog.text


def test_a_renewal_waits_for_no_longer_than_it_has_time_for() -> None:
    objects = Objects()
    mine = lock(objects)
    mine.acquire()
    mine.renew()
    mine.release()
    assert [each for each in objects.timeouts if each is None or each >= RENEW_SECONDS] == []
    assert len(objects.timeouts) == 2


# Every order of steps


class _Contender:
    """A run that takes its lock step by step: it stands before each request and in each sleep until it is let go."""

    def __init__(self, world: _World, name: str, scope: Scope) -> None:
        self.name, self.scope, self.world = name, scope, world
        self.until = 0.0
        self.inside = self.done = False
        self.outcome = ""
        self.problem: BaseException | None = None
        self._turn, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self.lock = Lock(
            world.objects,
            NAMESPACE,
            scope,
            Holder(name),
            stopping=lambda: False,
            clock=Clock(monotonic=lambda: world.now, sleep=self.sleep),
        )

    def sleep(self, seconds: float) -> None:
        self.until = self.world.now + seconds
        self.pause()

    def pause(self) -> None:
        self._back.release()
        self._wait()

    def _wait(self) -> None:
        self._turn.acquire()
        if self.world.over:
            raise SystemExit

    def end(self) -> None:
        """Let the thread go once nobody plays any longer."""
        self._turn.release()

    def live(self) -> None:
        self._wait()
        self.world.local.contender = self
        try:
            self.lock.acquire()
            self.inside = True
            self.outcome = "held"
            for _ in range(2):
                self.sleep(20)
            self.inside = False
            self.lock.release()
        except LockedError:
            self.outcome = "locked"
        except BaseException as error:
            self.problem = error
        finally:
            self.inside, self.done = False, True
            self._back.release()

    def step(self) -> None:
        """Let it do one request."""
        self._turn.release()
        assert self._back.acquire(timeout=20)


class _World:
    """Contenders, and a time that moves on when all are asleep; who is inside renews every 15 seconds."""

    def __init__(self, scopes: Sequence[Scope]) -> None:
        self.objects, self.now, self.local = Objects(), 0.0, threading.local()
        self.contenders = [_Contender(self, f"run-{number}", scope) for number, scope in enumerate(scopes)]
        self.objects.before = self._before
        self.renewed = 0.0
        self.over = False

    def _before(self, asked: Asked) -> None:
        contender = getattr(self.local, "contender", None)
        if contender is not None:
            contender.pause()

    def play(self, order: Iterator[int]) -> list[str]:
        """Play to the end; the order says which of those that can go on does."""
        threads = [threading.Thread(target=contender.live, daemon=True) for contender in self.contenders]
        for thread in threads:
            thread.start()
        try:
            while left := [each for each in self.contenders if not each.done]:
                ready = [each for each in left if each.until <= self.now]
                if ready:
                    ready[next(order, 0) % len(ready)].step()
                    self.check()
                else:
                    self._pass()
        finally:
            self.over = True
            for each in self.contenders:
                each.end()
        for thread in threads:
            thread.join(10)
        for each in self.contenders:
            if each.problem is not None:
                raise each.problem
        return [each.outcome for each in self.contenders]

    def _pass(self) -> None:
        wake = min(each.until for each in self.contenders if not each.done)
        self.now = min(wake, self.renewed + 15)
        if self.now >= self.renewed + 15:
            self.renewed = self.now
            for each in self.contenders:
                assert not each.inside or each.lock.renew(), f"{each.name} lost its lock"

    def check(self) -> None:
        inside = [each for each in self.contenders if each.inside]
        for one, other in itertools.combinations(inside, 2):
            assert not one.scope.overlaps(other.scope), f"{one.name} and {other.name} are inside together"


FOUR = Scope("prod", Shard(0, 4))


@pytest.mark.parametrize("scopes", [(PROD, PROD), (PROD, ALL), (PROD, FOUR)], ids=["same", "all", "shard"])
def test_two_contenders_in_every_order(scopes: tuple[Scope, Scope]) -> None:
    for order in itertools.product((0, 1), repeat=8):
        outcomes = _World(scopes).play(iter(order))
        assert set(outcomes) <= {"held", "locked"}


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from([PROD, STG, ALL, FOUR, Scope(None, Shard(1, 2))]), min_size=2, max_size=3),
    st.lists(st.integers(0, 2), max_size=60),
)
def test_contenders_in_any_order(scopes: list[Scope], order: list[int]) -> None:
    outcomes = _World(scopes).play(iter(order))
    if not any(one.overlaps(other) for one, other in itertools.combinations(scopes, 2)):
        assert set(outcomes) == {"held"}


def test_of_two_that_come_one_after_the_other_the_first_has_it() -> None:
    assert _World((PROD, ALL)).play(iter([0] * 8 + [1] * 100)) == ["held", "locked"]


def test_the_scope_is_told_on_the_lease() -> None:
    objects = Objects()
    lock(objects, scope=FOUR, job="uid").acquire()
    told = objects.there(LEASES, lease_name(FOUR))["metadata"]["annotations"][SCOPE_ANNOTATION]
    assert json.loads(told) == {"deployment": "prod", "shard": [0, 4], "job": "uid"}
