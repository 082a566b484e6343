"""The rules in their ConfigMap: what is read, what is refused and where, and several writers."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from job.cluster import CONFIG_MAPS
from job.domain.errors import ClusterError
from job.domain.rules import (
    MOST_BLOCKED,
    MOST_FREEZES,
    RULES,
    BlockRule,
    FreezeRule,
    FullError,
    Rules,
    with_blocked,
    with_freeze,
)
from job.journal.rules_store import RulesError, RulesStore
from job.journal.rules_text import MOST_BYTES, RulesTextError, data_of, rules_from
from job.runtime.clock import Clock
from tests.unit.objects import NAMESPACE, NOW, Asked, Objects, connection_lost, refusal

DIGEST = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
FREEZE = FreezeRule("the demo", "ada", NOW, NOW + timedelta(days=3))
BLOCK = BlockRule(digest=DIGEST, reason="crashes", by="ada", at=NOW)
BY_HAND = f"""
# Ada wrote this.
- digest: {DIGEST}
  reason: "crashes: at start"
- revision: 1A2B3C4
  until: 2026-12-24T18:00:00+01:00
"""


def store(objects: Objects) -> RulesStore:
    return RulesStore(objects, NAMESPACE, clock=Clock(sleep=lambda seconds: None))


def lines(**data: Any) -> tuple[str, ...]:
    with pytest.raises(RulesTextError) as caught:
        rules_from({"data": data})
    return caught.value.lines


def test_what_is_written_is_what_is_read() -> None:
    rules = Rules((FREEZE, FreezeRule()), (BLOCK, BlockRule(revision="1234567", reason="a: 'b'\t#c", until=NOW)))
    assert rules_from({"data": data_of(rules)}) == replace(
        rules, blocked=(BLOCK, replace(rules.blocked[1], reason="a: 'b' #c"))
    )
    assert data_of(Rules()) == {}


def test_what_a_person_writes_is_read() -> None:
    found = rules_from({"data": {"blocked": BY_HAND, "freeze": "# nothing"}})
    assert found.freezes == ()
    assert found.blocked[0] == BlockRule(digest=DIGEST, reason="crashes: at start")
    assert found.blocked[1].revision == "1a2b3c4"
    assert found.blocked[1].until is not None
    assert found.blocked[1].until.isoformat() == "2026-12-24T17:00:00+00:00"
    for empty in ("", "null", "[]", "---\n...\n", "~"):
        assert rules_from({"data": {"freeze": empty}}) == Rules()
    assert rules_from({}) == rules_from({"data": None, "binaryData": None}) == Rules()


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("- reason: a\n- reason: b\n  utnil: 2026-12-24T18:00:00Z", 3, "until"),
        ("- reason: a\n  until: tomorrow", 2, "not a time"),
        ("- reason: a\n  until: 2026-12-24T18:00:00", 2, "with a zone"),
        ("- reason: a\n  until: 3d", 2, "not a time"),
        ("- reason: a\n  reason: b", 2, "twice"),
        ("- reason: [a]", 1, "not a list"),
        ("- reason: a\n  by:\n    name: b", 3, "not a list or an object"),
        ("reason: a", 1, "a list of rules"),
        ("true", 1, "a list of rules"),
        ("- a", 1, "an object"),
        ("- - a", 1, "an object"),
        ("- {}", 1, "empty"),
        ("- &a\n  reason: a\n- *a", 1, "anchors"),
        ("- reason: &a b\n- reason: *a", 1, "anchors"),
        ("- reason: !!python/object:os.system a", 1, "tags"),
        ("- reason: a\n---\n- reason: b", 2, "second document"),
        ("- reason: a\n by: b", 2, ""),
        ("- reason: a\n\t- b", 2, ""),
        ("- reason: 'a", 1, ""),
        ("- reason: a\n- reason: \x07", 2, "not allowed"),
        ("- reason: \ud800", 1, "not text"),
        ("- ? {a: b}\n  : c", 1, "a name"),
        ("[" * 100_000, 1, ""),
        ("- {reason: " * 10_000, 1, ""),
        ("- reason: a\n" * (MOST_FREEZES + 1), MOST_FREEZES + 1, "more than"),
        ("#" * (MOST_BYTES + 1), 1, "larger"),
    ],
)
def test_what_is_not_a_rule_is_refused_with_its_line(text: str, line: int, what: str) -> None:
    (found,) = lines(freeze=text)
    assert found.startswith(f"freeze, line {line}: "), found
    assert what in found


def test_every_problem_is_reported_at_once() -> None:
    found = lines(
        freeze="- until: soon\n",
        blocked=f"- reason: a\n- digest: {DIGEST}\n  revision: 1234567\n- digest: sha256:ab\n- revision: main\n",
        freez="",
    )
    assert [each.partition(":")[0] for each in found] == [
        "key freez",
        "freeze, line 1",
        "blocked, line 1",
        "blocked, line 2",
        "blocked, line 4",
        "blocked, line 5",
    ]
    assert "did you mean freeze" in found[0]
    many = lines(blocked="- digest: x\n" * 100)
    assert (len(many), many[-1]) == (21, "and 80 more problems")


WORDS = st.sampled_from(["- ", "reason", ": ", "a", "\n", "  ", "[", "{", "*", "&", "|"])


@given(st.text(max_size=200) | st.lists(WORDS).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = rules_from({"data": {"freeze": text}})
    except RulesTextError as error:
        assert all("line " in line for line in error.lines)
    else:
        assert len(found.freezes) <= MOST_FREEZES


@pytest.mark.parametrize(
    "bomb",
    [
        "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]",
        "- {reason: " + "x" * 130_000 + "}",
        "- " * 60_000,
        "- [" * 40_000,
        "- reason: a\n" * 10_000,
    ],
)
def test_a_bomb_takes_little_memory(bomb: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RulesTextError):
            rules_from({"data": {"freeze": bomb, "blocked": "- digest: x"}})
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("rule", "digest", "revision", "matches"),
    [
        (BLOCK, DIGEST, None, True),
        (BLOCK, OTHER, "ab" * 20, False),
        (BlockRule(revision="1a2b3c4"), OTHER, "1a2b3c4" + "0" * 33, True),
        (BlockRule(revision="1a2b3c4" + "0" * 33), OTHER, "1A2B3C4", True),
        (BlockRule(revision="1a2b3c4"), OTHER, "1a2b3c5" + "0" * 33, False),
        (BlockRule(revision="1a2b3c4"), OTHER, None, False),
        (BlockRule(revision="1a2b3c4"), OTHER, "1a2b3c", False),
        (BlockRule(revision="1a2b3c4"), OTHER, "main", False),
    ],
)
def test_which_images_a_rule_means(rule: BlockRule, digest: str, revision: str | None, matches: bool) -> None:
    assert (Rules(blocked=(rule,)).blocking(digest, revision) is rule) is matches


def test_what_has_ended_is_not_in_force() -> None:
    ended, lasting = replace(FREEZE, until=NOW), replace(FREEZE, until=None)
    rules = Rules((ended, FREEZE, lasting), (replace(BLOCK, until=NOW), BLOCK))
    assert rules.in_force(NOW) == Rules((FREEZE, lasting), (BLOCK,))
    assert rules.in_force(NOW).freeze is lasting
    assert Rules((FREEZE, replace(FREEZE, until=NOW + timedelta(days=9)))).freeze != FREEZE
    assert Rules().freeze is None


def test_there_is_room_for_so_many() -> None:
    full = Rules(blocked=tuple(BlockRule(digest=f"sha256:{number:064x}") for number in range(MOST_BLOCKED)))
    assert len(rules_from({"data": data_of(full)}).blocked) == MOST_BLOCKED
    # What is there already takes no more room, and what is said of it anew counts.
    assert with_blocked(full, [replace(full.blocked[3], reason="again")]).blocked[3].reason == "again"
    with pytest.raises(FullError):
        with_blocked(full, [BLOCK])
    frozen = Rules(tuple(FreezeRule(str(number)) for number in range(MOST_FREEZES)))
    assert with_freeze(frozen, frozen.freezes[0]) == frozen
    with pytest.raises(FullError):
        with_freeze(frozen, FREEZE)
    long = Rules(blocked=tuple(replace(each, reason="x" * 1000) for each in full.blocked))
    objects = Objects()
    with pytest.raises(RulesError, match="KiB"):
        store(objects).update(lambda rules: long)
    assert objects.writes("configmaps") == []


def test_no_rules_cost_one_request() -> None:
    objects = Objects()
    assert store(objects).read() == Rules()
    assert store(objects).update(lambda rules: rules).after == Rules()
    assert [each.verb for each in objects.asked] == ["get", "get"]


def test_only_what_changes_is_written_anew() -> None:
    objects = Objects()
    kept = {"data": {"blocked": BY_HAND}, "metadata": {"name": RULES, "labels": {"team": "a"}}}
    objects.put(CONFIG_MAPS, NAMESPACE, kept)
    changed = store(objects).update(lambda rules: with_freeze(rules, FREEZE))
    found = objects.there(CONFIG_MAPS, RULES)
    assert (found["data"]["blocked"], found["metadata"]["labels"]) == (BY_HAND, {"team": "a"})
    assert yaml.safe_load(found["data"]["freeze"])[0]["reason"] == "the demo"
    assert (changed.before.freezes, changed.after.freezes) == ((), (FREEZE,))
    store(objects).update(lambda rules: replace(rules, freezes=()))
    assert objects.there(CONFIG_MAPS, RULES)["data"] == {"blocked": BY_HAND}


def test_a_change_is_made_again_to_what_another_writer_left() -> None:
    objects = Objects()

    def interfere(asked: Asked) -> None:
        if asked.verb == "create":
            objects.before = lambda asked: None
            store(objects).update(lambda rules: with_blocked(rules, [BLOCK]))

    objects.before = interfere
    store(objects).update(lambda rules: with_freeze(rules, FREEZE))
    assert store(objects).read() == Rules((FREEZE,), (BLOCK,))


def test_a_lost_answer_does_not_freeze_twice() -> None:
    objects = Objects()
    objects.script("create", "configmaps", connection_lost(), after=True)
    changed = store(objects).update(lambda rules: with_freeze(rules, FREEZE))
    assert (changed.before, changed.after) == (Rules(), Rules((FREEZE,)))
    assert store(objects).read().freezes == (FREEZE,)


def test_what_cannot_be_read_is_not_written_over() -> None:
    objects = Objects()
    objects.put(CONFIG_MAPS, NAMESPACE, {"data": {"blocked": "- oops"}, "metadata": {"name": RULES}})
    for act in (store(objects).read, lambda: store(objects).update(lambda rules: with_freeze(rules, FREEZE))):
        with pytest.raises(RulesError, match=f"{NAMESPACE}/{RULES}: blocked, line 1: "):
            act()
    assert objects.writes("configmaps") == []


def test_a_missing_right_is_named() -> None:
    objects = Objects()
    objects.before = lambda asked: (_ for _ in ()).throw(refusal(403))
    with pytest.raises(ClusterError, match="grant get on the ConfigMap import-images-rules in packit-prod"):
        store(objects).read()
    objects = Objects()
    objects.script("create", "configmaps", refusal(403))
    with pytest.raises(ClusterError, match="grant get, create and update"):
        store(objects).update(lambda rules: with_freeze(rules, FREEZE))


def test_a_manifest_that_keeps_the_rules_is_named() -> None:
    objects = Objects()
    fields = [{"manager": "argocd", "operation": "Apply"}]
    objects.put(CONFIG_MAPS, NAMESPACE, {"metadata": {"name": RULES, "managedFields": fields}})
    assert store(objects).update(lambda rules: with_freeze(rules, FREEZE)).manager == "argocd"


def test_a_freeze_without_a_time_is_as_old_as_the_object() -> None:
    objects = Objects()
    metadata = {"name": RULES, "creationTimestamp": "2026-11-01T00:00:00Z"}
    objects.put(CONFIG_MAPS, NAMESPACE, {"data": {"freeze": "- reason: a"}, "metadata": metadata})
    found = store(objects).read().freezes[0].at
    assert found is not None
    assert found.isoformat() == "2026-11-01T00:00:00+00:00"
