"""Findings from facts: the schedule, the clock, the horizon, the gateway and tags."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from job.config.settings import GatewaySettings, Settings
from job.doctor.checks import Finding, clock, cronjob, gateway, in_order, rollback_targets, tags
from job.doctor.facts import EarlierImages, Facts, Import, Probed, RegistryAnswer
from job.domain.holds import ANNOTATION
from job.domain.model import By, Reason, TagName
from job.domain.states import Severity
from job.imagestreams.api_types import stream_from
from job.views.tables import lines_of
from job.workloads.cronjob import CronJob, cron_job_from
from tests.support.kustomize import recorded_cron_jobs
from tests.support.paths import MANIFESTS, ROOT
from tests.unit.scripted import digest, docker, spec_tag, stream_json

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
TAG = TagName("packit-prod", "worker", "prod")
JSON = dict[str, Any]


def shipped(**spec: Any) -> CronJob:
    """The CronJob of the overlay for prod, changed."""
    data = recorded_cron_jobs()["prod"]
    data["metadata"]["namespace"] = "packit-prod"
    data["spec"] |= spec
    found = cron_job_from(data)
    assert found is not None
    return found


def with_environment(**settings: str) -> CronJob:
    data = recorded_cron_jobs()["prod"]
    container = data["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["env"] += [{"name": name, "value": value} for name, value in settings.items()]
    found = cron_job_from(data)
    assert found is not None
    return found


def of_job(job: CronJob) -> list[tuple[str, Severity]]:
    return [(each.check, each.severity) for each in cronjob.findings(job, NOW)]


E, W, N = Severity.ERROR, Severity.WARNING, Severity.NOTE


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "text", "words"),
        [
            ("MIN_AGE", "1 day", "MIN_AGE: '1 day' is not a duration"),
            ("VERIFY", "up", "VERIFY: 'up' is not NAME: PROMQL"),
            ("PROVEN_IN", "packit-stg", "PROVEN_IN: 'packit-stg' is not NAMESPACE/STREAM:TAG"),
            ("REHEARSE", "yes please", "REHEARSE: "),
        ],
    )
    def test_one_that_every_run_refuses_is_reported(self, name: str, text: str, words: str) -> None:
        (finding,) = cronjob.findings(with_environment(**{name: text}), NOW)
        assert (finding.check, finding.severity) == ("cron-job-setting", E)
        assert finding.message.startswith(f"each of its runs ends with 2 at once: {words}")

    @pytest.mark.parametrize(
        "environment",
        [
            {"MIN_AGE": ""},
            {"MIN_AGE": "$(AGE)"},
            {"PROMETHEUS_TOKEN_FILE": "/var/run/secrets/kubernetes.io/serviceaccount/token"},
            # The user name is in a Secret.
            {"PUSHGATEWAY_PASSWORD": "planted-word"},
            {"NOT_OURS": "1 day"},
        ],
    )
    def test_what_is_not_known_here_is_not(self, environment: dict[str, str]) -> None:
        assert with_environment(**environment).problems == ()


class TestAnnotations:
    @pytest.mark.parametrize("on_tag", [True, False])
    def test_one_that_nothing_reads_is_reported_once(self, on_tag: bool) -> None:
        wrong = {"import-images.dev/min_age": "3d"}
        others = {"openshift.io/display-name": "Worker", "import-images.dev/wave": "1"}
        tagged = [
            spec_tag(name, docker("quay.io/x:1"), annotations={**others, **(wrong if on_tag else {})})
            for name in ("prod", "stg")
        ]
        data = stream_json(*tagged, annotations={} if on_tag else wrong)
        stream = stream_from(data)
        found = in_order(tags.of_spec(data, stream, stream.tags[: 1 if on_tag else 2], NOW, None))
        [finding] = found
        where = f"{stream.name}:prod" if on_tag else f"ImageStream {stream.name}"
        assert (finding.check, finding.where, finding.severity) == ("annotation-unknown", where, W)
        assert "import-images.dev/min_age does nothing; did you mean import-images.dev/min-age?" in finding.message

    def test_every_annotation_that_something_reads_is_known(self) -> None:
        sources = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "job/domain").glob("*.py"))
        names = re.findall(r'f"\{ANNOTATION_PREFIX\}([a-z-]+)"', sources)
        assert {f"import-images.dev/{name}" for name in names} == tags.KNOWN_ANNOTATIONS


class TestArguments:
    """A CronJob may give its settings as flags, and take them from a ConfigMap."""

    def job(self, name: str, *words: str, **more: Any) -> CronJob:
        data = recorded_cron_jobs()["prod"]
        data["metadata"] |= {"namespace": "packit", "name": name}
        container = data["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
        container["env"] = [entry for entry in container["env"] if entry["name"] != "DEPLOYMENT"]
        container |= {"args": list(words), **more}
        found = cron_job_from(data)
        assert found is not None
        return found

    def test_flags_are_read(self) -> None:
        words = ("run", "-n", "packit-prod", "--deployment=prod", "--on-bad-rollout", "rollback", "--watch-rollouts")
        job = self.job("one", *words, env=[{"name": "DEPLOYMENT", "value": "stg"}])
        assert (job.deployment, job.namespaces) == ("prod", ("packit-prod",))
        assert (job.settings.on_bad_rollout, job.settings.watch_rollouts) == ("rollback", True)
        assert job.problems == ()
        (problem,) = self.job("one", "--deadline", "soon").problems
        assert problem.startswith("--deadline: 'soon'")

    @pytest.mark.parametrize(
        ("one", "two", "overlap"),
        [
            ({"args": ["--deployment", "prod"]}, {"args": ["--deployment=stg"]}, False),
            ({"args": ["--deployment", "prod"]}, {"args": ["--deployment=prod"]}, True),
            ({"args": ["--deployment", "$(STAGE)"]}, {}, False),
            ({"envFrom": [{"configMapRef": {"name": "a"}}]}, {"envFrom": [{"configMapRef": {"name": "b"}}]}, False),
            ({"env": [{"name": "DEPLOYMENT", "valueFrom": {"configMapKeyRef": {"key": "a"}}}]}, {}, False),
            ({}, {}, True),
        ],
    )
    def test_only_what_is_known_to_overlap_does(self, one: JSON, two: JSON, overlap: bool) -> None:
        jobs = self.job("one", **one), self.job("two", **two)
        facts = Facts(Settings(), namespaces=("packit",), cron_jobs=jobs)
        assert ["cron-jobs-overlap"] * overlap == [
            found.check for found in cronjob.check(facts) if found.check == "cron-jobs-overlap"
        ]


class TestSchedule:
    @pytest.mark.parametrize("overlay", ["prod", "stg"])
    def test_what_is_shipped_is_well(self, overlay: str) -> None:
        job = cron_job_from(recorded_cron_jobs()[overlay])
        assert job is not None
        assert cronjob.findings(job, NOW) == []

    @pytest.mark.parametrize(
        ("spec", "found"),
        [
            ({"concurrencyPolicy": "Allow"}, ("cron-job-overlaps", W)),
            ({"concurrencyPolicy": "Replace"}, ("cron-job-overlaps", W)),
            ({"concurrencyPolicy": None}, ("cron-job-overlaps", W)),
            ({"suspend": True}, ("cron-job-suspended", W)),
            ({"timeZone": None}, ("cron-job-no-time-zone", W)),
            ({"timeZone": "Europe/Nowhere"}, ("cron-job-never-runs", E)),
            ({"schedule": "0 2 31 2 *"}, ("cron-job-never-runs", E)),
            ({"schedule": "0 25 * * *"}, ("cron-job-never-runs", E)),
            ({"schedule": "@every 1h"}, ("cron-job-every", W)),
            ({"startingDeadlineSeconds": None}, ("cron-job-starting-deadline", W)),
            ({"startingDeadlineSeconds": 599}, ("cron-job-starting-deadline", W)),
            ({"startingDeadlineSeconds": 9}, ("cron-job-starting-deadline", E)),
        ],
    )
    def test_what_is_wrong(self, spec: JSON, found: tuple[str, Severity]) -> None:
        assert of_job(shipped(**spec)) == [found]

    @pytest.mark.parametrize(
        ("job", "words"),
        [
            ({}, "no pod has an index"),
            ({"completionMode": "Indexed", "completions": 3}, "never imported"),
            ({"completionMode": "Indexed", "completions": 5}, "end with 2"),
            ({"completionMode": "Indexed", "completions": 4}, None),
        ],
    )
    def test_shards_need_as_many_pods_with_an_index(self, job: JSON, words: str | None) -> None:
        template = {"spec": {**shipped().spec["jobTemplate"]["spec"], **job}}
        found = cronjob.findings(replace(shipped(jobTemplate=template), shards=4), NOW)
        assert [each.check for each in found] == (["cron-job-shards"] if words else [])
        assert all(words in each.message for each in found if words)
        assert with_environment(SHARDS="4").shards == 4

    def test_a_time_zone_that_cannot_be_read_costs_no_schedule(self) -> None:
        (found,) = cronjob.findings(shipped(timeZone="Europe/Nowhere"), NOW)
        assert "its timeZone: 'Europe/Nowhere'" in found.message
        assert "Etc/UTC" in found.fix[0] and "schedule" not in found.fix[0]

    def test_just_enough_time_to_start(self) -> None:
        assert of_job(shipped(startingDeadlineSeconds=600)) == []

    def test_the_end(self) -> None:
        # 45 minutes are shipped.
        assert of_job(with_environment(DEADLINE="44m")) == []
        assert of_job(with_environment(DEADLINE="44m30s")) == [("cron-job-active-deadline", W)]
        assert of_job(with_environment(DEADLINE="45m")) == [("cron-job-active-deadline", E)]
        assert of_job(with_environment(ON_BAD_ROLLOUT="rollback")) == []
        assert of_job(with_environment(ON_BAD_ROLLOUT="rollback", ROLLOUT_TIMEOUT="20m")) == [
            ("cron-job-active-deadline", W)
        ]

    @pytest.mark.parametrize("image", ["", "quay.io/packit/import-images", "localhost:5000/it:latest"])
    def test_an_image_of_no_version(self, image: str) -> None:
        data = recorded_cron_jobs()["prod"]
        data["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"] = image
        job = cron_job_from(data)
        assert job is not None
        (found,) = cronjob.findings(job, NOW)
        assert found.check == "cron-job-image"
        assert found.fix[0].endswith(":0.1.0")

    def test_one_that_is_not_ours(self) -> None:
        assert cron_job_from({"metadata": {"name": "backup"}, "spec": {}}) is None

    @pytest.mark.parametrize(
        ("settings", "namespace", "deployment", "does"),
        [
            ({}, "packit-prod", "prod", True),
            ({}, "packit-prod", None, True),
            ({}, "packit-prod", "stg", False),
            ({}, "other", "prod", False),
            ({"NAMESPACE": "other, third"}, "third", "prod", True),
            ({"NAMESPACE": "other"}, "packit-prod", "prod", False),
            ({"NAMESPACE_SELECTOR": "a=b"}, "other", "prod", True),
            ({"NAMESPACE_SELECTOR": "a=b"}, "other", "stg", False),
            ({"SERVICE": "shop"}, "shop-prod", "prod", True),
            ({"SERVICE": "shop"}, "packit-prod", "prod", False),
        ],
    )
    def test_what_it_imports(self, settings: JSON, namespace: str, deployment: str | None, does: bool) -> None:
        job = with_environment(**settings)
        assert replace(job, namespace="packit-prod").imports(namespace, deployment) is does


@pytest.mark.parametrize(
    ("skew", "severity"), [(0.4, None), (-5.0, None), (5.5, W), (-60.0, W), (61.0, E), (-3600.0, E)]
)
def test_the_clock(skew: float, severity: Severity | None) -> None:
    found = clock.findings(skew)
    assert [each.severity for each in found] == ([severity] if severity else [])


def test_a_clock_that_is_not_known() -> None:
    (found,) = clock.findings(None)
    assert (found.check, found.severity) == ("not-checked", N)


@pytest.mark.parametrize(
    ("earlier", "there", "severity"),
    [(2, 2, None), (5, 2, None), (5, 1, W), (5, 0, W), (0, 0, W), (1, 1, N), (1, 0, W), (3, None, W)],
)
def test_the_horizon(earlier: int, there: int | None, severity: Severity | None) -> None:
    found = rollback_targets.finding(EarlierImages(TAG, f"quay.io/packit/worker@{digest('0' * 64)}", earlier, there))
    assert (found.severity if found else None) is severity
    # Nothing brings back an image that a registry has deleted.
    assert found is None or found.fix == ()


@pytest.mark.parametrize(
    ("imported", "there", "newest", "fix"),
    [
        (False, False, "sha256:old", ("import-images rollback worker:prod -n packit-prod --to sha256:old --yes",)),
        (False, False, None, ()),
        (False, True, "sha256:old", None),
        (False, None, "sha256:old", None),
        # The next run brings another one.
        (True, False, "sha256:old", None),
    ],
)
def test_a_current_image_that_is_gone(
    imported: bool, there: bool | None, newest: str | None, fix: tuple[str, ...] | None
) -> None:
    horizon = EarlierImages(TAG, "quay.io/packit/worker@sha256:new", 1, 1, imported, there, newest)
    found = rollback_targets.gone(horizon)
    assert (found.fix if found else None) == fix


class TestWithoutACronJob:
    @pytest.mark.parametrize("deployment", ["prod", "stable", None])
    def test_it_says_where_installing_is_explained(self, deployment: str | None) -> None:
        found = cronjob.missing("packit", deployment)
        assert (found.severity, found.fix) == (N, ())
        assert (f"DEPLOYMENT={deployment}" in found.message) is (deployment is not None)
        assert found.message.endswith("docs/install.md")
        assert (MANIFESTS.parent / "docs" / "install.md").is_file()


class TestTwoCronJobs:
    @pytest.mark.parametrize(
        ("changed", "shared"),
        [
            ({}, True),
            ({"suspend": True}, False),
            ({"DEPLOYMENT": "stg"}, False),
            ({"NAMESPACE": "other"}, False),
            ({"NAMESPACE": "other,packit-prod"}, True),
            ({"SELECTOR": "tier=web"}, True),
        ],
    )
    def test_of_one_deployment(self, changed: JSON, shared: bool) -> None:
        spec = {"suspend": changed["suspend"]} if "suspend" in changed else {}
        environment = {name: value for name, value in changed.items() if name.isupper()}
        other = replace(with_environment(**environment), name="another", namespace="packit-prod")
        other = replace(other, spec={**other.spec, **spec})
        found = cronjob.check(Facts(Settings(), namespaces=("packit-prod",), cron_jobs=(shipped(), other)))
        overlaps = [each for each in found if each.check == "cron-jobs-overlap"]
        assert bool(overlaps) is shared
        assert all(
            "CronJob import-images both import DEPLOYMENT=prod in packit-prod" in each.message for each in overlaps
        )


class TestGateway:
    @pytest.mark.parametrize(
        ("probed", "check"),
        [
            (Probed("u", False, deletes=True, value=1.0), None),
            (Probed("u", False, deletes=True, value=2.0), "gateway-sums"),
            (Probed("u", False, deletes=False), "gateway-sums"),
            (Probed("u", True, deletes=False), None),
            (Probed("u", True, deletes=True, value=2.0), None),
            (Probed("u", True, deletes=True, value=1.0), "gateway-replaces"),
            (Probed("u", False, deletes=True), "not-checked"),
            (Probed("u", False, "HTTP 401", refused=True), "gateway-refuses"),
            (Probed("u", False, "connection refused"), "gateway-unreachable"),
            (Probed("u", False, deletes=True, value=1.0, leftover="/metrics/job/x"), "gateway-probe-left"),
            (None, "gateway-not-set"),
        ],
    )
    def test_what_is_wrong(self, probed: Probed | None, check: str | None) -> None:
        assert [each.check for each in gateway.findings(probed, None)] == ([check] if check else [])

    def test_where_it_is_set_right(self) -> None:
        probed = Probed("u", False, deletes=False)
        (by_hand,) = gateway.findings(probed, None)
        assert by_hand.fix == ("export GATEWAY=aggregation",)
        (in_the_job,) = gateway.findings(probed, replace(shipped(), name="imports"))
        assert in_the_job.fix == ("oc -n packit-prod set env cronjob/imports GATEWAY=aggregation",)

    def test_a_login_that_is_there_is_changed(self) -> None:
        refused = Probed("u", False, "HTTP 401", refused=True)
        by_name = GatewaySettings("u", username="me", password="old")
        (found,) = gateway.findings(refused, shipped(), by_name)
        login = "PUSHGATEWAY_USERNAME=USER PUSHGATEWAY_PASSWORD=PASSWORD"
        assert found.fix == (f"oc -n packit-prod set data secret/import-images {login}",)
        assert found.message == "it requires another login: HTTP 401"
        (found,) = gateway.findings(refused, shipped(), GatewaySettings("u", token="old"))
        assert found.fix == ("oc -n packit-prod set data secret/import-images PUSHGATEWAY_TOKEN=TOKEN",)
        (found,) = gateway.findings(refused, shipped(), GatewaySettings("u"))
        assert found.fix[0].startswith("oc -n packit-prod create secret generic import-images --from-literal=")
        (found,) = gateway.findings(refused, None, by_name)
        assert found.fix == (f"export {login}",)


class TestTags:
    @pytest.mark.parametrize(
        ("reason", "severity", "check"),
        [
            (Reason.NOT_FOUND, E, "tag-cannot-be-imported"),
            (Reason.UNAUTHORIZED, E, "tag-cannot-be-imported"),
            (Reason.FORBIDDEN, E, "tag-cannot-be-imported"),
            (Reason.INVALID, E, "tag-cannot-be-imported"),
            (Reason.UNREACHABLE, W, "tag-cannot-be-imported"),
            (Reason.RATE_LIMITED, W, "tag-cannot-be-imported"),
            (Reason.TIMEOUT, W, "tag-cannot-be-imported"),
            (Reason.API_ERROR, W, "not-checked"),
            (Reason.ABORTED, W, "not-checked"),
        ],
    )
    def test_one_that_cannot_be_imported(self, reason: Reason, severity: Severity, check: str) -> None:
        found = tags.of_import(Import(TAG, "quay.io/packit/worker:prod", RegistryAnswer(None, reason, "no")))
        assert found is not None
        assert (found.severity, found.check) == (severity, check)
        # What only another person or time can change has no fix.
        assert (found.fix, bool(found.inspect)) == ((), True)

    @pytest.mark.parametrize(
        ("reason", "by", "words"),
        [
            (
                Reason.UNAUTHORIZED,
                By.REGISTRY,
                "create secret docker-registry 0-login-docker.io --docker-server=docker.io ",
            ),
            # Whatever its words are.
            (
                Reason.FORBIDDEN,
                By.REGISTRY,
                "create secret docker-registry 0-login-docker.io --docker-server=docker.io ",
            ),
            (Reason.FORBIDDEN, By.API, "oc get image.config.openshift.io/cluster"),
        ],
    )
    def test_a_login_is_for_a_registry_that_refuses(self, reason: Reason, by: By, words: str) -> None:
        found = tags.of_import(Import(TAG, "nginx:1.25", RegistryAnswer(None, reason, "access denied", by)))
        assert found is not None
        assert words in (*found.fix, *found.inspect)[0]

    def test_one_that_can(self) -> None:
        assert tags.of_import(Import(TAG, "quay.io/packit/worker:prod", RegistryAnswer("sha256:1"))) is None

    def test_an_index_shows_by_its_two_digests(self) -> None:
        one, index = RegistryAnswer("sha256:one"), RegistryAnswer("sha256:index")
        assert Import(TAG, "s", one, index).is_cut
        assert not Import(TAG, "s", one, one).is_cut
        # An index of one architecture, and an attestation that is none.
        assert not Import(TAG, "s", one, replace(index, platforms=("linux/amd64",))).is_cut
        assert Import(TAG, "s", one, replace(index, platforms=("linux/amd64", "linux/arm64"))).is_cut
        assert not Import(TAG, "s", one, None).is_cut
        assert not Import(TAG, "s", RegistryAnswer(None, Reason.NOT_FOUND), index).is_cut
        assert not Import(TAG, "s", one, RegistryAnswer(None, Reason.TIMEOUT)).is_cut

    def test_what_tells_that_it_was_meant_whole(self) -> None:
        whole = {"importMode": "PreserveOriginal"}
        source = "quay.io/packit/worker"
        alone = stream_json(spec_tag("prod", f"{source}:prod"))
        stream = stream_from(alone)
        assert tags.meant_whole(alone, stream, stream.tags[0]) is None
        beside = stream_json(spec_tag("prod", f"{source}:prod"), spec_tag("stg", f"{source}:stg", importPolicy=whole))
        stream = stream_from(beside)
        assert "worker:stg" in (tags.meant_whole(beside, stream, stream.tags[0]) or "")
        applied = {"spec": {"tags": [spec_tag("prod", importPolicy=whole)]}}
        annotated = stream_json(spec_tag("prod"), annotations={tags.LAST_APPLIED: json.dumps(applied)})
        stream = stream_from(annotated)
        assert "manifest" in (tags.meant_whole(annotated, stream, stream.tags[0]) or "")

    @pytest.mark.parametrize("text", ["", "[", "[]", "null", '{"spec": 1}', '{"spec": {"tags": [1]}}', "[" * 100_000])
    def test_a_manifest_that_is_none(self, text: str) -> None:
        data = stream_json(spec_tag("prod"), annotations={tags.LAST_APPLIED: text})
        stream = stream_from(data)
        assert tags.meant_whole(data, stream, stream.tags[0]) is None

    def of_spec(self, data: JSON, job: str | None = "CronJob import-images") -> list[Finding]:
        stream = stream_from(data)
        return tags.of_spec(data, stream, stream.tags, NOW, job)

    def test_scheduled(self) -> None:
        data = stream_json(spec_tag("stg"), spec_tag("prod", importPolicy={"scheduled": True}))
        (found,) = self.of_spec(data)
        assert found.where == "worker:prod"
        patch = '[{"op":"test","path":"/spec/tags/1/name","value":"prod"},{"op":"replace","path":'
        patch += '"/spec/tags/1/importPolicy/scheduled","value":false}]'
        assert found.fix == (f"oc -n packit-prod patch imagestream/worker --type=json -p '{patch}'",)
        assert self.of_spec(data, None) == []

    @pytest.mark.parametrize(("hours", "check"), [(-1, ["hold-past-its-end"]), (1, [])])
    def test_a_hold_with_an_end(self, hours: int, check: list[str]) -> None:
        source = docker("quay.io/packit/worker@sha256:old")
        until = (NOW + timedelta(hours=hours)).isoformat()
        hold = json.dumps({"from": source, "image": "sha256:old", "until": until})
        found = self.of_spec(stream_json(spec_tag("prod", source, annotations={ANNOTATION: hold})))
        assert [each.check for each in found] == check

    def test_a_hold_that_is_over(self) -> None:
        (found,) = self.of_spec(stream_json(spec_tag("prod", annotations={ANNOTATION: "{}"})))
        assert found.check == "hold-over"
        assert "import-images.dev~1hold" in found.fix[0]

    def test_waves(self) -> None:
        name = "import-images.dev/wave"
        (found,) = self.of_spec(stream_json(spec_tag("prod", annotations={name: "first"})))
        assert (found.check, found.where) == ("wave-no-number", "worker:prod")
        data = stream_json(spec_tag("prod"), spec_tag("stg"), annotations={name: "1.5"})
        (found,) = in_order(self.of_spec(data))
        assert (found.where, found.fix[0].rpartition(" ")[2]) == ("ImageStream worker", f"{name}=1")
        assert self.of_spec(stream_json(spec_tag("prod", annotations={name: "-3"}))) == []

    def test_an_opt_out_that_is_neither_true_nor_false(self) -> None:
        name = "import-images.dev/skip"
        (found,) = self.of_spec(stream_json(spec_tag("prod", annotations={name: "yes"})))
        assert (found.check, found.severity, found.where) == ("skip-no-boolean", Severity.WARNING, "worker:prod")
        (found,) = in_order(self.of_spec(stream_json(spec_tag("prod"), spec_tag("stg"), annotations={name: ""})))
        assert (found.where, found.fix[0].rpartition(" ")[2]) == ("ImageStream worker", f"{name}=true")
        assert self.of_spec(stream_json(spec_tag("prod", annotations={name: "False"}))) == []

    def test_gates_that_cannot_be_read(self) -> None:
        bad = {"import-images.dev/min-age": "a while", "import-images.dev/proven-in": "packit-stg/*:stg"}
        (found,) = self.of_spec(stream_json(spec_tag("prod", annotations=bad)))
        assert (found.check, found.severity, found.where) == ("gate-cannot-be-read", Severity.ERROR, "worker:prod")
        assert "min-age: 'a while'" in found.message
        assert self.of_spec(stream_json(spec_tag("prod", annotations={**bad, "import-images.dev/min-age": "1h"}))) == []

    def test_what_is_left_alone_keeps_its_annotations(self) -> None:
        data = stream_json(spec_tag("prod", annotations={"note": "ours"}))
        (command,) = tags.opt_out(data, TAG)
        assert '"value":{"note":"ours","import-images.dev/skip":"true"}' in command


def test_the_worst_comes_first() -> None:
    note, error = Finding(N, "a", "n", "w", "m"), Finding(E, "z", "n", "w", "m")
    assert in_order([note, error, note]) == (error, note)


def test_what_is_put_for_a_password_stays() -> None:
    (found,) = gateway.findings(Probed("u", False, "HTTP 401", refused=True), shipped())
    assert "--from-literal=PUSHGATEWAY_PASSWORD=PASSWORD" in " ".join(lines_of(found.fix[0], 100))
    assert lines_of("oc edit 'imagestream/a\x1b[2Jb'", 100) == ["    oc edit 'imagestream/a?[2Jb'"]


@pytest.mark.parametrize("width", [60, 80])
def test_a_command_can_be_pasted_as_it_is_shown(width: int) -> None:
    command = 'oc -n packit-prod patch imagestream/worker --type=json -p \'[{"op":"test", "path": "/a b"}]\''
    lines = lines_of(command, width)
    assert all(len(line) <= width for line in lines)
    # What a shell makes of a backslash at the end of a line.
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == shlex.split(command)
    assert len(lines) > 1
