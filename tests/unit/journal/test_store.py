"""The journal in its ConfigMap: several writers, and a run that does not depend on it."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from functools import partial

import pytest

from job.cluster import CONFIG_MAPS
from job.domain.errors import ClusterError
from job.domain.model import ImageFacts
from job.domain.scope import Scope
from job.journal.decoding import NAME, PLAIN_KEY, decode
from job.journal.encoding import encode
from job.journal.records import Journal, RunRecord, finish_run, start_run
from job.journal.store import JournalStore
from job.runtime.clock import Clock
from tests.unit.objects import NAMESPACE, NOW, Asked, Objects, config_map, connection_lost, failed, refusal, report


def memory(objects: Objects) -> JournalStore:
    return JournalStore(objects, NAMESPACE, clock=Clock(sleep=lambda seconds: None))


def stored(objects: Objects) -> Journal:
    return decode(objects.there(CONFIG_MAPS, NAME))


def grouped(journal: Journal, name: str) -> Journal:
    return replace(journal, groups={**journal.groups, name: 1.0})


def test_is_made_where_there_is_none_then_changed() -> None:
    objects = Objects()
    for name in ("a", "b"):
        assert memory(objects).update(partial(grouped, name=name)) is not None
    assert set(stored(objects).groups) == {"a", "b"}
    assert [asked.verb for asked in objects.writes("configmaps")] == ["create", "update"]
    assert objects.there(CONFIG_MAPS, NAME)["metadata"]["labels"] == {"app.kubernetes.io/name": "import-images"}


@pytest.mark.parametrize("there", [True, False])
def test_a_change_is_made_again_to_what_another_writer_left(there: bool) -> None:
    objects = Objects()
    if there:
        memory(objects).update(lambda journal: journal)
    other = memory(objects)

    def interfere(asked: Asked) -> None:
        if asked.verb in ("create", "update"):
            objects.before = lambda asked: None
            other.update(lambda journal: grouped(journal, "theirs"))

    objects.before = interfere
    memory(objects).update(lambda journal: grouped(journal, "mine"))
    assert set(stored(objects).groups) == {"mine", "theirs"}


def test_what_was_written_is_read_again_only_after_another_writer() -> None:
    objects = Objects()
    journal = memory(objects)
    for name in ("began", "ended"):
        journal.update(partial(grouped, name=name))
    assert [asked.verb for asked in objects.asked if asked.plural == "configmaps"] == ["get", "create", "update"]
    memory(objects).update(partial(grouped, name="theirs"))
    journal.update(partial(grouped, name="later"))
    assert set(stored(objects).groups) == {"began", "ended", "theirs", "later"}


@pytest.mark.parametrize("error", [refusal(500), connection_lost()])
def test_after_a_write_in_doubt_the_journal_is_read(error: ClusterError) -> None:
    objects = Objects()
    journal = memory(objects)
    journal.update(partial(grouped, name="began"))
    objects.script("update", "configmaps", error, after=True)
    journal.update(partial(grouped, name="ended"))
    journal.update(partial(grouped, name="later"))
    assert set(stored(objects).groups) == {"began", "ended", "later"}


def test_many_writers_lose_nothing() -> None:
    objects, start = Objects(), threading.Barrier(4)

    def write(number: int) -> None:
        start.wait(10)
        for each in range(5):
            memory(objects).update(partial(grouped, name=f"{number}-{each}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(stored(objects).groups) == 20


@pytest.mark.parametrize("error", [refusal(500), refusal(429), connection_lost()])
def test_what_may_pass_is_tried_again(error: ClusterError) -> None:
    objects = Objects()
    objects.script("create", "configmaps", error)
    assert memory(objects).update(lambda journal: grouped(journal, "a")) is not None
    assert set(stored(objects).groups) == {"a"}


def test_a_write_whose_answer_was_lost_counts_no_failure_twice() -> None:
    objects = Objects()
    mine = RunRecord("mine", NOW, deployment="prod")
    memory(objects).update(lambda journal: start_run(journal, mine, Scope("prod"))[0])
    objects.script("update", "configmaps", connection_lost(), after=True)
    found = report(failed("a"), run_id="mine")
    memory(objects).update(lambda journal: finish_run(journal, found, NAMESPACE, mine, narrowed=False))
    assert stored(objects).tags["a", "prod"].failed_runs == 1


@pytest.mark.parametrize("verb", ["get", "create"])
def test_a_refusal_is_one_warning(verb: str, caplog: pytest.LogCaptureFixture) -> None:
    objects = Objects()
    objects.refused[verb, "configmaps"] = 403
    mine = memory(objects)
    with caplog.at_level("WARNING", "job.journal.store"):
        assert mine.update(lambda journal: journal) is None
        assert mine.update(lambda journal: journal) is None
    assert len(caplog.records) == 1
    assert "grant get, create and update" in caplog.text


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"version": 99}', "[" * 100_000])
def test_an_unreadable_journal_is_begun_anew_and_said(text: str, caplog: pytest.LogCaptureFixture) -> None:
    objects = Objects()
    objects.put(CONFIG_MAPS, NAMESPACE, config_map(text, NAME))
    with caplog.at_level("WARNING", "job.journal.store"):
        memory(objects).update(lambda journal: grouped(journal, "a"))
    assert set(stored(objects).groups) == {"a"}
    assert "was started afresh" in caplog.text
    assert all("\n" not in each.getMessage() for each in caplog.records)


def test_a_journal_deleted_between_read_and_write_is_a_warning() -> None:
    objects = Objects()
    memory(objects).update(lambda journal: journal)

    def vanish(asked: Asked) -> None:
        if asked.verb == "update":
            objects.before = lambda asked: None
            objects.remove(CONFIG_MAPS, NAME)

    objects.before = vanish
    memory(objects).update(lambda journal: grouped(journal, "a"))
    memory(objects).update(lambda journal: grouped(journal, "b"))
    assert "b" in stored(objects).groups


def test_pages_of_repositories_survive_and_what_is_none_is_dropped() -> None:
    page, other = "https://github.com/packit/packit-service", "javascript:alert(1)"
    images = {f"sha256:{number:064}": ImageFacts(NOW, "1" * 40, repository_url=page) for number in range(3)}
    kept = decode(encode(Journal(images=images)))
    assert {digest: facts.repository_url for digest, facts in kept.images.items()} == dict.fromkeys(images, page)
    data = json.loads(encode(Journal(images=images))["data"][PLAIN_KEY])
    assert data["repositories"] == {page: [0, 1, 2]}
    forged = json.dumps({**data, "repositories": {other: [0], page: [1]}})
    found = decode({"data": {PLAIN_KEY: forged}})
    assert [facts.repository_url for facts in found.images.values()] == [None, page, None]
