"""ImageStreams and ImageStreamImports as the API writes them, whatever is missing, null or strange in them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job.domain import holds
from job.domain.model import ImageFacts, Item, Source, Stream, Tag
from job.domain.selection import SKIP_ANNOTATION, WAVE_ANNOTATION
from job.domain.times import parse_time
from job.imagestreams.api_types import facts_from, image_of, repository_of, stream_from
from job.imagestreams.import_requests import answer_from, import_of
from tests.unit.scripted import (
    NAMESPACE,
    NO_IMAGE,
    NOT_FOUND,
    STREAM,
    alias,
    digest,
    failure,
    history_item,
    image_json,
    index_json,
    spec_tag,
    stream_json,
)

KEYS = st.sampled_from(
    [
        *("metadata", "spec", "status", "tags", "tag", "name", "from", "kind", "items", "image", "created", "images"),
        *("annotations", "importPolicy", "reference", "dockerImageMetadata", "Config", "Labels", "Created", "import"),
        *("dockerImageManifests", "manifests", "digest", "message", "reason", "namespace", "import-images.dev/skip"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("Success"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, JSON, max_size=5)


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "time"),
        [
            ("2026-11-24T02:00:03Z", datetime(2026, 11, 24, 2, 0, 3, tzinfo=UTC)),
            ("2026-11-24T02:00:03+01:00", datetime(2026, 11, 24, 1, 0, 3, tzinfo=UTC)),
            ("2026-11-24T02:00:03.123456789Z", datetime(2026, 11, 24, 2, 0, 3, 123456, tzinfo=UTC)),
        ],
    )
    def test_they_are_read_in_utc(self, text: str, time: datetime) -> None:
        assert parse_time(text) == time

    @pytest.mark.parametrize(
        "value",
        [None, 5, {}, "", "yesterday", "2026-11-24", "2026-11-24T02:00:03", "0001-01-01T00:00:00Z"],
    )
    def test_what_is_none_is_none(self, value: object) -> None:
        assert parse_time(value) is None

    @given(st.text() | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", fullmatch=True))
    def test_any_text_is_a_time_in_utc_or_none(self, text: str) -> None:
        time = parse_time(text)
        assert time is None or time.tzinfo is UTC


class TestStreams:
    def test_a_stream_is_read_with_its_version_and_its_tags(self) -> None:
        policy = {"scheduled": True}
        data = stream_json(
            spec_tag("prod", importPolicy=policy, annotations={"import-images.dev/skip": "true", "other": "x"})
        )
        assert stream_from(data) == Stream(
            NAMESPACE,
            STREAM,
            "100",
            {},
            (
                Tag(
                    name="prod",
                    source=Source("DockerImage", "quay.io/packit/prod:prod"),
                    reference=False,
                    import_policy=policy,
                    reference_policy={"type": "Source"},
                    annotations={"import-images.dev/skip": "true"},
                    current=Item(digest("old"), datetime(2026, 11, 17, 2, tzinfo=UTC)),
                ),
            ),
        )

    @pytest.mark.parametrize("name", [holds.ANNOTATION, SKIP_ANNOTATION, WAVE_ANNOTATION])
    def test_every_annotation_that_a_rule_reads_is_kept(self, name: str) -> None:
        data = stream_json(spec_tag("prod", annotations={name: "x"}), annotations={name: "y"})
        stream = stream_from(data)
        assert (stream.tags[0].annotations, stream.annotations) == ({name: "x"}, {name: "y"})

    def test_annotations_of_the_stream_are_read(self) -> None:
        data = stream_json(annotations={"import-images.dev/wave": "1", "kubectl": "..."})
        assert stream_from(data).annotations == {"import-images.dev/wave": "1"}

    def test_a_tag_of_the_status_alone_was_pushed(self) -> None:
        stream = stream_from(stream_json(images={"pushed": digest("mine")}))
        (tag,) = stream.tags
        assert (tag.name, tag.source, tag.current and tag.current.digest) == ("pushed", None, digest("mine"))

    def test_with_a_repository_only_the_tags_of_the_spec_count(self) -> None:
        data = stream_json(spec_tag("prod"), images={"prod": digest("a"), "pushed": digest("b")})
        data["spec"]["dockerImageRepository"] = "quay.io/packit/worker"
        assert [tag.name for tag in stream_from(data).tags] == ["prod"]

    def test_the_newest_image_is_the_current_one(self) -> None:
        data = stream_json(spec_tag("prod"))
        data["status"]["tags"][0]["items"] = [history_item(digest("new")), history_item(digest("old"))]
        tag = stream_from(data).tag("prod")
        assert tag and tag.current and tag.current.digest == digest("new")

    @pytest.mark.parametrize("items", [None, [], [{"image": "", "dockerImageReference": "x"}], [{}], [None], "x"])
    def test_a_tag_without_an_image_has_none(self, items: object) -> None:
        data = stream_json(spec_tag("prod"))
        data["status"]["tags"][0]["items"] = items
        assert [tag.current for tag in stream_from(data).tags] == [None]

    @pytest.mark.parametrize("source", [None, {}, {"kind": "DockerImage"}, {"kind": "DockerImage", "name": ""}])
    def test_a_tag_without_a_source_has_none(self, source: object) -> None:
        data = stream_json({"name": "prod", "from": source})
        assert [tag.source for tag in stream_from(data).tags] == [None]

    def test_an_alias_names_its_namespace_if_it_has_one(self) -> None:
        data = stream_json(spec_tag("a", {**alias("b"), "namespace": "other"}), spec_tag("b", alias("c")))
        assert [tag.source for tag in stream_from(data).tags] == [
            Source("ImageStreamTag", "b", "other"),
            Source("ImageStreamTag", "c"),
        ]

    @pytest.mark.parametrize(
        "data",
        [
            {},
            {"metadata": None, "spec": None, "status": None},
            {"metadata": {}, "spec": {"tags": None}, "status": {"tags": None}},
            {"metadata": {"annotations": None}, "spec": {"tags": []}, "status": {}},
        ],
    )
    def test_what_is_missing_or_null_is_empty(self, data: dict[str, Any]) -> None:
        assert stream_from(data).tags == ()

    @settings(max_examples=30)
    @given(OBJECTS)
    def test_anything_at_all_is_read_without_fear(self, data: dict[str, Any]) -> None:
        assert isinstance(stream_from(data), Stream)


class TestRepositories:
    @pytest.mark.parametrize(
        ("name", "repository"),
        [
            ("quay.io/packit/worker:prod", "quay.io/packit/worker"),
            ("quay.io/packit/worker", "quay.io/packit/worker"),
            ("quay.io/packit/worker@sha256:1", "quay.io/packit/worker"),
            ("quay.io/packit/worker:prod@sha256:1", "quay.io/packit/worker"),
            ("localhost:5000/worker:prod", "localhost:5000/worker"),
            ("localhost:5000/worker", "localhost:5000/worker"),
        ],
    )
    def test_it_is_the_pull_spec_without_tag_and_digest(self, name: str, repository: str) -> None:
        assert repository_of(Source("DockerImage", name)) == repository


class TestImports:
    def test_the_request_names_everything(self) -> None:
        policy = {"importMode": "PreserveOriginal", "scheduled": True, "insecure": True}
        stream = stream_from(
            stream_json(spec_tag("prod", importPolicy=policy, referencePolicy={"type": "Local"}), version=7)
        )
        assert import_of(stream, stream.tags, write=True) == {
            "apiVersion": "image.openshift.io/v1",
            "kind": "ImageStreamImport",
            "metadata": {"name": STREAM, "namespace": NAMESPACE, "resourceVersion": "7"},
            "spec": {
                "import": True,
                "images": [
                    {
                        "from": {"kind": "DockerImage", "name": "quay.io/packit/prod:prod"},
                        "to": {"name": "prod"},
                        "importPolicy": policy,
                        "referencePolicy": {"type": "Local"},
                    }
                ],
            },
        }

    def test_what_a_tag_does_not_say_is_not_sent(self) -> None:
        stream = stream_from(stream_json({"name": "prod", "from": {"kind": "DockerImage", "name": "h/x"}}))
        (image,) = import_of(stream, stream.tags, write=False)["spec"]["images"]
        assert image == {"from": {"kind": "DockerImage", "name": "h/x"}, "to": {"name": "prod"}}

    @settings(max_examples=40)
    @given(st.dictionaries(st.text("ab"), st.none() | st.booleans() | st.lists(st.integers()), max_size=3))
    def test_any_policy_goes_along_word_for_word(self, policy: dict[str, Any]) -> None:
        stream = stream_from(stream_json(spec_tag("prod", importPolicy=policy, referencePolicy=policy)))
        (image,) = import_of(stream, stream.tags, write=True)["spec"]["images"]
        assert (image["importPolicy"], image["referencePolicy"]) == (policy, policy)

    def test_a_tag_without_a_source_cannot_be_asked_for(self) -> None:
        stream = stream_from(stream_json(images={"pushed": digest("mine")}))
        with pytest.raises(ValueError, match="no source"):
            import_of(stream, stream.tags, write=True)


class TestAnswers:
    def test_each_image_is_told_by_its_place(self) -> None:
        good = {"status": {"status": "Success"}, "image": image_json(digest("new"), version="1")}
        answer = answer_from({"status": {"images": [NOT_FOUND, good], "import": stream_json()}}, 2)
        assert answer
        assert [image.digest for image in answer.images] == [None, digest("new")]
        assert answer.images[0].reason == "NotFound"
        assert answer.images[1].facts == ImageFacts(version="1")
        assert answer.stream and answer.stream.name == STREAM

    def test_success_without_an_image_is_none(self) -> None:
        answer = answer_from({"status": {"images": [NO_IMAGE]}}, 1)
        assert answer and answer.images[0].digest is None
        assert answer.images[0].message

    def test_an_image_that_came_with_a_failure_is_not_taken(self) -> None:
        entry = {**failure("InternalError", "x"), "image": image_json(digest("new"))}
        answer = answer_from({"status": {"images": [entry]}}, 1)
        assert answer and answer.images[0].digest is None

    def test_a_failure_without_a_message_says_so(self) -> None:
        answer = answer_from({"status": {"images": [{}]}}, 1)
        assert answer and answer.images[0].message == "no reason given"

    def test_a_look_up_has_no_stream(self) -> None:
        answer = answer_from({"status": {"images": [NOT_FOUND]}}, 1)
        assert answer and answer.stream is None

    @pytest.mark.parametrize("status", [None, {}, {"images": None}, {"images": []}, {"images": [NOT_FOUND] * 2}])
    def test_an_answer_of_another_length_is_none(self, status: object) -> None:
        assert answer_from({"status": status}, 1) is None

    @settings(max_examples=30)
    @given(OBJECTS, st.integers(0, 3))
    def test_anything_at_all_is_read_without_fear(self, data: dict[str, Any], count: int) -> None:
        answer = answer_from(data, count)
        assert answer is None or len(answer.images) == count

    @settings(max_examples=30)
    @given(st.lists(OBJECTS, max_size=3), JSON)
    def test_anything_in_an_answer_is_read_without_fear(self, images: list[dict[str, Any]], stream: Any) -> None:
        answer = answer_from({"status": {"images": images, "import": stream}}, len(images))
        assert answer and len(answer.images) == len(images)


class TestFacts:
    @pytest.mark.parametrize(
        ("labels", "revision", "version"),
        [
            ({"org.opencontainers.image.revision": "a", "vcs-ref": "b"}, "a", None),
            ({"vcs-ref": "b"}, "b", None),
            ({"org.opencontainers.image.revision": "", "vcs-ref": "b"}, "b", None),
            ({"org.opencontainers.image.version": "1", "version": "2"}, None, "1"),
            ({"version": "2"}, None, "2"),
            ({"revision": "x"}, None, None),
            # Whoever builds an image writes them.
            ({"version": "\x1b]0;x\x07" + "y" * 1_000_000}, None, "]0;x " + "y" * 194 + "…"),
            ({"version": "\n"}, None, None),
        ],
    )
    def test_labels_in_their_order(self, labels: dict[str, str], revision: str | None, version: str | None) -> None:
        facts = facts_from(image_json(digest("x"), "2026-11-24T02:00:03.5Z", **labels))
        assert (facts.revision, facts.version) == (revision, version)
        assert facts.created == datetime(2026, 11, 24, 2, 0, 3, 500000, tzinfo=UTC)

    def test_an_index_has_the_facts_of_its_linux_amd64_manifest(self) -> None:
        index = index_json(digest("i"), arm64=digest("arm"), amd64=digest("amd"))
        parts = [image_json(digest("arm"), version="arm"), image_json(digest("amd"), version="amd")]
        assert facts_from(index, parts).version == "amd"

    def test_an_index_without_one_has_those_of_its_first(self) -> None:
        index = index_json(digest("i"), s390x=digest("z"), arm64=digest("arm"))
        assert facts_from(index, [image_json(digest("z"), version="z")]).version == "z"

    def test_an_index_whose_manifest_is_not_there_says_which_to_ask_for(self) -> None:
        assert facts_from(index_json(digest("i"), amd64=digest("amd"))) == ImageFacts(manifest=digest("amd"))

    def test_an_attestation_is_no_platform_and_speaks_for_nothing(self) -> None:
        index = index_json(digest("i"), unknown=digest("attested"), arm64=digest("arm"))
        index["dockerImageManifests"][0]["os"] = "unknown"
        parts = [image_json(digest("attested"), version="none"), image_json(digest("arm"), version="arm")]
        facts = facts_from(index, parts)
        assert (facts.version, facts.platforms) == ("arm", ("linux/arm64",))
        assert facts_from(index).manifest == digest("arm")

    @pytest.mark.parametrize(
        "created", ["1970-01-01T00:00:00Z", "1980-01-01T00:00:01Z", "2000-01-01T00:00:00Z", "0001-01-01T00:00:00Z"]
    )
    def test_the_beginning_of_an_epoch_is_no_build_time(self, created: str) -> None:
        assert facts_from(image_json(digest("x"), created)).created is None

    def test_source_to_image_labels_are_a_revision(self) -> None:
        ref, commit = {"io.openshift.build.commit.ref": "main"}, {"io.openshift.build.commit.id": "1a2b3c"}
        assert facts_from(image_json(digest("x"), **ref, **commit)).revision == "1a2b3c"
        assert facts_from(image_json(digest("x"), **ref)).revision == "main"

    def test_an_index_never_has_its_time_of_import_as_build_time(self) -> None:
        assert facts_from(index_json(digest("i"), amd64=digest("amd"))).created is None

    def test_an_image_of_which_nothing_is_known_has_its_digest_and_time(self) -> None:
        item = Item(digest("x"), datetime(2026, 11, 24, tzinfo=UTC))
        image = image_of(item, None)
        assert (image.digest, image.imported_at, image.created, image.revision, image.version) == (
            digest("x"),
            item.imported_at,
            None,
            None,
            None,
        )
