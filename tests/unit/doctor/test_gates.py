"""Whether gates can judge: the rights where images prove themselves, and the queries of VERIFY."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from job.config.settings import Settings, VerifySettings
from job.doctor.checks import Finding, gates
from job.doctor.facts import ChosenStream, Facts
from job.doctor.rights import PROVEN, PROVEN_REVISIONS, PROVEN_SEVERAL, Right
from job.domain.gates import Policy, Proof
from job.domain.selection import Wanted, choose
from job.domain.states import Severity
from job.domain.verification import Query, Reading, Sample
from job.imagestreams.api_types import stream_from
from tests.unit.doctor.test_checks import with_environment
from tests.unit.doctor.test_rbac import rights_of, shipped
from tests.unit.scripted import docker, spec_tag, stream_json

JOB = "system:serviceaccount:packit-prod:import-images"
NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
QUERY = Query("errors", "sum(errors) < bool 1")


def chosen(annotations: dict[str, str] | None = None) -> ChosenStream:
    data = stream_json(spec_tag("prod", docker("quay.io/packit/worker:prod")))
    data["metadata"]["annotations"] = annotations or {}
    stream = stream_from(data)
    return ChosenStream(data, stream, choose(stream, Wanted("prod")))


def facts(me: str | None = JOB, **values: object) -> Facts:
    return replace(Facts(Settings(), me=me, namespaces=("packit-prod",), chosen=(chosen(),)), **values)  # type: ignore[arg-type]


def proven(*places: str) -> Settings:
    return Settings(gates=Policy(proven_in=tuple(map(Proof.parse, places))))


def all_but(*lacking: Right) -> dict[Right, bool | None]:
    return {right: right not in lacking for right in PROVEN}


def found(facts: Facts) -> list[tuple[str, str, Severity]]:
    return [(each.check, each.where, each.severity) for each in gates.check(facts)]


def test_the_rights_are_those_of_the_role_that_is_shipped() -> None:
    assert set(PROVEN) == set(shipped("components/gates/proven.yaml", "Role", "import-images-proven"))


class TestProven:
    def test_without_gates_nothing_is_asked(self) -> None:
        assert (gates.proven_uses(facts()), gates.check(facts())) == ((), [])

    @pytest.mark.parametrize("right", PROVEN)
    def test_each_right_that_is_missing_is_reported(self, right: Right) -> None:
        place = "packit-stg/[a-v]*:stg"
        rights = {("packit-stg", JOB): all_but(right)}
        [finding] = gates.check(facts(settings=proven(place), proven_rights=rights))
        severity = Severity.WARNING if right == PROVEN_REVISIONS else Severity.ERROR
        assert (finding.check, finding.namespace, finding.severity) == ("gate-cannot-read", "packit-stg", severity)
        assert f"may not {right.verb} {right.resource} there" in finding.message
        role, binding = finding.fix
        written = shlex.split(role.partition(" | ")[0])[1]
        assert set(rights_of(json.loads(written)["rules"])) == set(PROVEN)
        assert "rolebinding import-images-proven-packit-prod " in binding
        assert "--serviceaccount=packit-prod:import-images" in binding

    def test_one_stream_is_not_listed(self) -> None:
        rights = {("packit-stg", JOB): all_but(PROVEN_SEVERAL)}
        assert gates.check(facts(settings=proven("packit-stg/*:stg"), proven_rights=rights)) == []

    def test_an_annotation_and_the_cronjob_of_another_account_count(self) -> None:
        by_annotation = chosen({"import-images.dev/proven-in": "qa/*:stg"})
        job = with_environment(PROVEN_IN="packit-stg/*:stg")
        uses = gates.proven_uses(facts("jane", chosen=(by_annotation,), cron_jobs=(job,)))
        # The annotation wins over the setting, whoever imports.
        assert [(use.namespace, use.user, use.is_job) for use in uses] == [
            ("qa", "jane", False),
            ("qa", job.user, True),
        ]
        rights = {("qa", "jane"): all_but(*PROVEN), ("qa", job.user): dict.fromkeys(PROVEN)}
        told = gates.check(facts("jane", chosen=(by_annotation,), cron_jobs=(job,), proven_rights=rights))
        assert [(each.check, each.severity) for each in told] == [
            ("gate-cannot-read", Severity.NOTE),
            ("not-checked", Severity.NOTE),
        ]

    def test_an_annotation_that_cannot_be_read_is_another_check_s(self) -> None:
        bad = chosen({"import-images.dev/proven-in": "stg"})
        assert gates.proven_uses(facts(chosen=(bad,), settings=proven("qa/*:stg"))) == ()


SAMPLE = (Sample("errors", 0.0),)


class TestVerify:
    @pytest.mark.parametrize(
        ("reading", "check"),
        [
            (Reading(NOW, problem="no connection"), "gate-prometheus-unreachable"),
            (Reading(NOW, problem="HTTP 404", is_final=True, status=404), "gate-prometheus-unreachable"),
            (Reading(NOW, problem="HTTP 503", status=503), "gate-prometheus-unreachable"),
            (Reading(NOW, problem="HTTP 401", is_final=True, status=401), "gate-prometheus-refuses"),
            (Reading(NOW, problem="HTTP 403", is_final=True, status=403), "gate-prometheus-refuses"),
            (Reading(NOW, problem="parse error", is_final=True, status=400), "gate-query-invalid"),
            (Reading(NOW, problem="HTTP 422", status=422), "gate-query-invalid"),
            (Reading(NOW, problem="a matrix", is_final=True, status=200), "gate-query-invalid"),
            (Reading(NOW, problem="no data", status=200), "gate-query-no-answer"),
            (Reading(NOW, SAMPLE, 1, False, status=200), "gate-query-false"),
            (Reading(NOW, SAMPLE, 1, True, status=200), None),
        ],
    )
    def test_what_is_wrong_with_an_answer(self, reading: Reading, check: str | None) -> None:
        told: list[Finding] = list(gates.judged(QUERY, reading, "https://thanos:9092?namespace=packit-prod"))
        assert [each.check for each in told] == ([check] if check else [])
        for each in told:
            assert (reading.problem or "errors 0") in each.message
            words = shlex.split(each.inspect[0])
            assert words[2:] == [
                "https://thanos:9092/api/v1/query?namespace=packit-prod",
                "--data-urlencode",
                "query=sum(errors) < bool 1",
            ]

    def test_that_of_the_cronjob_alone_is_not_asked(self) -> None:
        job = with_environment(VERIFY="errors: sum(errors) < bool 1", PROMETHEUS_URL="https://prometheus.example.com")
        [finding] = gates.check(facts(cron_jobs=(job,)))
        assert (finding.check, finding.severity) == ("not-checked", Severity.NOTE)
        words = shlex.split(finding.inspect[0])
        assert words[-4:] == [
            "--prometheus",
            "https://prometheus.example.com",
            "--verify",
            "errors: sum(errors) < bool 1",
        ]

    def test_one_s_own_are_asked_instead(self) -> None:
        job = with_environment(VERIFY="errors: sum(errors) < bool 1", PROMETHEUS_URL="https://prometheus.example.com")
        own = Settings(verification=VerifySettings((QUERY,), 1.0, "https://thanos"))
        answers = ((QUERY, Reading(NOW, problem="no data", status=200)),)
        assert found(facts(settings=own, cron_jobs=(job,), queries=answers)) == [
            ("gate-query-no-answer", "query errors", Severity.WARNING)
        ]
