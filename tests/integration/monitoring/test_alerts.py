"""The alerts, by `promtool`: each fires when it should, and all others stay quiet meanwhile."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.monitoring.rules import RUNBOOK, shipped_alerts, shipped_groups
from tests.support.paths import MANIFESTS
from tests.support.tiers import slow

ALERTS = shipped_alerts()
MINUTE, DAY = 60, 86400
# promtool's clock begins at 0. Everything is looked at two hours later.
NOW = 2 * 60 * MINUTE
GROUP = {"stream_namespace": "packit-prod", "deployment": "prod"}
OTHER = {"stream_namespace": "packit-stg", "deployment": "stg"}
# What a Prometheus adds, be it by the pushed labels or by its own.
HONORED = {"job": "import-images"}
OVERRIDDEN = {
    "job": "prometheus-pushgateway",
    "exported_job": "import-images",
    "namespace": "monitoring",
    "pod": "prometheus-pushgateway-0",
    "instance": "10.0.0.1:9091",
}
Labels = dict[str, str]


def ago(seconds: float) -> float:
    return NOW - seconds


def series(name: str, labels: Mapping[str, str], value: float | str) -> dict[str, str]:
    """A series with one value all the time, or with the values that promtool's notation says."""
    told = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return {"series": f"{name}{{{told}}}", "values": value if isinstance(value, str) else f"{value:.3f}+0x240"}


@dataclass(frozen=True)
class Case:
    """Metrics (without prefix, unless they are the Pushgateway's), and the alerts that have to fire with them.

    Attributes:
        name: what it is about.
        samples: name, labels beyond the group's, and value.
        fires: alert, its labels but for the severity, and its description.
        group: the grouping key.
        minutes: when to look, if not after two hours.
    """

    name: str
    samples: list[tuple[str, Labels, float | str]]
    fires: list[tuple[str, Labels, str]] = field(default_factory=list)
    group: Labels = field(default_factory=lambda: GROUP)
    minutes: int = NOW // MINUTE


def outcome(value: str) -> list[tuple[str, Labels, float | str]]:
    """A run that ended half an hour ago, and is due in half an hour."""
    every = ("success", "partial", "failure", "unhealthy", "aborted", "frozen", "locked")
    return [
        *[("run_outcome", {"outcome": each}, float(each == value)) for each in every],
        ("last_run_timestamp_seconds", {}, ago(1800)),
        ("next_run_timestamp_seconds", {}, ago(-1800)),
        ("push_time_seconds", {}, ago(1800)),
        ("push_failure_time_seconds", {}, 0),
    ]


def without(samples: list[tuple[str, Labels, float | str]], *names: str) -> list[tuple[str, Labels, float | str]]:
    return [each for each in samples if each[0] not in names]


FINE = outcome("success")
PROD = "packit-prod, deployment prod"
WORKER: Labels = {"stream": "packit-worker", "tag": "prod"}
SERVICE: Labels = {"stream": "packit-service", "tag": "prod"}
BAD_WORKER: Labels = {"kind": "StatefulSet", "name": "worker"}
MISSED = without(FINE, "next_run_timestamp_seconds")
ALL_ALONE = {"stream_namespace": "packit-prod"}
SHARD = {**GROUP, "shard": "2"}
DUE = "1970-01-01 00:59:59 +0000 UTC"
MISSED_TOLD = f"a run was due at {DUE}, and no run has finished since."
FAILED_TOLD = "so the tags may not have the images that the registry has."
STALE_TOLD = "tags were last seen as the registry has them more than 15 days ago."
HELD: list[tuple[str, Labels, float | str]] = [*FINE, ("tag_held", WORKER, 1)]

CASES = [
    Case("a run that went well", FINE),
    Case("nothing at all", []),
    # ImportImagesRunMissed
    Case(
        "no run for an hour after it was due",
        [*MISSED, ("next_run_timestamp_seconds", {}, ago(3601))],
        [("ImportImagesRunMissed", GROUP, f"{PROD}: {MISSED_TOLD}")],
        minutes=NOW // MINUTE + 6,
    ),
    Case(
        "the same of a job of all tags",
        [*MISSED, ("next_run_timestamp_seconds", {}, ago(3601))],
        [("ImportImagesRunMissed", ALL_ALONE, f"packit-prod: {MISSED_TOLD}")],
        ALL_ALONE,
        minutes=NOW // MINUTE + 6,
    ),
    Case(
        "the same of one shard",
        [*MISSED, ("next_run_timestamp_seconds", {}, ago(3601))],
        [("ImportImagesRunMissed", SHARD, f"{PROD}, shard 2: {MISSED_TOLD}")],
        SHARD,
        minutes=NOW // MINUTE + 6,
    ),
    Case("a run that may still be under way", [*MISSED, ("next_run_timestamp_seconds", {}, ago(3590))]),
    Case("a CronJob that is suspended has no next run", MISSED),
    Case(
        "a run that could not use the cluster leaves the due time as it was",
        [*without(outcome("failure"), "next_run_timestamp_seconds"), ("next_run_timestamp_seconds", {}, ago(4000))],
        [
            (
                "ImportImagesRunFailed",
                {**GROUP, "outcome": "failure"},
                f"{PROD}: the last run ended with failure, {FAILED_TOLD}",
            )
        ],
    ),
    Case(
        "a tag imported by hand is not the run that was due",
        [
            *without(FINE, "next_run_timestamp_seconds", "last_run_timestamp_seconds"),
            ("next_run_timestamp_seconds", {}, ago(3601)),
            ("last_run_timestamp_seconds", {}, ago(60)),
        ],
        [("ImportImagesRunMissed", GROUP, f"{PROD}: {MISSED_TOLD}")],
        minutes=NOW // MINUTE + 6,
    ),
    Case("a first run ever, by hand", without(FINE, "next_run_timestamp_seconds", "last_success_timestamp_seconds")),
    Case(
        "a job that stopped existing is missed until its group is deleted",
        [*MISSED, ("next_run_timestamp_seconds", {}, "1+0x150 _x90")],
        minutes=175,
    ),
    # ImportImagesRunFailed
    *[
        Case(
            f"a run that ended with {each}",
            outcome(each),
            [
                (
                    "ImportImagesRunFailed",
                    {**GROUP, "outcome": each},
                    f"{PROD}: the last run ended with {each}, {FAILED_TOLD}",
                )
            ],
        )
        for each in ("failure", "aborted")
    ],
    *[Case(f"a run that ended with {each}", outcome(each)) for each in ("partial", "unhealthy", "frozen")],
    Case("the next run went well", [("run_outcome", {"outcome": "failure"}, "1+0x60 0+0x180"), *MISSED]),
    # ImportImagesTagFailing
    Case(
        "a tag that failed twice",
        [*outcome("partial"), ("tag_failed_runs", WORKER, 2), ("tag_failed_runs", SERVICE, 1)],
        [
            (
                "ImportImagesTagFailing",
                {**GROUP, **WORKER},
                "packit-worker:prod in packit-prod has failed 2 consecutive runs and keeps its old image.",
            )
        ],
    ),
    Case("a tag that failed once", [*outcome("partial"), ("tag_failed_runs", WORKER, 1)]),
    Case(
        "all tags failed: the run says so",
        [*outcome("failure"), ("tag_failed_runs", WORKER, 5), ("tag_failed_runs", SERVICE, 5)],
        [
            (
                "ImportImagesRunFailed",
                {**GROUP, "outcome": "failure"},
                f"{PROD}: the last run ended with failure, {FAILED_TOLD}",
            )
        ],
    ),
    # ImportImagesTagStale
    Case(
        "two tags that were last current 16 days ago",
        [
            *outcome("partial"),
            *[("tag_last_success_timestamp_seconds", each, ago(16 * DAY)) for each in (WORKER, SERVICE)],
            ("tag_last_success_timestamp_seconds", {"stream": "new", "tag": "prod"}, ago(14 * DAY)),
            ("tag_result", {**WORKER, "result": "failed"}, 1),
        ],
        [("ImportImagesTagStale", GROUP, f"{PROD}: 2 {STALE_TOLD}")],
    ),
    Case("a tag that was current 14 days ago", [*FINE, ("tag_last_success_timestamp_seconds", WORKER, ago(14 * DAY))]),
    Case(
        "an old tag that is left alone on purpose",
        [
            *FINE,
            ("tag_last_success_timestamp_seconds", WORKER, ago(90 * DAY)),
            ("tag_result", {**WORKER, "result": "skipped"}, 1),
        ],
    ),
    Case("old tags in a freeze", [*outcome("frozen"), ("tag_last_success_timestamp_seconds", WORKER, ago(20 * DAY))]),
    # ImportImagesHoldExpired, ImportImagesHoldForgotten
    Case(
        "a hold that ended two hours ago",
        [
            *HELD,
            ("tag_hold_start_timestamp_seconds", WORKER, ago(30 * DAY)),
            ("tag_hold_end_timestamp_seconds", WORKER, ago(7200)),
        ],
        [
            (
                "ImportImagesHoldExpired",
                {**GROUP, **WORKER},
                "packit-worker:prod in packit-prod has a hold that expired at 1970-01-01 00:00:00 +0000 UTC, and still "
                "has the image of the rollback.",
            )
        ],
    ),
    Case(
        "a long hold that has not ended yet",
        [
            *HELD,
            ("tag_hold_start_timestamp_seconds", WORKER, ago(30 * DAY)),
            ("tag_hold_end_timestamp_seconds", WORKER, ago(-DAY)),
        ],
    ),
    Case(
        "a hold of 15 days without an end",
        [*HELD, ("tag_hold_start_timestamp_seconds", WORKER, ago(15 * DAY))],
        [
            (
                "ImportImagesHoldForgotten",
                {**GROUP, **WORKER},
                "packit-worker:prod in packit-prod has been held since 1969-12-17 02:00:00 +0000 UTC, without an end, "
                "and gets no updates.",
            )
        ],
    ),
    Case("a hold of 13 days", [*HELD, ("tag_hold_start_timestamp_seconds", WORKER, ago(13 * DAY))]),
    # ImportImagesFreezeForgotten
    Case(
        "a freeze of 15 days without an end",
        [*outcome("frozen"), ("frozen", {}, 1), ("freeze_start_timestamp_seconds", {}, ago(15 * DAY))],
        [
            (
                "ImportImagesFreezeForgotten",
                GROUP,
                "packit-prod has been frozen since 1969-12-17 02:00:00 +0000 UTC, without an end, and no "
                "tag gets updates.",
            )
        ],
    ),
    Case(
        "a long freeze with an end",
        [
            *outcome("frozen"),
            ("freeze_start_timestamp_seconds", {}, ago(15 * DAY)),
            ("freeze_end_timestamp_seconds", {}, ago(-DAY)),
        ],
    ),
    Case("a freeze of 13 days", [*outcome("frozen"), ("freeze_start_timestamp_seconds", {}, ago(13 * DAY))]),
    # ImportImagesGateHolds
    Case(
        "a gate that has held images back for 8 days",
        [
            *outcome("success"),
            ("tag_gate", {**WORKER, "gate": "proven", "verdict": "held"}, 1),
            ("tag_gate_start_timestamp_seconds", WORKER, ago(8 * DAY)),
        ],
        [
            (
                "ImportImagesGateHolds",
                {**GROUP, **WORKER},
                "packit-worker:prod in packit-prod has got no new image since 1969-12-24 02:00:00 +0000 UTC, because "
                "gates hold them back. To see why: import-images plan packit-worker:prod -n packit-prod",
            )
        ],
    ),
    Case(
        "a gate that has held images back for 6 days",
        [
            *outcome("success"),
            ("tag_gate", {**WORKER, "gate": "min_age", "verdict": "held"}, 1),
            ("tag_gate_start_timestamp_seconds", WORKER, ago(6 * DAY)),
        ],
    ),
    # ImportImagesRolloutBad
    Case(
        "a rollout that is bad",
        [
            *outcome("unhealthy"),
            ("rollout_healthy", BAD_WORKER, 0),
            ("rollout_bad_timestamp_seconds", {**BAD_WORKER, **WORKER, "result": "failed"}, ago(3600)),
            ("rollout_healthy", {"kind": "Deployment", "name": "service"}, 1),
        ],
        [
            (
                "ImportImagesRolloutBad",
                {**GROUP, **BAD_WORKER, **WORKER, "result": "failed"},
                "StatefulSet/worker in packit-prod has not been healthy with the image of packit-worker:prod since "
                "1970-01-01 01:00:00 +0000 UTC (failed). To roll back: import-images rollback packit-worker:prod -n "
                "packit-prod",
            )
        ],
    ),
    Case("rollouts that are healthy", [*FINE, ("rollout_healthy", {"kind": "StatefulSet", "name": "worker"}, 1)]),
    # ImportImagesPushFailing
    Case(
        "a push that was refused after the last one that was taken",
        [*without(FINE, "push_failure_time_seconds"), ("push_failure_time_seconds", {}, ago(60))],
        [
            (
                "ImportImagesPushFailing",
                GROUP,
                f"{PROD}: the last push, at 1970-01-01 01:59:00 +0000 UTC, was refused, so all other metrics are older "
                "than that.",
            )
        ],
    ),
    Case(
        "a push that was taken after one that was refused",
        [*without(FINE, "push_failure_time_seconds"), ("push_failure_time_seconds", {}, ago(7000))],
    ),
    # ImportImagesRollbackHorizonShort
    Case(
        "a tag with one earlier image",
        [*FINE, ("tag_rollback_targets", WORKER, 1), ("tag_rollback_targets", SERVICE, 2)],
        [
            (
                "ImportImagesRollbackHorizonShort",
                GROUP,
                f"{PROD}: 1 of its tags have fewer than two earlier images left in the registry.",
            )
        ],
    ),
    Case("tags with two earlier images", [*FINE, ("tag_rollback_targets", WORKER, 2)]),
    # ImportImagesMetricsGone
    Case(
        "a Pushgateway that lost what it had",
        [("last_run_timestamp_seconds", {}, "1+0x60 _x180")],
        [
            (
                "ImportImagesMetricsGone",
                {},
                "Metrics of import-images (1 groups) existed within the last day, and now there are none. Until "
                "the next run no other alert of import-images can fire.",
            )
        ],
    ),
    Case("a scrape that failed for some minutes", [("last_run_timestamp_seconds", {}, "1+0x105 _x60")]),
]


def written(case: Case, scraped: Mapping[str, str]) -> dict[str, Any]:
    """A case as promtool reads it; another deployment stands beside it, with which all is well."""
    samples = [
        series(name if name.startswith("push_") else f"import_images_{name}", {**scraped, **group, **labels}, value)
        for group, found in ((case.group, case.samples), (OTHER, FINE if case.fires and is_of_a_group(case) else []))
        for name, labels, value in found
    ]
    at = f"{case.minutes}m"
    tests = []
    for alert in ALERTS.values():
        expected = [
            {
                "exp_labels": {**labels, "severity": alert.severity},
                "exp_annotations": {
                    "summary": alert.summary,
                    "description": told,
                    "runbook_url": alert.runbook_url,
                    "cronjob": alert.cronjob,
                },
            }
            for name, labels, told in case.fires
            if name == alert.name
        ]
        tests.append({"eval_time": at, "alertname": alert.name, "exp_alerts": expected})
    return {"name": case.name, "interval": "1m", "input_series": samples, "alert_rule_test": tests}


def is_of_a_group(case: Case) -> bool:
    return any(labels for _, labels, _ in case.fires)


def promtool(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(shipped_groups()))
    return file


def test_rules_are_valid(rules: Path) -> None:
    status, told = promtool("check", "rules", "--lint=all", "--lint-fatal", str(rules))
    assert status == 0, told
    assert f"{len(ALERTS)} rules found" in told


@pytest.mark.parametrize(
    "scraped",
    [
        pytest.param(HONORED, id="honored", marks=slow("what OpenShift's own Prometheus overrides is the harder case")),
        pytest.param(OVERRIDDEN, id="overridden"),
    ],
)
def test_alerts_fire_and_stay_quiet(rules: Path, tmp_path: Path, scraped: dict[str, str]) -> None:
    file = tmp_path / "tests.yaml"
    tests = [written(case, scraped) for case in CASES]
    file.write_text(yaml.safe_dump({"rule_files": [rules.name], "evaluation_interval": "1m", "tests": tests}))
    status, told = promtool("test", "rules", str(file))
    assert status == 0, told


def test_every_alert_is_seen_firing_and_names_are_those_there_are() -> None:
    assert {name for case in CASES for name, _, _ in case.fires} == ALERTS.keys()


@pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda alert: alert.name)
def test_an_alert_has_a_severity_and_a_section_in_the_runbook(alert: Any) -> None:
    assert alert.severity in ("critical", "warning", "info")
    # The site has a page for each file of docs/, and mkdocs an anchor for each heading.
    page, _, anchor = alert.runbook_url.rpartition("/")[2].partition("#")
    assert (page, anchor) == (f"{RUNBOOK.stem}.html", alert.name.lower())
    sections = re.split(r"^## ", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    (section,) = [each for each in sections if each.splitlines()[0] == alert.name]
    for part in ("What it means", "How to check", "What to do"):
        assert f"**{part}.**" in section, part
    assert "```" in section, "what to do is a command"


def kustomized(folder: Path, kustomization: str, site: str = "") -> list[dict[str, Any]]:
    """What an overlay of a user's own becomes, on a copy of the manifests in which the site may be another one."""
    shutil.copytree(MANIFESTS, folder / "manifests")
    component = folder / "manifests" / "components" / "monitoring" / "kustomization.yaml"
    if site:
        text = component.read_text(encoding="utf-8")
        component.write_text(re.sub(r"- site=\S+", f"- site={site}", text), encoding="utf-8")
    (folder / "deploy").mkdir()
    (folder / "deploy" / "kustomization.yaml").write_text(kustomization, encoding="utf-8")
    command = [str(Path(sys.executable).with_name("kubectl")), "kustomize", str(folder / "deploy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def test_one_setting_moves_the_runbook_and_alerts_name_the_cronjob_as_it_is_called(tmp_path: Path) -> None:
    overlay = {
        "nameSuffix": "-packit",
        "resources": ["../manifests/overlays/prod"],
        "components": ["../manifests/components/monitoring"],
    }
    objects = kustomized(tmp_path, yaml.safe_dump(overlay), "https://docs.example.org/tools/import-images")
    (cron_job,) = [each for each in objects if each["kind"] == "CronJob"]
    (rule,) = [each for each in objects if each["kind"] == "PrometheusRule"]
    assert cron_job["metadata"]["name"] == "import-images-packit"
    for alert in rule["spec"]["groups"][0]["rules"]:
        annotations = alert["annotations"]
        assert annotations["cronjob"] == "import-images-packit"
        page = f"alerts.html#{alert['alert'].lower()}"
        assert annotations["runbook_url"] == f"https://docs.example.org/tools/import-images/{page}"
    assert not any("documentation" in each["metadata"]["name"] for each in objects)


def test_the_runbook_tells_of_no_other_alerts() -> None:
    told = re.findall(r"^## (ImportImages\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    assert told == list(ALERTS)


@pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda alert: alert.name)
def test_no_alert_goes_by_what_openshift_overrides(alert: Any) -> None:
    for word in ("job", "exported_job", "namespace", "instance", "pod", "service"):
        assert not re.search(rf"\b{word}\b", alert.expression), word
        assert f"$labels.{word} " not in alert.description


def test_the_runbook_uses_commands_and_flags_that_there_are() -> None:
    lines = re.findall(
        r"(?:^|`)(import-images (?:[a-z]+ )?-[^`\n#]*)", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(lines) > 15
    program = Path(sys.executable).with_name("import-images")
    helps: dict[str, str] = {}
    for line in lines:
        word = line.split()[1]
        command = "run" if word.startswith("-") else word
        if command not in helps:
            done = subprocess.run([program, command, "--help"], capture_output=True, text=True, check=False)
            assert done.returncode == 0, line
            helps[command] = done.stdout
        for flag in re.findall(r"(?<=\s)--?[a-z-]+", line):
            assert re.search(rf"(?<![\w-]){flag}(?![\w-])", helps[command]), line
