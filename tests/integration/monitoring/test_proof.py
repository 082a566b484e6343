"""Every query of the dashboards, every variable and every alert, asked of a real Prometheus about real runs.

Once with the labels as they were pushed, and once as OpenShift's monitoring of user workloads does it: the labels of
the target win, and rules see one namespace only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.integration.monitoring.prometheus import HOME, How, Prometheus, enforced, prometheus
from tests.integration.monitoring.promql import named
from tests.integration.monitoring.rules import shipped_alerts, shipped_groups
from tests.integration.monitoring.scenes import STATES, Scene
from tests.integration.monitoring.shipped import FLAVOURS, Ask, Flavour, asks, choices, chosen
from tests.sandbox.client import IMAGE, Sandbox, until
from tests.sandbox.programs import Program, start_pushgateway
from tests.support.place import Place, of
from tests.support.rights import RUN
from tests.support.servers import pushgateway
from tests.support.tiers import slow

HOWS: tuple[How, ...] = ("honored", "overridden")
EVERY = frozenset(STATES)
SCHEDULED = {"good", "frozen", "ruled", "late"}
# Where a run with outcome success has been.
SUCCEEDED = EVERY - {"failure", "bad"}
# Each query of a panel, by its title and its number, and the states in which it gives something; in all others nothing.
GIVES: dict[str, set[str] | frozenset[str]] = {
    "Last outcome A": EVERY,
    "Failed tags A": EVERY,
    "Failing since A": {"partial"},
    "Bad rollouts A": EVERY,
    "Held back A": EVERY,
    "Next run in A": SCHEDULED,
    "Last runs A": EVERY,
    "Last runs B": SUCCEEDED,
    "Last runs C": EVERY,
    "Last runs D": SCHEDULED,
    # Whose reports have no rules cannot count them.
    "Last runs E": EVERY - {"late", "refused"},
    "What failed, since when, and what to do A": {"partial", "failure"},
    # What never came in has no last time.
    "What failed, since when, and what to do B": {"partial"},
    "Workloads that are not healthy A": {"bad"},
    "Held back, and why A": {"frozen", "ruled", "partial", "late"},
    "Held back, and why B": {"frozen", "late"},
    "Outcomes A": EVERY,
    "Tags by result A": EVERY,
    "Failures by reason A": {"partial", "failure"},
    "Import seconds A": EVERY,
    "Import seconds B": EVERY,
    "Delay against the schedule A": SCHEDULED,
    "Duration of runs A": EVERY,
    "Requests and retries A": EVERY,
    "Requests and retries B": {"good"},
    "Messages A": {"good"},
    "Tags A": EVERY,
    "Tags B": EVERY - {"failure"},
    "Tags C": EVERY - {"failure"},
    "Tags D": EVERY - {"failure"},
    "Tags E": {"partial", "late"},
    "Earlier images left in the registry A": {"late"},
    "Rollouts of the last run A": {"bad"},
    "Rollouts of the last run B": {"bad"},
    "Rollout seconds A": {"bad"},
    "Pushes A": EVERY,
    "Pushes B": {"refused"},
    "Versions A": EVERY,
}
# The one value of some of them in each state.
OUTCOMES = {"good": 0, "frozen": 1, "ruled": 1, "partial": 3, "bad": 5, "failure": 6, "late": 0, "refused": 0}
COUNTS = {
    "Failed tags A": {"partial": 1, "failure": 1},
    "Bad rollouts A": {"bad": 1},
    "Held back A": {"partial": 1, "frozen": 1, "ruled": 2, "late": 2},
    "Last outcome A": OUTCOMES,
}
ALERTS = {
    "partial": {"ImportImagesTagFailing", "ImportImagesHoldForgotten"},
    "failure": {"ImportImagesRunFailed"},
    "ruled": {"ImportImagesFreezeForgotten"},
    "bad": {"ImportImagesRolloutBad"},
    "late": {
        "ImportImagesRunMissed",
        "ImportImagesTagStale",
        "ImportImagesHoldExpired",
        "ImportImagesRollbackHorizonShort",
        "ImportImagesGateHolds",
    },
    "refused": {"ImportImagesPushFailing"},
}
# It needs metrics that are gone; see the test of a Pushgateway that restarts.
ELSEWHERE = {"ImportImagesMetricsGone"}
COUNTED = "import_images_last_run_timestamp_seconds"


@contextmanager
def watched(folder: Path, gateway: str) -> Iterator[tuple[Prometheus, ...]]:
    """A Prometheus of each kind that scrapes a Pushgateway."""
    with ExitStack() as stack:
        yield tuple(
            stack.enter_context(prometheus(folder / how, gateway.removeprefix("http://"), how, shipped_groups()))
            for how in HOWS
        )


def scraped(prometheuses: tuple[Prometheus, ...], namespaces: set[str]) -> None:
    """Wait until each has the metrics of these namespaces, and of no others."""
    asked = f"count by (stream_namespace) ({COUNTED})"

    def there() -> bool:
        return all({dict(key)["stream_namespace"] for key in each.ask(asked)} == namespaces for each in prometheuses)

    until(there, told=f"the metrics of {namespaces}")


def seen(asked: Prometheus, ask: Ask, **values: str) -> dict[tuple[tuple[str, str], ...], float]:
    return asked.ask(chosen(ask.flavour, ask.expression, values))


# Some 150 queries of each of eight states, by two Prometheuses, while other tests use the machine.
@pytest.mark.timeout(400)
def test_all_that_is_asked_for_is_given_where_it_is_meant(sandbox: Sandbox, tmp_path: Path) -> None:
    assert {ask.key for ask in asks("grafana")} - GIVES.keys() == set()
    with pushgateway(tmp_path / "gateway") as gateway, watched(tmp_path, gateway) as prometheuses:
        scene = Scene(sandbox, gateway)
        scene.make(*STATES)
        names = scene.namespaces
        scraped(prometheuses, set(names.values()))
        problems: list[str] = []
        for each in prometheuses:
            check_labels(each)
            for flavour in FLAVOURS:
                problems += choices_that_lack(each, flavour, names)
                for ask in asks(flavour):
                    problems += [f"{each.how}, {flavour}, {ask.key}: {told}" for told in wrong(each, ask, names)]
            problems += wrong_alerts(each, names)
        assert problems == []


def check_labels(asked: Prometheus) -> None:
    """The labels of a series are as such a Prometheus leaves them, or there would be nothing to prove."""
    for found in map(dict, asked.ask(COUNTED)):
        if asked.how == "honored":
            assert found["job"] == "import-images"
            assert "namespace" not in found
        else:
            assert (found["job"], found["exported_job"]) == ("prometheus-pushgateway", "import-images")
            assert found["namespace"] == HOME


def wrong(asked: Prometheus, ask: Ask, names: Mapping[str, str]) -> Iterator[str]:
    """What a query gives otherwise than intended."""
    if not seen(asked, ask):
        yield "nothing at all"
    # What a table does not show of its rows would tell no two of them apart.
    found = {label for labels in seen(asked, ask) for label, _ in labels}
    if ask.columns and found - set(ask.columns):
        yield f"no columns for {found - set(ask.columns)}"
    for state, namespace in names.items():
        values = seen(asked, ask, stream_namespace=namespace)
        if bool(values) is not (state in GIVES[ask.key]):
            yield f"{'something' if values else 'nothing'} in {state}"
        if not seen(asked, ask, stream_namespace=namespace, deployment="prod") and values and state != "failure":
            yield f"nothing for the deployment in {state}"
        if ask.key in COUNTS and list(values.values()) != [COUNTS[ask.key].get(state, 0)]:
            yield f"{values} in {state}"
        if not ask.once and not asked.ask_over_time(chosen(ask.flavour, ask.expression, {})):
            yield "nothing over time"
    if seen(asked, ask, stream_namespace="no-such-namespace"):
        yield "something in a namespace that is not there"


def choices_that_lack(asked: Prometheus, flavour: Flavour, names: Mapping[str, str]) -> Iterator[str]:
    """Variables that do not offer what there is."""
    there = {"stream_namespace": set(names.values()), "deployment": {"prod"}}
    for choice in choices(flavour):
        if flavour == "grafana":
            found = set(asked.values_of(choice.label, choice.metric))
        else:
            # What the console makes of label_values.
            series = asked.ask_over_time(f"count({choice.metric}) by ({choice.label})")
            found = {value for labels in series for value in labels.values()}
        if found != there[choice.name]:
            yield f"{asked.how}, {flavour}: ${choice.name} offers {found}"


def wrong_alerts(asked: Prometheus, names: Mapping[str, str]) -> Iterator[str]:
    """Alerts that fire otherwise than intended, as their expressions say and as Prometheus itself."""
    intended = {(alert, names[state]) for state, alerts in ALERTS.items() for alert in alerts}
    for group in asked.get("rules")["groups"]:
        yield from (
            f"{asked.how}: {rule['name']}: {rule['lastError']}" for rule in group["rules"] if "lastError" in rule
        )
    found = set()
    for alert in shipped_alerts().values():
        expression = enforced(alert.expression) if asked.how == "overridden" else alert.expression
        if asked.how == "overridden":
            assert all("namespace" in selector.labels for selector in named(expression).selectors)
        found |= {(alert.name, dict(labels).get("stream_namespace", "")) for labels in asked.ask(expression)}
        # Somebody else's namespace has none of it.
        if asked.how == "overridden" and asked.ask(enforced(alert.expression, "another")):
            yield f"{alert.name} fires in a namespace of others"
    if found != intended:
        yield f"{asked.how}: {sorted(found ^ intended)} fire, or should"
    until(lambda: asked.alerts() == intended, told=f"{asked.how}: the alerts {sorted(intended)}")
    if {alert for alert, _ in intended} != shipped_alerts().keys() - ELSEWHERE:
        yield "an alert is not seen firing"


def by_title(title: str, ref: str = "A") -> list[Ask]:
    """A query of a panel that every dashboard has."""
    found = [ask for flavour in FLAVOURS for ask in asks(flavour) if (ask.panel, ask.ref) == (title, ref)]
    assert [ask.flavour for ask in found] == list(FLAVOURS), title
    return found


def test_a_deleted_stream_leaves_and_two_deployments_share_a_namespace(sandbox: Sandbox, tmp_path: Path) -> None:
    with pushgateway(tmp_path / "gateway") as gateway, watched(tmp_path, gateway) as prometheuses:
        scene = Scene(sandbox, gateway)
        place = scene.place()
        for stream in ("stays", "goes"):
            place.push(stream, "one", "stg")
            place.imported(stream)
            place.sandbox.import_tag(place.namespace, stream, "prod")
        path = f"{IMAGE}/namespaces/{place.namespace}/imagestreams"
        stays = place.sandbox.stream(place.namespace, "stays")
        staged = {**stays["spec"]["tags"][0], "name": "stg", "from": {"kind": "DockerImage"}}
        staged["from"]["name"] = place.source("stays", "stg")
        stays["spec"]["tags"].append(staged)
        place.sandbox.replace(f"{path}/stays", stays)
        place.import_fault("goes", status={"code": 400})
        scene.run(place, 1, RETRIES="0")
        scene.run(place, 0, DEPLOYMENT="stg")
        scraped(prometheuses, {place.namespace})
        until(lambda: all(len(each.ask(COUNTED)) == 2 for each in prometheuses), told="both deployments")
        for each in prometheuses:
            assert set(each.values_of("deployment", COUNTED)) == {"prod", "stg"}
            for ask in by_title("Tags"):
                assert tags_in(each, ask) == {("stays", "prod"), ("goes", "prod"), ("stays", "stg")}
                assert tags_in(each, ask, deployment="stg") == {("stays", "stg")}
            for ask in by_title("Last outcome"):
                values = [list(seen(each, ask, deployment=name).values()) for name in ("prod", "stg")]
                assert values == [[3.0], [0.0]]
            # Queries that meet two groups of one namespace are not confused by them.
            for flavour in FLAVOURS:
                for ask in asks(flavour):
                    seen(each, ask, stream_namespace=place.namespace)
        place.sandbox.delete(f"{path}/goes")
        scene.run(place, 0, RETRIES="0")
        for each in prometheuses:
            for ask in by_title("Tags"):
                until(lambda: tags_in(each, ask) == {("stays", "prod"), ("stays", "stg")}, told="no row of the stream")  # noqa: B023
            for ask in by_title("What failed, since when, and what to do"):
                assert seen(each, ask) == {}
            for ask in by_title("Failed tags"):
                # One tile for each deployment; the console can draw only one number.
                assert list(seen(each, ask).values()) == ([0.0] if ask.flavour == "console" else [0.0, 0.0])
        sandbox.remove_faults()


def tags_in(asked: Prometheus, ask: Ask, **values: str) -> set[tuple[str, str]]:
    return {(dict(labels)["stream"], dict(labels)["tag"]) for labels in seen(asked, ask, **values)}


def restarted_empty(program: Program, folder: Path) -> Program:
    """A Pushgateway in the place of another, without what that had."""
    program.stop()
    # Debian's keeps what it has in a place of the machine's unless it is told another.
    options = [f"--web.listen-address=127.0.0.1:{program.port}", f"--persistence.file={folder / 'again'}"]
    command = ["prometheus-pushgateway", *options]
    found = Program(command, program.port, "/-/ready", folder / "again.log")
    found.wait_until_ready()
    return found


@pytest.mark.parametrize(
    "shards", [pytest.param(None, marks=slow("shards are the harder case")), 2], ids=["one", "shards"]
)
def test_a_pushgateway_that_restarts_empty_is_told_of_and_filled_again(
    sandbox: Sandbox, tmp_path: Path, shards: int | None
) -> None:
    program = start_pushgateway(tmp_path)
    try:
        program.wait_until_ready()
        with watched(tmp_path, f"http://{program.address}") as prometheuses:
            place = Place(sandbox, RUN)
            for name in ("app", "bad", "third", "fourth"):
                place.imported(name)
            scene = Scene(sandbox, f"http://{program.address}")
            run_all(scene, place, 0, shards)
            place.import_fault("bad", status={"code": 400})
            run_all(scene, place, 1, shards)
            scraped(prometheuses, {place.namespace})
            success = place.metrics(scene.gateway)["tag_last_success_timestamp_seconds"]
            program = restarted_empty(program, tmp_path)
            scraped(prometheuses, set())
            for each in prometheuses:
                # No number where nothing is known: a zero would look like good news.
                for flavour in FLAVOURS:
                    for ask in asks(flavour):
                        until(lambda: seen(each, ask) == {}, told=ask.key)  # noqa: B023
                until(lambda: each.alerts() == {("ImportImagesMetricsGone", "")}, told="the alert")  # noqa: B023
            run_all(scene, place, 1, shards)
            scraped(prometheuses, {place.namespace})
            for each in prometheuses:
                for ask in by_title("What failed, since when, and what to do"):
                    # A scrape may have met the first shard's push alone.
                    until(lambda: len(seen(each, ask)) == 1, told=ask.key)  # noqa: B023
                    ((labels, runs),) = seen(each, ask).items()
                    assert (dict(labels)["stream"], runs) == ("bad", 2)
                for ask in by_title("What failed, since when, and what to do", "B"):
                    assert len(seen(each, ask)) == 1
                for ask in by_title("Last runs"):
                    until(lambda: len(seen(each, ask)) == (shards or 1), told="each shard")  # noqa: B023
            # What the journal kept.
            again = place.metrics(scene.gateway)["tag_last_success_timestamp_seconds"]
            if not shards:
                assert again[of("bad")] == pytest.approx(success[of("bad")], abs=0.01)
    finally:
        program.stop()
        sandbox.remove_faults()


def run_all(scene: Scene, place: Place, status: int, shards: int | None) -> None:
    """A run, or one for each shard; with shards only the one that has the bad tag fails."""
    if not shards:
        scene.run(place, status, RETRIES="0")
        return
    found = [
        place.run(
            PUSHGATEWAY_ADDRESS=scene.gateway, SHARDS=str(shards), JOB_COMPLETION_INDEX=str(index), RETRIES="0"
        ).status
        for index in range(shards)
    ]
    assert max(found) == status
