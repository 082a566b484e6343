"""Pushing metrics to a Pushgateway, or to a gateway that sums what it receives.

A Pushgateway (measured, 1.5.1) replaces the whole group on PUT. On POST it replaces each family that is sent and keeps
the others for ever. So a run PUTs the complete group, with the values it did not learn carried over from the gateway,
and POSTs only where these cannot be read.
"""

from __future__ import annotations

import base64
import logging
import random
import re
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from urllib.parse import quote

from job.config.settings import GatewaySettings
from job.domain.addresses import is_overheard
from job.domain.model import Command, Outcome, Reason, Report, Result, Skip, TriggerKind
from job.domain.retries import backoff
from job.domain.scope import Shard
from job.domain.text import clean
from job.publish.metric_families import BY_NAME, CARRIED_FAMILIES, GATE_START, RUN_FAMILIES, Family, Past, Values
from job.publish.metrics import exposition, increments, notification_increments, notifications
from job.runtime.http import Answer, HttpError, KeptConnections

log = logging.getLogger(__name__)

JOB = "import-images"
CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
TRIES = 3
# For all requests of a run to its gateway.
SECONDS = 120.0
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class GatewayError(Exception):
    """A request to a gateway failed.

    Attributes:
        passing: whether another try may help.
        taken: whether the gateway took what was sent; None where that is unknown.
    """

    def __init__(self, message: str, *, passing: bool, taken: bool | None = False) -> None:
        super().__init__(message)
        self.passing = passing
        self.taken = taken


# The labels of a group without `job`.
Group = Mapping[str, str]


def group_of(namespace: str, deployment: str | None, shard: Shard | None) -> Group:
    """The grouping key for a namespace. It is not `namespace`, which OpenShift's monitoring overrides."""
    group = {"stream_namespace": namespace}
    if deployment:
        group["deployment"] = deployment
    if shard:
        group["shard"] = str(shard.index)
    return group


def is_group(group: Group) -> bool:
    """Whether it can be a group of ours: in an address, other names and values would lead to another job's."""
    names = {"stream_namespace"} | {*group}
    return names <= {"stream_namespace", "deployment", "shard"} and all(
        name in group and group[name] not in ("", ".", "..") and not re.search(r"[/%\s]", group[name]) for name in names
    )


def push(
    report: Report,
    gateway: Gateway,
    pasts: Mapping[str, Past],
    *,
    narrowed: bool,
    overtaken: Callable[[str], bool] = lambda namespace: False,
    shared: Callable[[str], bool] = lambda namespace: False,
) -> None:
    """Push a report, one group for each of its namespaces. A failure is logged as an error.

    Args:
        report: of the run.
        gateway: where it goes.
        pasts: what the journals remember of each namespace, which can save reading the gateway.
        narrowed: the run took only some tags, by hand.
        overtaken: whether a later run publishes the metrics of a namespace; asked just before they are pushed.
        shared: whether another CronJob pushes the same group of a namespace, with tags that this run does not see.
    """
    for namespace in report.namespaces:
        # The group belongs to another run. Counters that are summed still count.
        if report.outcomes[namespace] is Outcome.LOCKED or (not gateway.sums and overtaken(namespace)):
            continue
        try:
            if gateway.sums:
                gateway.add(report, namespace)
            else:
                unseen = report.unseen(namespace) or shared(namespace)
                gateway.replace(report, namespace, pasts.get(namespace), narrowed=narrowed, unseen=unseen)
        except GatewayError as error:
            # A sum must not be sent twice, so what may have been counted is left alone.
            unknown = gateway.sums and error.taken is None
            what = "may have been counted, so they are not sent again" if unknown else "were not pushed"
            log.error("metrics of %s %s (%s): %s", namespace, what, gateway.url, error)


class Gateway:
    """One gateway, and the connection to it."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._until = time.monotonic() + SECONDS
        self._connections: KeptConnections | None = None
        self._headers: dict[str, str] = {}
        self._warned = False
        if settings.token:
            self._headers["Authorization"] = f"Bearer {settings.token}"
        elif settings.username:
            login = f"{settings.username}:{settings.password or ''}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        if self._headers and is_overheard(settings.url):
            log.warning("NO TLS to %s: anyone on the way can read its login; use https", settings.url)

    def close(self) -> None:
        """Close the connection."""
        if self._connections:
            self._connections.close()

    @property
    def url(self) -> str:
        """Its address, without a login."""
        return self._settings.url

    @property
    def sums(self) -> bool:
        """Whether it sums what it receives."""
        return self._settings.aggregation

    def add(self, report: Report, namespace: str) -> None:
        """Add a run's counts to a gateway that sums.

        What the gateway may have taken is not sent again, since it would count twice.
        """
        group = group_of(namespace, report.deployment, report.shard)
        self._send("POST", _path(group), increments(report, namespace), twice=False)

    def count_notifications(self, report: Report, namespace: str, results: Mapping[str, int]) -> None:
        """Say what became of a run's messages; the other families of its group stay as they are."""
        path = _path(group_of(namespace, report.deployment, report.shard))
        body = notification_increments(results) if self.sums else notifications(results)
        self._send("POST", path, body, twice=not self.sums)

    def delete(self, group: Group) -> None:
        """Remove a group from a Pushgateway."""
        self._send("DELETE", _path(group), b"")

    def replace(self, report: Report, namespace: str, past: Past | None, *, narrowed: bool, unseen: bool) -> None:
        """Update a Pushgateway's group.

        Args:
            report: of the run.
            namespace: whose group it is.
            past: what the journal remembers of it; None to ask the gateway.
            narrowed: the run took only some tags, by hand.
            unseen: the group may have tags that the run did not see; their series are carried.
        """
        if narrowed and report.exit_status in (2, 3):
            return
        group = group_of(namespace, report.deployment, report.shard)
        path = _path(group)
        if report.exit_status == 3:
            body = exposition(report, namespace, Past(), keep=lambda family, _: family.name in RUN_FAMILIES)
            self._send("POST", path, body)
            return
        carries_all = narrowed or unseen
        try:
            if past is None or carries_all or _lacks_something(past, report, namespace):
                # The journal comes first: the gateway may have lost its data, or missed another run's.
                wanted = BY_NAME.keys() if carries_all else CARRIED_FAMILIES
                known = {*(past or Past()).of("tag_last_success_timestamp_seconds")}
                known.update((tag.stream, tag.tag) for tag in report.tags if tag.namespace == namespace)
                past = (past or Past()).over(self._past(group, wanted, len(known)))
        except GatewayError as error:
            if not self._warned:
                self._warned = True
                log.warning("%s: its metrics cannot be read (%s), so old series may stay", self.url, error)
            keep = _complete_alone(report, namespace, narrowed=narrowed, unseen=unseen)
            if body := exposition(report, namespace, Past(), keep=keep):
                self._send("POST", path, body)
            return
        self._send("PUT", path, exposition(report, namespace, past, narrowed=narrowed, unseen=unseen))

    def _past(self, group: Group, wanted: Collection[str], tags: int) -> Past:
        """What the gateway has of a group that is known to have so many tags."""
        # The journal mostly knows it, and then the parser is not needed.
        from job.publish.gateway_answer import AnswerError, past_from

        response = self.request("GET", "/api/v1/metrics", None)
        try:
            if response.status != 200:
                raise refusal(response)
            # Half of the time is left for the push.
            until = time.monotonic() + self.seconds_left() / 2
            return past_from(response, until, {"job": JOB, **group}, wanted, tags)
        except AnswerError as error:
            raise GatewayError(clean(str(error)), passing=False) from error
        finally:
            response.close()

    def seconds_left(self) -> float:
        """How long its requests may still take."""
        return self._until - time.monotonic()

    def _send(self, method: str, path: str, body: bytes, *, twice: bool = True) -> None:
        for tries in range(1, TRIES + 1):
            try:
                response = self.request(method, path, body)
                try:
                    if not 200 <= response.status < 300:
                        raise refusal(response)
                    return
                finally:
                    # The body of a success is not needed, and may be long.
                    response.close()
            except (GatewayError, HttpError) as error:
                problem = error if isinstance(error, GatewayError) else _lost(error)
                if tries == TRIES or not problem.passing or (problem.taken is None and not twice):
                    raise problem from error
                wait = backoff(tries, Reason.UNREACHABLE, None, random.random())
                if wait >= self.seconds_left():
                    raise problem from error
                log.info("%s: %s; trying again", self.url, problem)
                time.sleep(wait)

    def request(self, method: str, path: str, body: bytes | None) -> Answer:
        """Send a request once; the caller reads and closes the answer, whatever its status.

        Raises:
            GatewayError: there is no answer.
        """
        headers = list(self._headers.items())
        if body is not None:
            headers.append(("Content-Type", CONTENT_TYPE))
        remaining = self.seconds_left()
        if remaining <= 0:
            raise GatewayError(f"not answered within {SECONDS:g} s", passing=False)
        try:
            self._connections = self._connections or KeptConnections(_tls_context(self._settings))
            return self._connections.request(
                method,
                self._settings.url + path,
                headers,
                body,
                connect=min(CONNECT_SECONDS, remaining),
                read=min(READ_SECONDS, remaining),
            )
        except HttpError as error:
            raise _lost(error) from error
        except OSError as error:
            raise GatewayError(clean(f"PUSHGATEWAY_CA_FILE: {error}"), passing=False) from error


def _lacks_something(past: Past, report: Report, namespace: str) -> bool:
    """Whether the gateway may know something that neither the journal nor this run does.

    That is a success, the schedule, or since when a workload is not healthy.
    """
    if past.bad_rollouts or (report.trigger is TriggerKind.LOCAL and report.next_run is None):
        return True
    if not past.of("last_success_timestamp_seconds") and report.outcomes[namespace] is not Outcome.SUCCESS:
        return True
    known = past.of("tag_last_success_timestamp_seconds")
    return any(
        tag.namespace == namespace
        and (tag.result is Result.FAILED or tag.reason is Skip.HELD)
        and (tag.stream, tag.tag) not in known
        for tag in report.tags
    )


def _path(group: Group) -> str:
    # Namespaces and tags are never empty and have no slash, so no value needs the base64 form.
    pairs = [("job", JOB), *sorted(group.items())]
    return "/metrics" + "".join(f"/{name}/{quote(value, safe='')}" for name, value in pairs)


def refusal(response: Answer) -> GatewayError:
    """Why a gateway refused a request, with a hint at what to do."""
    text = clean(response.read(2000).decode(errors="replace"), 200)
    hints = {
        401: "set PUSHGATEWAY_USERNAME and PUSHGATEWAY_PASSWORD, or PUSHGATEWAY_TOKEN",
        403: "the login may not push",
        404: "is it the address of a Pushgateway?",
    }
    hint = hints.get(
        response.status, "it redirects; give the address it redirects to" if response.status // 100 == 3 else ""
    )
    message = ": ".join(part for part in (f"HTTP {response.status}", text) if part)
    return GatewayError(
        f"{message} ({hint})" if hint else message,
        passing=response.status in (429, 500, 502, 503, 504),
        # A proxy may answer 5xx although the gateway behind it did the work.
        taken=None if response.status in (500, 502, 503, 504) else False,
    )


def _lost(error: HttpError) -> GatewayError:
    return GatewayError(clean(str(error)), passing=True, taken=False if error.problem.before_sending else None)


def _tls_context(settings: GatewaySettings) -> ssl.SSLContext | None:
    if not settings.url.startswith("https://"):
        return None
    return ssl.create_default_context(cafile=settings.ca_file)


def _complete_alone(
    report: Report, namespace: str, *, narrowed: bool, unseen: bool
) -> Callable[[Family, Values], bool]:
    """Which families a POST may replace although the past is unknown: those that this run knows completely."""
    whole = all(tag.reason is None for tag in report.tags if tag.namespace == namespace)

    def keep(family: Family, values: Values) -> bool:
        if narrowed:
            return family.name == "last_run_timestamp_seconds" and report.command is Command.RUN
        if unseen:
            return family.of_tag is None
        return whole or family.name not in ("tag_last_success_timestamp_seconds", "tag_failed_runs", GATE_START)

    return keep
