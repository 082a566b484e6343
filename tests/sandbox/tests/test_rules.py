"""The sandbox's rules that need no server: references, patches, selectors, orders, and the words of Go."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox import import_rules, patches, references, selectors, stream_rules, streams, tag_priority, timestamps
from tests.sandbox.images import go_seconds, json_complaint
from tests.sandbox.references import InvalidReference, Reference
from tests.sandbox.settings import Settings
from tests.sandbox.status import ApiError, Json
from tests.sandbox.stream_validation import Allowed
from tests.sandbox.streams import History, Stream

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "reference", "normalized"),
    [
        ("nginx", Reference(name="nginx"), "docker.io/library/nginx"),
        ("nginx:1", Reference(name="nginx", tag="1"), "docker.io/library/nginx:1"),
        ("team/app:prod", Reference(namespace="team", name="app", tag="prod"), "docker.io/team/app:prod"),
        (
            "quay.io/team/app:prod",
            Reference("quay.io", "team", "app", "prod"),
            "quay.io/team/app:prod",
        ),
        ("h:5000/app", Reference("h:5000", "", "app"), "h:5000/app"),
        ("localhost/a/b/c", Reference("localhost", "a", "b/c"), "localhost/a/b/c"),
        (f"h.io/a@{DIGEST}", Reference("h.io", "", "a", "", DIGEST), f"h.io/a@{DIGEST}"),
        ("index.docker.io/a/b", Reference("index.docker.io", "a", "b"), "docker.io/a/b"),
    ],
)
def test_references(text: str, reference: Reference, normalized: str) -> None:
    assert references.parse(text) == reference
    assert reference.exact() == text
    assert reference.normalized() == normalized


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "repository name must have at least one component"),
        ("quay.io/Upper/case", "repository name must be lowercase"),
        ("a//b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a" * 300, "repository name must not be more than 255 characters"),
        ("a@sha256:" + "0" * 63, "invalid checksum digest length"),
        ("a@sha256:" + "A" * 64, "invalid checksum digest format"),
        ("a@md9:" + "0" * 64, "unsupported digest algorithm"),
    ],
)
def test_what_is_no_reference(text: str, why: str) -> None:
    with pytest.raises(InvalidReference, match=f"^{why}$"):
        references.parse(text)


@settings(deadline=None)
@given(st.text(alphabet="abA0._-:/@", max_size=60))
def test_any_text_is_a_reference_or_not(text: str) -> None:
    try:
        reference = references.parse(text)
    except InvalidReference:
        return
    if reference.name:
        assert references.parse(reference.exact()) == reference


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "unexpected end of JSON input"),
        (b"   ", "unexpected end of JSON input"),
        (b"<html>", "invalid character '<' looking for beginning of value"),
        (b"Too", "invalid character 'T' looking for beginning of value"),
        (b'{"a": 1', "unexpected end of JSON input"),
        (b'{"a": "b', "unexpected end of JSON input"),
        (b'{"a": 1} x', "invalid character 'x' after top-level value"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a": 1 "b"}', "invalid character '\"' after object key:value pair"),
        (b"{a: 1}", "invalid character 'a' looking for beginning of object key string"),
    ],
)
def test_what_go_says_about_text_that_is_no_json(data: bytes, complaint: str) -> None:
    assert json_complaint(data) == complaint


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("34s", 34), ("1m30s", 90), ("1.5h", 5400), ("250ms", 0.25), ("-2s", -2), ("0", 0), ("1h2m3s4ms", 3723.004)],
)
def test_durations(text: str, seconds: float) -> None:
    assert timestamps.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("time", "printed"),
    [
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
        ("2026-11-20T10:00:00.123456789Z", "2026-11-20T10:00:00Z"),
        ("2026-11-20T12:00:00.5+02:00", "2026-11-20T10:00:00Z"),
        ("0001-01-01T00:00:00Z", None),
        (None, None),
    ],
)
def test_times_have_no_parts_of_a_second(time: str | None, printed: str | None) -> None:
    assert go_seconds(time) == printed


def test_the_order_of_tags() -> None:
    ordered = [
        "latest", "v6", "6.0-rc1", "5.2", "v5.2", "5.1", "5.1-rc1",
        "10.0.0", "v5.1.3", "5.1.3-10", "5.1.3-9", "5.1.3-1", "a", "stable", "v",
    ]  # fmt: skip
    ordered.remove("v6")
    assert tag_priority.prioritize(sorted(ordered)) == ordered


# Selectors and patches


@pytest.mark.parametrize(
    ("selector", "matches"),
    [("a=1", True), ("a!=1", False), ("a in (1,2),b", False), ("b notin (1)", True), ("!a", False), ("a", True)],
)
def test_label_selectors(selector: str, matches: bool) -> None:
    assert selectors.label_predicate(selector)({"a": "1"}) is matches


def test_a_selector_that_is_none() -> None:
    with pytest.raises(ApiError, match="unable to parse requirement"):
        selectors.label_predicate("a in 1")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(json_values, json_values)
def test_a_merge_patch_changes_nothing_it_is_given(item: object, patch: object) -> None:
    before = json.dumps([item, patch])
    merged = patches.merge_patch(item, patch)
    assert json.dumps([item, patch]) == before
    assert patches.merge_patch(merged, patch) == merged


def test_directives_of_a_strategic_patch() -> None:
    item = {"list": [1, 2, 3], "containers": [{"name": "a", "x": 1}, {"name": "b"}], "map": {"a": 1, "b": 2}}
    item["volumes"] = [{"name": "old"}]
    patch = {
        "$deleteFromPrimitiveList/list": [2],
        "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
        "containers": [{"name": "a", "y": 2}],
        "volumes": [{"$patch": "replace"}, {"name": "new"}],
        "map": {"$retainKeys": ["b"], "b": 3},
    }
    assert patches.strategic_patch(item, patch, "Deployment") == {
        "list": [1, 3],
        "containers": [{"name": "b"}, {"name": "a", "x": 1, "y": 2}],
        "volumes": [{"name": "new"}],
        "map": {"b": 3},
    }


def test_apply_takes_back_what_it_gave() -> None:
    live = {"spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "theirs"}], "x": 1, "y": {"p": 1, "q": 2}}}
    last = {"spec": {"containers": [{"name": "a"}, {"name": "b"}], "x": 1, "y": {"p": 1}}}
    wanted = {"spec": {"containers": [{"name": "a", "image": "i"}]}}
    assert patches.apply(live, last, wanted, "Pod") == {
        "spec": {"containers": [{"name": "a", "image": "i"}, {"name": "theirs"}], "y": {"q": 2}}
    }


# Registries that are allowed


@pytest.mark.parametrize(
    ("registries", "text", "any_port", "allowed"),
    [
        (None, "evil.io/x", False, True),
        ([], "quay.io/x/y", False, False),
        (["quay.io"], "quay.io/x/y", False, True),
        (["quay.io"], "quay.io:8443/x/y", False, False),
        (["quay.io:*"], "quay.io:8443/x/y", False, True),
        (["*.example.com"], "a.b.example.com/x", False, True),
        (["docker.io"], "nginx", False, True),
        (["h:5000"], "h:5000/x", True, True),
        (["h"], "h.io/x", True, False),
    ],
)
def test_allowed_registries(registries: list[str] | None, text: str, any_port: bool, allowed: bool) -> None:
    objection = Allowed(registries).objection(references.parse(text), any_port=any_port)
    assert (objection is None) is allowed


def test_where_a_stream_has_images_of_is_allowed() -> None:
    allowed = Allowed(["quay.io"]).and_of(["old.io/team/app:prod", "not//valid"])
    assert allowed.objection(references.parse("old.io/team/app:other")) is None
    assert allowed.objection(references.parse("old.io/team/other:prod")) is not None


def test_a_long_list_is_not_printed_whole() -> None:
    objection = Allowed([f"r{number}.io" for number in range(7)]).objection(references.parse("evil.io/x"))
    assert objection == (
        'registry "evil.io" not allowed by whitelist: "r0.io:443", "r1.io:443", "r2.io:443", "r3.io:443",'
        " and 3 more ..."
    )


# The table of events


def event(reference: str, image: str, generation: int, created: str = "then") -> Json:
    return {"created": created, "dockerImageReference": reference, "image": image, "generation": generation}


@pytest.mark.parametrize(
    ("new", "items"),
    [
        (event("r", "i", 1, "now"), [event("r", "i", 1)]),
        (event("r", "i", 2, "now"), [event("r", "i", 2)]),
        (event("s", "i", 2, "now"), [event("s", "i", 2)]),
        (event("r", "j", 2, "now"), [event("r", "j", 2)]),
        (event("s", "j", 2, "now"), [event("s", "j", 2, "now"), event("r", "i", 1)]),
    ],
)
def test_events(new: Json, items: list[Json]) -> None:
    condition = {"type": "ImportSuccess"}
    stream = Stream({"name": "app"}, history={"prod": History([event("r", "i", 1)], [condition])})
    changed = stream_rules.add_event(stream, "prod", new)
    assert stream.history["prod"].items == items
    assert changed is (new["generation"] != 1)
    assert stream.history["prod"].conditions == ([] if changed else [condition])


def test_a_chain_of_followers_moves_one_step_a_write() -> None:
    def follow(name: str) -> Json:
        return streams.decode_tag({"name": "x", "from": {"kind": "ImageStreamTag", "name": name}, "generation": 1})

    tags = {"a": streams.decode_tag({"name": "a", "generation": 1}), "b": follow("a"), "c": follow("app:b")}
    old = Stream({"name": "app", "namespace": "ns"}, tags=tags)
    new = old.copy()
    stream_rules.add_event(new, "a", event("r", "i", 2))
    stream_rules.follow_tags(new, old, lambda *_: None, Settings(), "now")
    assert sorted(new.history) == ["a", "b"]


def test_encoding_and_loading_are_inverse() -> None:
    given = {
        "metadata": {"name": "app", "namespace": "ns", "generation": 2},
        "spec": {"tags": [{"name": "b", "from": {"kind": "DockerImage", "name": "x:y"}}, {"name": "a"}]},
        "status": {
            "tags": [{"tag": "b", "items": [event("r", "i", 1)]}, {"tag": "a", "items": None, "conditions": [{}]}]
        },
    }
    stream = streams.decode(given)
    encoded = streams.encode(stream, Settings())
    assert [tag["name"] for tag in encoded["spec"]["tags"]] == ["a", "b"]
    assert encoded["spec"]["tags"][0]["annotations"] is None
    assert [each["items"] for each in encoded["status"]["tags"]] == [None, [event("r", "i", 1)]]
    assert streams.load(encoded) == stream


def test_the_second_try_keeps_the_first_refusal() -> None:
    refused = {"status": {"reason": "Unauthorized", "message": "incorrect username or password for image"}}
    private = {"status": {"status": "Success"}, "image": {}}
    again = [{"status": {"reason": "Unauthorized", "message": "other"}}, {"status": {"reason": "Unauthorized"}}]
    assert import_rules.retry_without_secrets([refused, private])
    # A private image that had succeeded ends without an image, though its status says Success.
    assert import_rules.with_first_refusals([refused, private], again) == [refused, {"status": {"status": "Success"}}]
