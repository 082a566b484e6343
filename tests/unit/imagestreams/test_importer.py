"""What becomes of chosen tags, whatever the API and the registries answer."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from job.domain.errors import ClusterError
from job.domain.model import By, Image, Reason, Result, Skip, TagResult
from job.domain.retries import RetryPolicy
from job.domain.selection import Pattern, Wanted, choose
from job.domain.times import parse_time
from job.imagestreams.api_types import stream_from
from job.imagestreams.descriptions import Describer
from job.imagestreams.import_context import ImportContext, Options
from job.imagestreams.importer import run_imports
from job.runtime.clock import Clock
from job.runtime.pool import Throttle
from tests.unit.scripted import (
    JSON,
    NAMESPACE,
    NO_IMAGE,
    NOT_FOUND,
    RATE_LIMITED,
    REGISTRY_DOWN,
    STREAM,
    UNAUTHORIZED,
    ScriptedCluster,
    Turn,
    Usual,
    World,
    after,
    alias,
    answer,
    api_error,
    connection_lost,
    digest,
    docker,
    failure,
    image_json,
    index_json,
    lose,
    no_answer_in_time,
    refuse,
    spec_tag,
    stream_json,
    world_of,
)

PROD = Wanted("prod")


def hold_annotation(source: JSON, image: str) -> dict[str, str]:
    value = {"version": 1, "at": "2026-11-20T10:00:00Z", "reason": "crashes", "from": source, "image": image}
    return {"import-images.dev/hold": json.dumps(value)}


def roll_back(cluster: ScriptedCluster, tag: str, image: str) -> None:
    """What a person's rollback does to a tag."""
    pinned = {"kind": "ImageStreamImage", "name": f"{STREAM}@{image}"}
    cluster.change_tag(tag, **{"from": pinned, "annotations": hold_annotation(pinned, image)})
    cluster.push(tag, image)


def held_digests(result: TagResult) -> tuple[str | None, str | None]:
    return (
        result.before.digest if result.before else None,
        result.after.digest if result.after else None,
    )


class TestResults:
    def test_a_new_image_is_an_update_from_the_old_to_the_new(self) -> None:
        result = world_of("prod").import_one()
        assert (result.result, result.reason, result.by, result.message) == (Result.UPDATED, None, None, None)
        assert held_digests(result) == (digest("old"), digest("new"))
        assert result.source == "quay.io/packit/prod:prod"
        assert result.attempts == 1

    def test_the_time_of_the_new_image_is_that_of_the_servers_answer(self) -> None:
        result = world_of("prod").import_one()
        assert result.before and result.before.imported_at == parse_time("2026-11-17T02:00:00Z")
        assert result.after and result.after.imported_at == parse_time("2026-11-24T02:00:00Z")

    def test_the_same_image_is_unchanged(self) -> None:
        world = world_of("prod")
        world.cluster.registry["quay.io/packit/prod:prod"] = digest("old")
        result = world.import_one()
        assert result.result is Result.UNCHANGED
        assert held_digests(result) == (digest("old"), digest("old"))
        assert result.moved_with == ()

    def test_the_first_image_of_a_tag_is_an_update_from_nothing(self) -> None:
        world = World(stream_json(spec_tag("prod"), images={"prod": None}))
        result = world.import_one()
        assert result.result is Result.UPDATED
        assert held_digests(result) == (None, digest("new"))

    def test_a_failed_image_leaves_the_one_before(self) -> None:
        world = world_of("prod")
        world.cluster.registry["quay.io/packit/prod:prod"] = NOT_FOUND
        result = world.import_one()
        assert (result.result, result.reason, result.by) == (Result.FAILED, Reason.NOT_FOUND, By.REGISTRY)
        assert held_digests(result) == (digest("old"), digest("old"))
        assert result.message and "not found" in result.message

    def test_a_tag_that_never_had_an_image_and_fails_has_none(self) -> None:
        world = World(stream_json(spec_tag("prod"), images={"prod": None}))
        world.cluster.registry["quay.io/packit/prod:prod"] = NOT_FOUND
        assert held_digests(world.import_one()) == (None, None)

    def test_success_that_left_the_tag_without_an_image_is_a_failure(self) -> None:
        world = World(stream_json(spec_tag("prod"), images={"prod": None}))
        empty = stream_json(spec_tag("prod"), images={"prod": None})
        said = {"status": {"status": "Success"}, "image": {"metadata": {"name": digest("new")}}}
        world.cluster.on_create.append(answer({"status": {"images": [said], "import": empty}}))
        result = world.import_one()
        assert (result.result, result.reason, result.by) == (Result.FAILED, Reason.API_ERROR, By.API)

    def test_the_result_is_what_the_stream_holds_and_not_what_was_asked_for(self) -> None:
        world = world_of("prod")

        def somebody_pushed_right_after(usual: Usual) -> Any:
            usual()
            world.cluster.push("prod", digest("newest"))
            said = {"status": {"status": "Success"}, "image": {"metadata": {"name": digest("new")}}}
            return {"status": {"images": [said], "import": world.cluster.streams[NAMESPACE, STREAM]}}

        world.cluster.on_create.append(somebody_pushed_right_after)
        assert held_digests(world.import_one()) == (digest("old"), digest("newest"))

    def test_what_was_before_is_what_the_first_read_showed(self) -> None:
        world = world_of("prod")
        world.cluster.on_create.append(after(lambda: world.cluster.push("prod", digest("new"))))
        result = world.import_one()
        assert result.result is Result.UPDATED
        assert held_digests(result) == (digest("old"), digest("new"))

    def test_a_registry_that_the_cluster_blocks_is_refused_by_the_api(self) -> None:
        world = world_of("prod")
        world.cluster.registry["quay.io/packit/prod:prod"] = failure("Forbidden", "forbidden: registry quay.io blocked")
        result = world.import_one()
        assert (result.reason, result.by, result.attempts) == (Reason.FORBIDDEN, By.API, 1)

    def test_a_message_of_many_lines_is_shown_as_one(self) -> None:
        world = world_of("prod")
        world.cluster.registry["quay.io/packit/prod:prod"] = failure("NotFound", "a\nb\x1b[31m" + "c" * 5000)
        message = world.import_one().message
        assert message and "\n" not in message and "\x1b" not in message and len(message) <= 500

    def test_seconds_are_those_of_the_requests(self) -> None:
        world = world_of("prod")

        def slow(usual: Usual) -> Any:
            world.now += 2.5
            return usual()

        world.cluster.on_create.extend([refuse(api_error(429)), slow])
        assert world.import_one().seconds == pytest.approx(2.5)

    def test_a_tag_that_was_never_tried_has_no_seconds(self) -> None:
        world = World(stream_json(spec_tag("prod", alias("other"))))
        assert world.import_one().seconds is None


class TestRequests:
    @pytest.mark.parametrize("count", range(1, 11))
    def test_three_images_go_in_a_request(self, count: int) -> None:
        world = world_of(*(f"t{number}" for number in range(count)))
        world.run()
        assert len(world.cluster.requests) - len(world.cluster.descriptions) == math.ceil(count / 3)

    def test_the_policies_of_a_tag_go_along_word_for_word(self) -> None:
        policy = {"importMode": "PreserveOriginal", "scheduled": True, "insecure": True, "unheard": {"of": [1]}}
        tag = spec_tag("prod", importPolicy=policy, referencePolicy={"type": "Local"})
        world = World(stream_json(tag))
        world.run()
        (image,) = world.cluster.imports[0].body["spec"]["images"]
        assert (image["importPolicy"], image["referencePolicy"]) == (policy, {"type": "Local"})

    def test_the_limit_of_a_request_is_sent_along(self) -> None:
        world = world_of("prod", timeout=42.0)
        world.run()
        assert world.cluster.imports[0].timeout == 42.0

    def test_the_first_request_carries_the_version_of_the_list(self) -> None:
        world = world_of("prod")
        world.run()
        assert world.cluster.imports[0].version == "100"

    def test_the_next_request_carries_the_version_of_the_answer_before(self) -> None:
        world = world_of("a", "b", "c", "d")
        seen: list[str] = []

        def remember(usual: Usual) -> Any:
            given = usual()
            seen.append(given["status"]["import"]["metadata"]["resourceVersion"])
            return given

        world.cluster.on_create.append(remember)
        world.run()
        assert [request.version for request in world.cluster.imports] == ["100", *seen]
        assert seen != ["100"]

    @pytest.mark.parametrize(
        "others",
        [
            ["quay.io/packit/w:prod"],
            ["quay.io/packit/w:prod", "quay.io/packit/w:stg"],
            ["quay.io/packit/w"],
        ],
    )
    def test_images_of_one_repository_that_differ_in_insecure_go_apart(self, others: list[str]) -> None:
        tags = [spec_tag("first", "quay.io/packit/w:first", importPolicy={"insecure": True})]
        tags += [spec_tag(f"t{number}", source) for number, source in enumerate(others)]
        world = World(stream_json(*tags))
        world.run()
        assert [request.tags for request in world.cluster.imports] == [["first"], [t["name"] for t in tags[1:]]]

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("nginx:1", "docker.io/library/nginx:2"),
            ("docker.io/nginx:1", "nginx:2"),
            ("packit/w:1", "docker.io/packit/w:2"),
        ],
    )
    def test_a_repository_of_docker_hub_is_one_however_it_is_written(self, one: str, other: str) -> None:
        world = World(stream_json(spec_tag("a", one, importPolicy={"insecure": True}), spec_tag("b", other)))
        world.run()
        assert [request.tags for request in world.cluster.imports] == [["a"], ["b"]]

    def test_images_of_other_repositories_may_differ_in_insecure(self) -> None:
        world = World(
            stream_json(spec_tag("a", "h:5000/x:1", importPolicy={"insecure": True}), spec_tag("b", "h:5000/y:1"))
        )
        world.run()
        assert [request.tags for request in world.cluster.imports] == [["a", "b"]]

    def test_a_stream_whose_tags_are_all_skipped_costs_no_import(self) -> None:
        world = World(stream_json(spec_tag("a", alias("b")), spec_tag("b", "quay.io/x@sha256:1")))
        assert {result.result for result in world.run()} == {Result.SKIPPED}
        assert world.cluster.imports == []


class TestSkips:
    @pytest.mark.parametrize(
        ("tag", "reason"),
        [
            (spec_tag("t", annotations={"import-images.dev/skip": "true"}), Skip.OPTED_OUT),
            (spec_tag("t", reference=True), Skip.REFERENCE),
            (spec_tag("t", alias("other")), Skip.ALIAS),
            (spec_tag("t", "quay.io/x@sha256:1"), Skip.PINNED),
            (spec_tag("t", {"kind": "ImageStreamImage", "name": "w@sha256:1"}), Skip.PINNED),
            (spec_tag("t", {}), Skip.NO_SOURCE),
        ],
    )
    def test_a_skipped_tag_is_shown_as_it_is(self, tag: JSON, reason: Skip) -> None:
        result = World(stream_json(tag)).import_one()
        assert (result.result, result.reason, result.attempts) == (Result.SKIPPED, reason, 0)
        assert held_digests(result) == (digest("old"), digest("old"))

    def test_a_held_tag_tells_of_its_hold(self) -> None:
        pinned = {"kind": "ImageStreamImage", "name": f"{STREAM}@{digest('old')}"}
        world = World(stream_json(spec_tag("prod", pinned, annotations=hold_annotation(pinned, digest("old")))))
        result = world.import_one()
        assert (result.reason, result.hold and result.hold.reason) == (Skip.HELD, "crashes")

    def test_a_pushed_tag_has_no_source(self) -> None:
        world = World(stream_json(images={"pushed": digest("mine")}))
        result = world.import_one()
        assert (result.tag, result.reason, result.source) == ("pushed", Skip.NO_SOURCE, None)

    @given(
        st.lists(
            st.sampled_from(["import", "opted", "reference", "alias", "digest", "pinned", "none", "held"]), max_size=9
        ),
        st.sampled_from([True, False]),
    )
    def test_what_is_skipped_is_never_imported_and_what_is_not_is(self, kinds: list[str], write: bool) -> None:
        pinned = {"kind": "ImageStreamImage", "name": f"{STREAM}@{digest('old')}"}
        make: dict[str, Callable[[str], JSON]] = {
            "import": spec_tag,
            "opted": lambda name: spec_tag(name, annotations={"import-images.dev/skip": "true"}),
            "reference": lambda name: spec_tag(name, reference=True),
            "alias": lambda name: spec_tag(name, alias("t0")),
            "digest": lambda name: spec_tag(name, "quay.io/x@sha256:1"),
            "pinned": lambda name: spec_tag(name, pinned),
            "none": lambda name: spec_tag(name, {}),
            "held": lambda name: spec_tag(name, pinned, annotations=hold_annotation(pinned, digest("old"))),
        }
        world = World(stream_json(*(make[kind](f"t{number}") for number, kind in enumerate(kinds))), write=write)
        results = world.run()
        sent = [tag for request in world.cluster.imports for tag in request.tags]
        assert sent == [f"t{number}" for number, kind in enumerate(kinds) if kind == "import"]
        assert sorted(result.tag for result in results) == sorted(f"t{number}" for number in range(len(kinds)))


class TestAliases:
    def test_an_alias_moves_with_the_tag_it_follows(self) -> None:
        world = World(stream_json(spec_tag("live", alias("prod")), spec_tag("prod")))
        results = world.import_tags(PROD)
        assert results["prod"].moved_with == ("live",)

    def test_aliases_of_aliases_move_along(self) -> None:
        tags = [spec_tag("a", alias("b")), spec_tag("b", alias("prod")), spec_tag("c", alias("prod")), spec_tag("prod")]
        world = World(stream_json(*tags))
        assert world.import_tags(PROD)["prod"].moved_with == ("a", "b", "c")

    def test_a_skipped_alias_shows_the_image_that_it_moved_to(self) -> None:
        world = World(stream_json(spec_tag("live", alias("prod")), spec_tag("prod")))
        world.cluster.images[digest("new")] = image_json(digest("new"), revision="no", **{"vcs-ref": "4d5e6f"})
        live = world.import_tags()["live"]
        assert (live.result, live.reason) == (Result.SKIPPED, Skip.ALIAS)
        assert held_digests(live) == (digest("old"), digest("new"))
        assert live.after and live.after.revision == "4d5e6f"

    def test_an_alias_that_did_not_move_is_not_named(self) -> None:
        world = World(stream_json(spec_tag("live", alias("elsewhere:prod")), spec_tag("prod")))
        assert world.import_tags(PROD)["prod"].moved_with == ()

    def test_an_alias_that_had_the_new_image_already_is_not_named(self) -> None:
        world = World(
            stream_json(
                spec_tag("live", alias("prod")),
                spec_tag("prod"),
                images={"live": digest("new"), "prod": digest("old")},
            )
        )
        assert world.import_tags(PROD)["prod"].moved_with == ()

    def test_an_alias_that_had_no_image_moves_too(self) -> None:
        world = World(
            stream_json(
                spec_tag("live", alias("prod")),
                spec_tag("prod"),
                images={"live": None, "prod": digest("old")},
            )
        )
        assert world.import_tags(PROD)["prod"].moved_with == ("live",)

    def test_an_alias_under_the_streams_own_name_counts(self) -> None:
        world = World(stream_json(spec_tag("live", alias(f"{STREAM}:prod")), spec_tag("prod")))

        def moves_along(usual: Usual) -> Any:
            world.cluster.push("live", digest("new"))
            world.cluster.push("prod", digest("new"))
            said = {"status": {"status": "Success"}, "image": {"metadata": {"name": digest("new")}}}
            return {"status": {"images": [said], "import": world.cluster.streams[NAMESPACE, STREAM]}}

        world.cluster.on_create.append(moves_along)
        assert world.import_tags(PROD)["prod"].moved_with == ("live",)


class TestConflicts:
    def test_on_a_conflict_the_stream_is_read_and_its_version_sent(self) -> None:
        world = world_of("prod")
        world.cluster.on_create.append(after(world.cluster.change))
        result = world.import_one()
        first, second = world.cluster.imports
        assert (result.result, result.attempts) == (Result.UPDATED, 2)
        assert len(world.cluster.reads) == 1
        assert first.version == "100"
        assert second.version == "200"

    def test_a_rollback_made_meanwhile_is_not_undone(self) -> None:
        world = world_of("prod")
        world.cluster.push("prod", digest("bad"))
        world.cluster.on_create.append(after(lambda: roll_back(world.cluster, "prod", digest("old"))))
        result = world.import_one()
        assert (result.result, result.reason) == (Result.SKIPPED, Skip.HELD)
        assert held_digests(result) == (digest("bad"), digest("old"))
        assert result.hold and result.hold.reason == "crashes"
        assert len(world.cluster.imports) == 1

    def test_only_the_tag_that_was_rolled_back_is_left_out(self) -> None:
        world = world_of("a", "b")
        world.cluster.on_create.append(after(lambda: roll_back(world.cluster, "a", digest("old"))))
        results = world.import_tags()
        assert [request.tags for request in world.cluster.imports] == [["a", "b"], ["b"]]
        assert (results["a"].reason, results["b"].result) == (Skip.HELD, Result.UPDATED)

    def test_a_tag_that_was_opted_out_meanwhile_is_skipped(self) -> None:
        world = world_of("prod")
        opt_out = {"import-images.dev/skip": "true"}
        world.cluster.on_create.append(after(lambda: world.cluster.change_tag("prod", annotations=opt_out)))
        assert world.import_one().reason is Skip.OPTED_OUT

    def test_a_source_that_was_changed_meanwhile_is_imported(self) -> None:
        world = world_of("prod")
        moved = {"from": docker("quay.io/moved/w:prod")}
        world.cluster.on_create.append(after(lambda: world.cluster.change_tag("prod", **moved)))
        result = world.import_one()
        assert result.source == "quay.io/moved/w:prod"
        assert world.cluster.imports[-1].sources == ["quay.io/moved/w:prod"]

    def test_policies_that_were_changed_meanwhile_are_kept(self) -> None:
        world = world_of("prod")
        policy = {"scheduled": True}
        world.cluster.on_create.append(after(lambda: world.cluster.change_tag("prod", importPolicy=policy)))
        world.run()
        assert world.cluster.imports[-1].body["spec"]["images"][0]["importPolicy"] == policy

    def test_a_tag_that_was_removed_meanwhile_is_not_found(self) -> None:
        world = world_of("prod", "stg")

        def remove() -> None:
            stream = world.cluster.change()
            stream["spec"]["tags"] = [tag for tag in stream["spec"]["tags"] if tag["name"] != "prod"]
            stream["status"]["tags"] = [tag for tag in stream["status"]["tags"] if tag["tag"] != "prod"]

        world.cluster.on_create.append(after(remove))
        results = world.import_tags()
        assert (results["prod"].result, results["prod"].reason, results["prod"].by) == (
            Result.FAILED,
            Reason.NOT_FOUND,
            By.API,
        )
        assert held_digests(results["prod"]) == (digest("old"), None)
        assert results["stg"].result is Result.UPDATED

    def test_a_stream_that_was_deleted_meanwhile_leaves_no_image(self) -> None:
        world = world_of("prod")
        world.cluster.on_create.append(after(world.cluster.streams.clear))
        result = world.import_one()
        assert (result.result, result.reason, result.by) == (Result.FAILED, Reason.NOT_FOUND, By.API)
        assert held_digests(result) == (digest("old"), None)

    def test_conflicts_without_end_are_one(self) -> None:
        world = world_of("prod", retries=2)
        world.cluster.on_create.extend([after(world.cluster.change)] * 9)
        result = world.import_one()
        assert (result.reason, result.by, result.attempts) == (Reason.CONFLICT, By.API, 3)

    def test_after_a_last_conflict_the_result_is_what_the_stream_holds_now(self) -> None:
        world = world_of("prod", retries=0)
        world.cluster.on_create.append(after(lambda: world.cluster.push("prod", digest("theirs"))))
        assert held_digests(world.import_one()) == (digest("old"), digest("theirs"))

    def test_a_conflict_passes_within_a_second(self) -> None:
        world = world_of("prod")
        world.cluster.on_create.append(after(world.cluster.change))
        world.run()
        assert 0 < sum(world.waits) < 1

    def test_a_read_that_is_refused_fails_the_tag_at_once(self) -> None:
        world = world_of("prod")
        world.cluster.on_create.append(after(world.cluster.change))
        world.cluster.on_get.append(refuse(api_error(403)))
        result = world.import_one()
        assert (result.result, result.reason, result.by) == (Result.FAILED, Reason.FORBIDDEN, By.API)
        assert len(world.cluster.imports) == 1

    def test_a_read_that_breaks_is_tried_again(self) -> None:
        world = world_of("prod")
        world.cluster.on_create.append(after(world.cluster.change))
        world.cluster.on_get.append(refuse(api_error(503)))
        assert world.import_one().result is Result.UPDATED

    def test_attempts_count_imports_and_not_reads(self) -> None:
        world = world_of("prod")
        world.cluster.on_create.append(after(world.cluster.change))
        world.cluster.on_get.append(refuse(api_error(503)))
        assert world.import_one().attempts == len(world.cluster.imports) == 2


class TestWholeRequests:
    @pytest.mark.parametrize("code", [422, 504])
    def test_three_images_refused_together_go_one_by_one(self, code: int) -> None:
        world = world_of("a", "bad", "c")

        def bad_spoils_all(usual: Usual) -> Any:
            if "bad" in world.cluster.imports[-1].tags:
                raise api_error(code)
            return usual()

        world.cluster.on_create.extend([bad_spoils_all] * 9)
        results = world.import_tags()
        assert [request.tags for request in world.cluster.imports] == [["a", "bad", "c"], ["a"], ["bad"], ["c"]]
        assert {tag: result.result for tag, result in results.items()} == {
            "a": Result.UPDATED,
            "bad": Result.FAILED,
            "c": Result.UPDATED,
        }
        assert results["bad"].reason is (Reason.INVALID if code == 422 else Reason.TIMEOUT)
        assert results["bad"].by is By.API
        assert results["bad"].attempts == 2

    @pytest.mark.parametrize("code", [422, 504])
    def test_even_without_retries_the_good_images_are_imported(self, code: int) -> None:
        world = world_of("a", "b", "c", retries=0)
        world.cluster.on_create.append(refuse(api_error(code)))
        assert {result.result for result in world.run()} == {Result.UPDATED}

    def test_a_single_invalid_image_is_not_sent_again(self) -> None:
        world = world_of("prod")
        world.cluster.on_create.append(refuse(api_error(422)))
        result = world.import_one()
        assert (result.reason, result.attempts) == (Reason.INVALID, 1)

    def test_a_single_image_that_timed_out_is_sent_once_more(self) -> None:
        world = world_of("prod")
        world.cluster.on_create.extend([refuse(api_error(504))] * 9)
        result = world.import_one()
        assert (result.reason, result.by, result.attempts) == (Reason.TIMEOUT, By.API, 2)

    def test_a_timeout_after_a_conflict_is_tried_once_more_too(self) -> None:
        world = world_of("prod")
        world.cluster.on_create.extend([after(world.cluster.change), refuse(api_error(504))])
        assert world.import_one().result is Result.UPDATED

    @pytest.mark.parametrize("code", [401, 403])
    def test_a_refusal_is_not_repeated(self, code: int) -> None:
        world = world_of("prod")
        world.cluster.on_create.append(refuse(api_error(code)))
        result = world.import_one()
        assert (result.result, result.by, result.attempts) == (Result.FAILED, By.API, 1)

    @pytest.mark.parametrize("code", [429, 500, 502, 503])
    def test_what_may_pass_is_tried_again(self, code: int) -> None:
        world = world_of("prod")
        world.cluster.on_create.extend([refuse(api_error(code))] * 4)
        result = world.import_one()
        assert (result.result, result.attempts) == (Result.UPDATED, 5)

    @pytest.mark.parametrize("retries", [0, 1, 4])
    def test_what_does_not_pass_is_tried_as_often_as_set(self, retries: int) -> None:
        world = world_of("prod", retries=retries)
        world.cluster.on_create.extend([refuse(api_error(503))] * 99)
        result = world.import_one()
        assert (result.reason, result.by) == (Reason.API_ERROR, By.API)
        assert result.attempts == len(world.cluster.imports) == retries + 1

    def test_an_answer_that_leaves_an_image_out_is_not_believed(self) -> None:
        world = world_of("a", "b")
        said = {"status": {"status": "Success"}, "image": {"metadata": {"name": digest("new")}}}
        world.cluster.on_create.append(answer({"status": {"images": [said], "import": stream_json()}}))
        results = world.import_tags()
        assert {result.result for result in results.values()} == {Result.UPDATED}
        assert [request.tags for request in world.cluster.imports] == [["a", "b"], ["a", "b"]]

    def test_an_answer_without_the_stream_is_not_believed(self) -> None:
        world = world_of("prod", retries=0)
        said = {"status": {"status": "Success"}, "image": {"metadata": {"name": digest("new")}}}
        world.cluster.on_create.append(answer({"status": {"images": [said]}}))
        result = world.import_one()
        assert (result.result, result.reason) == (Result.FAILED, Reason.API_ERROR)
        assert held_digests(result) == (digest("old"), digest("old"))

    def test_the_other_images_of_a_stream_wait_along(self) -> None:
        world = world_of("a", "b", "c", "d")
        world.cluster.on_create.append(refuse(api_error(503)))
        world.run()
        assert world.waits
        assert [request.tags for request in world.cluster.imports] == [["a", "b", "c"], ["a", "b", "c"], ["d"]]


class TestSuccessWithoutAnImage:
    def test_it_is_a_failure_after_retries(self) -> None:
        world = world_of("prod", retries=2)
        world.cluster.registry["quay.io/packit/prod:prod"] = NO_IMAGE
        result = world.import_one()
        assert (result.result, result.reason, result.by) == (Result.FAILED, Reason.REGISTRY_ERROR, By.REGISTRY)
        assert result.attempts == 3

    def test_it_is_sent_again_alone(self) -> None:
        world = world_of("a", "b", "c")

        def spoilt_by_another(usual: Usual) -> Any:
            if len(world.cluster.imports[-1].tags) > 1:
                world.cluster.registry["quay.io/packit/b:b"] = NO_IMAGE
            given = usual()
            world.cluster.registry.clear()
            return given

        world.cluster.on_create.extend([spoilt_by_another] * 9)
        results = world.import_tags()
        assert [request.tags for request in world.cluster.imports] == [["a", "b", "c"], ["b"]]
        assert {result.result for result in results.values()} == {Result.UPDATED}


class TestLostAnswers:
    @pytest.mark.parametrize("error", [connection_lost, no_answer_in_time])
    def test_before_another_try_the_stream_is_read(self, error: Callable[[], ClusterError]) -> None:
        world = world_of("prod")
        world.cluster.on_create.append(lose(error()))
        result = world.import_one()
        assert (result.result, result.attempts) == (Result.UPDATED, 2)
        assert held_digests(result) == (digest("old"), digest("new"))
        assert [r.verb for r in world.cluster.requests][:3] == ["create", "get", "create"]

    @pytest.mark.parametrize("error", [connection_lost, no_answer_in_time])
    def test_when_it_was_the_last_try_a_read_tells_that_it_was_imported(
        self, error: Callable[[], ClusterError]
    ) -> None:
        world = world_of("prod", retries=0)
        world.cluster.on_create.append(lose(error()))
        result = world.import_one()
        assert (result.result, result.reason, result.by) == (Result.UPDATED, None, None)
        assert held_digests(result) == (digest("old"), digest("new"))
        assert result.message and "a read afterwards shows" in result.message

    def test_an_alias_that_moved_is_named_then_too(self) -> None:
        world = World(stream_json(spec_tag("live", alias("prod")), spec_tag("prod")), retries=0)
        world.cluster.on_create.append(lose(connection_lost()))
        results = world.import_tags()
        assert results["prod"].moved_with == ("live",)
        assert held_digests(results["live"]) == (digest("old"), digest("new"))

    def test_when_it_was_the_last_try_a_read_tells_that_it_was_not_imported(self) -> None:
        world = world_of("prod", retries=0)
        world.cluster.on_create.append(refuse(connection_lost()))
        result = world.import_one()
        assert (result.result, result.reason, result.by) == (Result.FAILED, Reason.UNREACHABLE, By.API)
        assert held_digests(result) == (digest("old"), digest("old"))

    def test_when_the_read_fails_nobody_knows_what_the_tag_holds(self) -> None:
        world = world_of("prod", retries=0)
        world.cluster.on_create.append(lose(connection_lost()))
        world.cluster.on_get.extend([refuse(connection_lost())] * 9)
        result = world.import_one()
        assert (result.result, result.reason) == (Result.FAILED, Reason.UNREACHABLE)
        assert held_digests(result) == (digest("old"), None)

    @pytest.mark.parametrize("code", [403, 503])
    def test_when_the_read_before_another_try_is_refused_nobody_knows_either(self, code: int) -> None:
        world = world_of("prod", retries=1)
        world.cluster.on_create.append(lose(connection_lost()))
        world.cluster.on_get.extend([refuse(api_error(code))] * 9)
        result = world.import_one()
        assert result.result is Result.FAILED
        assert held_digests(result) == (digest("old"), None)

    @pytest.mark.parametrize("code", [500, 502, 503, 504])
    def test_a_servers_error_after_the_effect_is_told_as_the_effect(self, code: int) -> None:
        world = world_of("prod", retries=0)
        world.cluster.on_create.append(lose(api_error(code)))
        assert held_digests(world.import_one()) == (digest("old"), digest("new"))

    def test_a_look_up_whose_answer_was_lost_is_never_an_update(self) -> None:
        world = world_of("prod", retries=0, write=False)

        def lost_while_somebody_else_imports(usual: Usual) -> Any:
            world.cluster.push("prod", digest("theirs"))
            raise connection_lost()

        world.cluster.on_create.append(lost_while_somebody_else_imports)
        assert world.import_one().result is Result.FAILED


class TestPacing:
    @pytest.mark.parametrize("image", [RATE_LIMITED, REGISTRY_DOWN])
    def test_an_image_that_may_pass_is_tried_again_with_growing_waits(self, image: JSON) -> None:
        world = world_of("prod", retries=4)
        world.cluster.registry["quay.io/packit/prod:prod"] = image
        result = world.import_one()
        assert (result.result, result.by, result.attempts) == (Result.FAILED, By.REGISTRY, 5)
        assert [round(wait, 3) for wait in world.waits] == [0.75, 1.5, 3.0, 6.0]

    @pytest.mark.parametrize("image", [NOT_FOUND, UNAUTHORIZED, failure("Invalid", "bad")])
    def test_an_image_that_does_not_pass_is_not_tried_again(self, image: JSON) -> None:
        world = world_of("prod")
        world.cluster.registry["quay.io/packit/prod:prod"] = image
        assert world.import_one().attempts == 1
        assert world.retried == []

    def test_one_images_failure_does_not_repeat_the_others(self) -> None:
        world = world_of("a", "b", "c")
        world.cluster.registry["quay.io/packit/b:b"] = RATE_LIMITED
        results = world.import_tags()
        assert [request.tags for request in world.cluster.imports] == [["a", "b", "c"], *[["b"]] * 4]
        assert (results["a"].attempts, results["b"].attempts) == (1, 5)

    @pytest.mark.parametrize("code", [429, 503])
    def test_what_the_server_asks_for_is_waited(self, code: int) -> None:
        world = world_of("prod")
        world.cluster.on_create.append(refuse(api_error(code, retry_after=17)))
        world.run()
        assert sum(world.waits) >= 17

    def test_no_wait_goes_beyond_the_deadline(self) -> None:
        world = world_of("prod", deadline=60)
        world.cluster.on_create.append(refuse(api_error(429, retry_after=61)))
        result = world.import_one()
        assert (result.result, result.reason) == (Result.FAILED, Reason.RATE_LIMITED)
        assert world.now < 60

    @pytest.mark.parametrize("code", [429, 503])
    def test_an_api_that_asks_to_slow_down_slows_all_streams_down(self, code: int) -> None:
        world = world_of("prod")
        world.cluster.on_create.append(refuse(api_error(code)))
        world.run()
        assert world.throttle.slowed_down == 1

    def test_a_registry_that_limits_slows_all_streams_down(self) -> None:
        world = world_of("prod", retries=0)
        world.cluster.registry["quay.io/packit/prod:prod"] = RATE_LIMITED
        world.run()
        assert world.throttle.slowed_down == 1

    def test_a_read_that_the_api_limits_slows_all_streams_down(self) -> None:
        world = world_of("prod")
        world.cluster.on_create.append(after(world.cluster.change))
        world.cluster.on_get.append(refuse(api_error(429)))
        world.run()
        assert world.throttle.slowed_down == 1

    @pytest.mark.parametrize("error", [api_error(409), api_error(422), connection_lost()])
    def test_other_errors_slow_nobody_down(self, error: ClusterError) -> None:
        world = world_of("prod")
        world.cluster.on_create.append(refuse(error))
        world.run()
        assert world.throttle.slowed_down == 0

    def test_a_request_that_is_sent_again_is_one_retry(self) -> None:
        world = world_of("a", "b", "c")
        world.cluster.on_create.append(refuse(api_error(429)))
        world.run()
        assert len(world.cluster.imports) == 2
        assert world.retried == ["rate_limited"]

    def test_every_result_is_told_as_progress_once(self) -> None:
        world = World(stream_json(spec_tag("a"), spec_tag("b", alias("a")), spec_tag("c")))
        world.cluster.registry["quay.io/packit/c:c"] = NOT_FOUND
        world.run()
        assert world.settled == 3


class TestPlan:
    def test_it_asks_only_what_would_be_imported(self) -> None:
        world = world_of("prod", write=False)
        before = json.dumps(world.cluster.streams[NAMESPACE, STREAM])
        world.run()
        assert world.cluster.imports[0].body["spec"]["import"] is False
        assert json.dumps(world.cluster.streams[NAMESPACE, STREAM]) == before

    def test_it_shows_the_image_that_would_come_in(self) -> None:
        world = world_of("prod", write=False)
        world.cluster.images[digest("new")] = image_json(digest("new"), "2026-11-23T10:00:00Z", version="2.0")
        result = world.import_one()
        assert result.result is Result.UPDATED
        assert held_digests(result) == (digest("old"), digest("new"))
        assert result.after == Image(digest("new"), parse_time("2026-11-23T10:00:00Z"), None, None, "2.0")

    def test_it_shows_what_would_stay(self) -> None:
        world = world_of("prod", write=False)
        world.cluster.registry["quay.io/packit/prod:prod"] = digest("old")
        result = world.import_one()
        assert result.result is Result.UNCHANGED
        assert result.after and result.after.imported_at == parse_time("2026-11-17T02:00:00Z")

    def test_it_shows_a_look_up_that_failed(self) -> None:
        world = world_of("prod", write=False)
        world.cluster.registry["quay.io/packit/prod:prod"] = NOT_FOUND
        result = world.import_one()
        assert (result.result, result.reason) == (Result.FAILED, Reason.NOT_FOUND)
        assert held_digests(result) == (digest("old"), digest("old"))

    def test_it_does_not_claim_that_aliases_moved(self) -> None:
        world = World(stream_json(spec_tag("live", alias("prod")), spec_tag("prod")), write=False)
        results = world.import_tags()
        assert results["prod"].moved_with == ()
        assert held_digests(results["live"]) == (digest("old"), digest("old"))


class TestDescriptions:
    def test_the_new_image_is_described_by_the_answer_and_the_old_one_by_a_request(self) -> None:
        world = world_of("prod")
        world.cluster.images = {
            digest("old"): image_json(digest("old"), "2026-11-10T10:00:00Z", **{"vcs-ref": "1a2b3c"}),
            digest("new"): image_json(digest("new"), "2026-11-23T10:00:00Z", **{"vcs-ref": "4d5e6f"}),
        }
        result = world.import_one()
        assert result.before and (result.before.revision, result.before.created) == (
            "1a2b3c",
            parse_time("2026-11-10T10:00:00Z"),
        )
        assert result.after and result.after.revision == "4d5e6f"
        assert world.cluster.descriptions == [f"{STREAM}@{digest('old')}"]

    def test_an_unchanged_tag_costs_no_request(self) -> None:
        world = world_of("prod")
        world.cluster.registry["quay.io/packit/prod:prod"] = digest("old")
        world.cluster.images[digest("old")] = image_json(digest("old"), **{"vcs-ref": "1a2b3c"})
        result = world.import_one()
        assert world.cluster.descriptions == []
        assert result.before and result.after and result.before.revision == result.after.revision == "1a2b3c"

    def test_an_image_is_asked_for_once_for_all_its_tags(self) -> None:
        world = world_of("a", "b", "c", "d")
        world.run()
        assert world.cluster.descriptions == [f"{STREAM}@{digest('old')}"]

    def test_an_index_is_described_by_its_linux_amd64_manifest(self) -> None:
        world = world_of("prod")
        world.cluster.images = {
            digest("old"): index_json(digest("old"), arm64=digest("arm"), amd64=digest("amd")),
            digest("arm"): image_json(digest("arm"), revision="wrong"),
            digest("amd"): image_json(
                digest("amd"), "2026-11-10T10:00:00Z", **{"org.opencontainers.image.revision": "right"}
            ),
        }
        before = world.import_one().before
        assert before and (before.digest, before.revision) == (digest("old"), "right")
        assert before.created == parse_time("2026-11-10T10:00:00Z")

    def test_an_index_that_came_in_is_described_by_the_answer(self) -> None:
        world = world_of("prod")
        world.cluster.images = {
            digest("new"): index_json(digest("new"), amd64=digest("amd")),
            digest("amd"): image_json(digest("amd"), "2026-11-23T10:00:00Z", version="3"),
        }
        result = world.import_one()
        assert result.after and (result.after.digest, result.after.version) == (digest("new"), "3")

    def test_an_index_whose_manifests_did_not_come_along_is_asked_for(self) -> None:
        world = world_of("prod")
        world.cluster.images = {digest("old"): image_json(digest("old"))}
        index = index_json(digest("new"), amd64=digest("amd"))
        world.cluster.registry["quay.io/packit/prod:prod"] = {"status": {"status": "Success"}, "image": index}
        world.cluster.images[digest("new")] = index
        world.cluster.images[digest("amd")] = image_json(digest("amd"), version="3")
        result = world.import_one()
        assert result.after and result.after.version == "3"

    def test_a_pruned_image_gives_nulls(self) -> None:
        before = world_of("prod").import_one().before
        assert before == Image(digest("old"), None, parse_time("2026-11-17T02:00:00Z"), None, None)

    def test_without_the_right_it_is_said_once_and_gives_nulls(self, caplog: pytest.LogCaptureFixture) -> None:
        world = World(stream_json(spec_tag("a"), spec_tag("b"), images={"a": digest("1"), "b": digest("2")}))
        world.cluster.on_describe.extend([refuse(api_error(403))] * 9)
        results = world.import_tags()
        assert {result.result for result in results.values()} == {Result.UPDATED}
        assert [result.before and result.before.created for result in results.values()] == [None, None]
        assert len(world.cluster.descriptions) == 1
        (record,) = caplog.records
        assert "imagestreamimages" in record.getMessage() and NAMESPACE in record.getMessage()

    def test_what_one_namespace_may_not_tell_another_may(self) -> None:
        world = World(stream_json(spec_tag("prod")), stream_json(spec_tag("prod"), namespace="other"))
        world.cluster.images[digest("old")] = image_json(digest("old"), version="1")
        world.cluster.on_describe.append(refuse(api_error(403)))
        world.run()
        (result,) = world.run(namespace="other")
        assert result.before and result.before.version == "1"

    def test_a_failed_description_does_not_take_away_what_is_known(self) -> None:
        world = world_of("prod")
        facts = image_json(digest("old"), version="1")
        world.cluster.images[digest("old")] = facts

        def learned_meanwhile(usual: Usual) -> Any:
            other = Wanted(patterns=(Pattern("*"),))
            world.cluster.registry["quay.io/packit/prod:prod"] = digest("old")
            world.run(other)
            raise api_error(503)

        world.cluster.on_describe.append(learned_meanwhile)
        before = world.import_one().before
        assert before and before.version == "1"

    @pytest.mark.parametrize("code", [429, 503])
    def test_a_description_that_may_pass_is_asked_for_again(self, code: int) -> None:
        world = world_of("prod")
        world.cluster.images[digest("old")] = image_json(digest("old"), version="1")
        world.cluster.on_describe.append(refuse(api_error(code)))
        before = world.import_one().before
        assert before and before.version == "1"

    def test_every_kind_of_skip_is_described(self) -> None:
        world = World(stream_json(spec_tag("live", alias("prod"))))
        world.cluster.images[digest("old")] = image_json(digest("old"), version="1")
        live = world.import_one()
        assert live.before and live.after and (live.before.version, live.after.version) == ("1", "1")


FAULTS: dict[str, Callable[[], Turn | None]] = {
    "fine": lambda: None,
    "conflict": lambda: refuse(api_error(409)),
    "forbidden": lambda: refuse(api_error(403)),
    "invalid": lambda: refuse(api_error(422)),
    "limited": lambda: refuse(api_error(429, retry_after=2)),
    "broken": lambda: refuse(api_error(500)),
    "down": lambda: refuse(api_error(503)),
    "timed out": lambda: refuse(api_error(504)),
    "unreachable": lambda: refuse(ClusterError(Reason.UNREACHABLE, "connection refused")),
    "lost": lambda: lose(connection_lost()),
    "lost and nothing done": lambda: refuse(connection_lost()),
    "hangs": lambda: lose(no_answer_in_time()),
    "nonsense": lambda: answer({"status": {"images": []}}),
}
IMAGES: tuple[str | JSON, ...] = (
    *("sha256:new", "sha256:old"),
    *(RATE_LIMITED, REGISTRY_DOWN, NOT_FOUND, UNAUTHORIZED, NO_IMAGE, failure("", ""), failure("Forbidden", "blocked")),
)


@dataclass(frozen=True)
class Storm:
    """A stream to import, and all that goes wrong meanwhile."""

    retries: int
    write: bool
    chance: float
    tags: tuple[tuple[str, bool], ...]
    registry: tuple[str | JSON, ...]
    on_create: tuple[str, ...]
    on_get: tuple[str, ...]

    def world(self, **options: Any) -> World:
        tags = [
            spec_tag(f"t{number}", source, importPolicy={"insecure": insecure})
            for number, (source, insecure) in enumerate(self.tags)
        ]
        world = World(stream_json(*tags), retries=self.retries, write=self.write, chance=self.chance, **options)
        world.cluster.registry = dict(zip(SOURCES, self.registry, strict=True))
        world.cluster.on_create.extend(FAULTS[fault]() for fault in self.on_create)
        world.cluster.on_get.extend(FAULTS[fault]() for fault in self.on_get)
        return world


SOURCES = tuple(f"quay.io/packit/{name}:prod" for name in "abc")
storms = st.builds(
    Storm,
    retries=st.integers(0, 5),
    write=st.booleans(),
    chance=st.floats(0, 0.99),
    tags=st.lists(st.tuples(st.sampled_from(SOURCES), st.booleans()), min_size=1, max_size=8).map(tuple),
    registry=st.tuples(*[st.sampled_from(IMAGES)] * 3),
    on_create=st.lists(st.sampled_from(sorted(FAULTS)), max_size=20).map(tuple),
    on_get=st.lists(st.sampled_from(sorted(FAULTS.keys() - {"nonsense", "hangs"})), max_size=20).map(tuple),
)


CALM = Storm(1, True, 0.0, ((SOURCES[0], False),), ("sha256:new",) * 3, (), ())


class TestProperties:
    @given(storms)
    def test_every_tag_gets_exactly_one_result(self, storm: Storm) -> None:
        world = storm.world()
        names = [tag["name"] for tag in world.cluster.streams[NAMESPACE, STREAM]["spec"]["tags"]]
        results = world.run()
        assert sorted(result.tag for result in results) == sorted(names)
        assert world.settled == len(names)

    @given(storms)
    def test_no_tag_is_sent_more_often_than_allowed(self, storm: Storm) -> None:
        # A request that was refused as a whole is no verdict on an image: once, its images are sent anew one by one.
        world = storm.world()
        world.run()
        split = {tag for request in world.cluster.imports if len(request.tags) > 1 for tag in request.tags}
        sent = [tag for request in world.cluster.imports for tag in request.tags]
        for tag in set(sent):
            assert sent.count(tag) <= storm.retries + 1 + (tag in split)

    @example(replace(CALM, tags=((SOURCES[0], False),) * 2, on_create=("hangs", "timed out", "hangs")))
    @given(storms)
    def test_no_tag_times_out_more_often_than_twice(self, storm: Storm) -> None:
        world = storm.world()
        timed_out: list[str] = []
        turns = list(world.cluster.on_create)
        world.cluster.on_create.clear()

        def watched(turn: Turn | None) -> Turn:
            def watch(usual: Usual) -> Any:
                try:
                    return turn(usual) if turn else usual()
                except ClusterError as error:
                    if error.reason is Reason.TIMEOUT:
                        timed_out.extend(world.cluster.imports[-1].tags)
                    raise

            return watch

        world.cluster.on_create.extend(watched(turn) for turn in turns)
        world.run()
        assert all(timed_out.count(tag) <= 2 for tag in timed_out)

    @given(storms)
    def test_no_request_has_more_than_three_images_or_mixes_insecure(self, storm: Storm) -> None:
        world = storm.world()
        world.run()
        for request in world.cluster.imports:
            images = request.body["spec"]["images"]
            assert 1 <= len(images) <= 3
            for one in images:
                for other in images:
                    if one["from"] == other["from"]:
                        assert one["importPolicy"] == other["importPolicy"]

    @given(storms)
    def test_a_failure_has_a_reason_and_a_success_has_none(self, storm: Storm) -> None:
        world = storm.world()
        for result in world.run():
            if result.result is Result.FAILED:
                assert isinstance(result.reason, Reason) and result.by and result.message
            else:
                assert (result.result in (Result.UPDATED, Result.UNCHANGED), result.reason, result.by) == (
                    True,
                    None,
                    None,
                )

    @example(replace(CALM, on_create=("lost",), on_get=("broken",)))
    @given(storms)
    def test_what_is_told_of_a_tag_is_what_the_cluster_holds(self, storm: Storm) -> None:
        storm = replace(storm, write=True)
        world = storm.world()
        results = world.run()
        stream = stream_from(world.cluster.streams[NAMESPACE, STREAM])
        for result in results:
            held = stream.tag(result.tag)
            assert held and held.current
            if result.after is not None:
                assert result.after.digest == held.current.digest
            if result.result is Result.UPDATED:
                assert held.current.digest == digest("new")

    @given(storms)
    def test_there_are_no_more_retries_than_requests(self, storm: Storm) -> None:
        world = storm.world()
        world.run()
        assert len(world.retried) <= len(world.cluster.requests)

    @given(st.integers(1, 40))
    def test_when_nothing_fails_requests_are_as_few_as_can_be(self, count: int) -> None:
        world = world_of(*(f"t{number}" for number in range(count)))
        assert len(world.run()) == count
        assert len(world.cluster.imports) == math.ceil(count / 3)

    @given(storms, st.floats(0.1, 60))
    def test_no_wait_leads_beyond_the_deadline(self, storm: Storm, deadline: float) -> None:
        world = storm.world(deadline=deadline)
        world.run()
        assert world.now < deadline + 1e-3


def surroundings(cluster: ScriptedCluster, deadline: float = 1e9, clock: Callable[[], float] = lambda: 0.0) -> Any:
    return ImportContext(
        cluster=cluster,
        options=Options(True, RetryPolicy(4), 60.0, deadline),
        describer=Describer(cluster),
        throttle=Throttle(4),
        retried=lambda namespace, reason: None,
        settled=lambda: None,
        clock=Clock(monotonic=clock, chance=lambda: 0.0),
    )


def chosen_of(cluster: ScriptedCluster, wanted: Wanted | None = None) -> list[Any]:
    streams = [stream_from(stream) for stream in cluster.streams.values()]
    return [(stream, choose(stream, wanted or Wanted())) for stream in streams]


class TestRunImports:
    def test_results_come_in_the_order_of_the_streams(self) -> None:
        names = [f"stream-{number:02}" for number in range(20)]
        cluster = ScriptedCluster(*(stream_json(spec_tag("prod"), name=name) for name in names))
        results = run_imports(chosen_of(cluster), surroundings(cluster), lambda: False)
        assert [result.stream for result in results] == names
        assert {result.result for result in results} == {Result.UPDATED}

    def test_requests_of_one_stream_follow_one_another(self) -> None:
        cluster = ScriptedCluster(*(stream_json(*(spec_tag(t) for t in "abcdefgh"), name=name) for name in ("x", "y")))
        under_way: list[str] = []
        overlaps: list[str] = []

        def watch(usual: Usual) -> Any:
            name = cluster.imports[-1].name
            overlaps.extend(each for each in under_way if each == name)
            under_way.append(name)
            try:
                return usual()
            finally:
                under_way.remove(name)

        cluster.on_create.extend([watch] * 6)
        results = run_imports(chosen_of(cluster), surroundings(cluster), lambda: False)
        assert len(results) == 16
        assert overlaps == []

    def test_told_to_stop_at_once_nothing_is_sent(self) -> None:
        cluster = ScriptedCluster(stream_json(spec_tag("prod")))
        (result,) = run_imports(chosen_of(cluster), surroundings(cluster), lambda: True)
        assert (result.result, result.reason, result.by) == (Result.FAILED, Reason.ABORTED, None)
        assert result.attempts == 0 and result.seconds is None
        assert cluster.imports == []

    def test_past_the_deadline_nothing_is_sent(self) -> None:
        cluster = ScriptedCluster(stream_json(spec_tag("prod")))
        around = surroundings(cluster, deadline=10, clock=lambda: 10.0)
        (result,) = run_imports(chosen_of(cluster), around, lambda: False)
        assert result.reason is Reason.ABORTED
        assert held_digests(result) == (digest("old"), digest("old"))
        assert cluster.imports == []

    def test_what_is_done_when_told_to_stop_keeps_its_result(self) -> None:
        cluster = ScriptedCluster(stream_json(*(spec_tag(tag) for tag in "abcd")))
        sent, noticed = threading.Event(), threading.Event()

        def told_to_stop_meanwhile(usual: Usual) -> Any:
            sent.set()
            assert noticed.wait(10)
            return usual()

        def stopping() -> bool:
            if sent.is_set():
                noticed.set()
            return sent.is_set()

        cluster.on_create.append(told_to_stop_meanwhile)
        results = {r.tag: r for r in run_imports(chosen_of(cluster), surroundings(cluster), stopping)}
        assert [results[tag].result for tag in "abc"] == [Result.UPDATED] * 3
        assert (results["d"].reason, results["d"].attempts) == (Reason.ABORTED, 0)

    def test_a_skip_keeps_its_reason_when_told_to_stop(self) -> None:
        cluster = ScriptedCluster(stream_json(spec_tag("live", alias("prod"))))
        (result,) = run_imports(chosen_of(cluster), surroundings(cluster), lambda: True)
        assert result.reason is Skip.ALIAS

    @pytest.mark.parametrize("readable", [True, False])
    def test_an_import_that_nobody_waits_for_is_told_by_a_read(
        self, readable: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("job.imagestreams.import_context.GRACE_SECONDS", 0.05)
        cluster = ScriptedCluster(stream_json(spec_tag("prod")))
        sent, let_go = threading.Event(), threading.Event()

        def hang(usual: Usual) -> Any:
            usual()
            sent.set()
            let_go.wait(10)
            raise connection_lost()

        cluster.on_create.append(hang)
        if not readable:
            cluster.on_get.append(refuse(api_error(503)))
        try:
            (result,) = run_imports(chosen_of(cluster), surroundings(cluster), sent.is_set)
        finally:
            let_go.set()
        if readable:
            assert (result.result, result.reason) == (Result.UPDATED, None)
            assert held_digests(result) == (digest("old"), digest("new"))
        else:
            assert (result.result, result.reason, result.by) == (Result.FAILED, Reason.ABORTED, None)
            assert held_digests(result) == (digest("old"), None)

    @pytest.mark.parametrize("readable", [True, False])
    def test_a_lost_answer_is_told_by_a_read_though_told_to_stop(self, readable: bool) -> None:
        cluster = ScriptedCluster(stream_json(spec_tag("prod")))
        sent, noticed = threading.Event(), threading.Event()

        def lost_when_told_to_stop(usual: Usual) -> Any:
            usual()
            sent.set()
            assert noticed.wait(10)
            raise connection_lost()

        def stopping() -> bool:
            if sent.is_set():
                noticed.set()
            return sent.is_set()

        cluster.on_create.append(lost_when_told_to_stop)
        if not readable:
            cluster.on_get.append(refuse(api_error(503)))
        (result,) = run_imports(chosen_of(cluster), surroundings(cluster), stopping)
        assert held_digests(result) == (digest("old"), digest("new") if readable else None)

    def test_an_answer_that_comes_too_late_makes_no_second_result(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("job.imagestreams.import_context.GRACE_SECONDS", 0.05)
        world = world_of("prod")
        task = world.begin()
        late = threading.Event()

        def abandoned_meanwhile(usual: Usual) -> Any:
            given = usual()
            task.abandon(under_way=True)
            late.set()
            return given

        world.cluster.on_create.append(abandoned_meanwhile)
        task.step()
        assert late.is_set()
        (result,) = task.results()
        assert result.reason is Reason.ABORTED

    def test_an_error_of_the_program_itself_is_not_swallowed(self) -> None:
        cluster = ScriptedCluster(stream_json(spec_tag("prod")))

        def defect(usual: Usual) -> Any:
            raise ZeroDivisionError

        cluster.on_create.append(defect)
        with pytest.raises(ZeroDivisionError):
            run_imports(chosen_of(cluster), surroundings(cluster), lambda: False)
