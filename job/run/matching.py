"""Arguments that match nothing: found before anything is written, so that a typing error changes nothing."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence

from job.cluster import IMAGE_STREAMS, NAMESPACES, PROJECTS
from job.domain.errors import ClusterError, UsageError
from job.domain.model import Reason, TriggerKind
from job.domain.selection import Pattern, Wanted
from job.domain.suggestions import did_you_mean
from job.imagestreams.api_types import stream_from
from job.run.context import Run
from job.runtime.pool import gather

# The names of a stream and of a tag in it.
Name = tuple[str, str]
_MOST_NAMES = 5


def require_matches(run: Run) -> None:
    """Check that each argument matches a tag, and for a run that a person starts here, that DEPLOYMENT does.

    A Job in the cluster may find nothing, as before its first deployment: that is a result, which it reports. Where a
    namespace cannot be listed nothing is checked but whether it exists: the command itself reports the rest.

    Raises:
        UsageError: with a line for each argument that matches nothing.
    """
    wanted = run.settings.wanted
    if not wanted.patterns and run.trigger.kind is not TriggerKind.LOCAL:
        return
    calls = {name: functools.partial(_names, run, name) for name in run.namespaces}
    answers = gather(calls, run.settings.concurrency, run.stopping)
    names = {name for answer in answers.values() if isinstance(answer, frozenset) for name in answer}
    unseen = [name for name in run.namespaces if not isinstance(answers.get(name), frozenset)]
    unknown = [name for name in run.namespaces if name in unseen or not answers[name]]
    if unknown and (missing := _missing(run, unknown)):
        raise UsageError(missing)
    if not unseen and (errors := unmatched(wanted, names, run.namespaces, run.settings.selector)):
        raise UsageError(errors)


def _missing(run: Run, namespaces: Sequence[str]) -> list[str]:
    """A line for each namespace that does not exist, as far as the API says.

    OpenShift answers a user who asks for a namespace without rights there as if it existed. The list of the user's own
    projects says more.
    """
    lines = []
    for namespace in namespaces:
        try:
            run.cluster.get(NAMESPACES, "", namespace)
        except ClusterError as error:
            if error.code == 404:
                lines.append(f"there is no namespace {namespace} on {run.cluster.server}{_nearest(run, namespace)}")
            elif error.reason is Reason.FORBIDDEN and (hint := _nearest(run, namespace)):
                lines.append(f"{namespace} is not a namespace that you may read on {run.cluster.server}{hint}")
    return lines


def _nearest(run: Run, namespace: str) -> str:
    """The user's project with a similar name, where `namespace` is not one of them."""
    try:
        projects = {str(item["metadata"]["name"]) for item in run.cluster.list(PROJECTS, "")}
    except ClusterError:
        return ""
    return "" if namespace in projects else did_you_mean(namespace, projects)


def _names(run: Run, namespace: str) -> frozenset[Name]:
    """The names of tags, until everything that was asked for has been seen: later pages are then not read."""
    wanted = run.settings.wanted
    missing = set(wanted.patterns or (Pattern("*"),))
    seen: set[Name] = set()
    for data in run.cluster.list(IMAGE_STREAMS, namespace, run.settings.selector):
        stream = stream_from(data)
        names = [(stream.name, tag.name) for tag in stream.tags]
        seen.update(names)
        included = [name for name in names if wanted.includes(*name)]
        missing -= {pattern for pattern in missing for name in included if pattern.matches(*name, wanted.deployment)}
        if not missing:
            break
    return frozenset(seen)


def unmatched(
    wanted: Wanted, names: Collection[Name], namespaces: Sequence[str], selector: str | None = None
) -> list[str]:
    """A line for each argument that matches none of the names, or for all of them where there is no argument.

    Args:
        wanted: the arguments, and DEPLOYMENT.
        names: of all tags there.
        namespaces: where they are.
        selector: the labels that their streams have.
    """
    where = f"in {', '.join(namespaces[:_MOST_NAMES])}" + (" and others" if len(namespaces) > _MOST_NAMES else "")
    if wanted.patterns:
        lines = [_of_pattern(pattern, wanted.deployment, names, where) for pattern in wanted.patterns]
        if not any(lines) and names and not any(wanted.includes(stream, tag) for stream, tag in names):
            return [f"EXCLUDE leaves out everything {where} that the arguments match"]
        return [line for line in lines if line]
    if any(wanted.includes(stream, tag) for stream, tag in names):
        return []
    if not names and selector:
        return [f"no stream {where} has tags and the labels {selector}; see: oc get imagestreams --show-labels"]
    if not names:
        return [f"there are no image stream tags {where}; see: oc get imagestreams"]
    tags = {tag for _, tag in names}
    if wanted.deployment and wanted.deployment not in tags:
        return [f"no stream {where} has the tag {wanted.deployment}{_hint(wanted.deployment, tags)}"]
    return [f"EXCLUDE leaves out everything {where}"]


def _of_pattern(pattern: Pattern, deployment: str | None, names: Collection[Name], where: str) -> str | None:
    if any(pattern.matches(stream, tag, deployment) for stream, tag in names):
        return None
    tags = {tag for stream, tag in names if Pattern(pattern.stream).matches(stream, tag, None)}
    wanted = pattern.tag or deployment
    if tags and wanted:
        return f"{pattern.stream} {where} has no tag {wanted}{_hint(wanted, tags)}"
    return f"{pattern.stream} matches no stream {where}{did_you_mean(pattern.stream, {stream for stream, _ in names})}"


def _hint(tag: str, tags: Collection[str]) -> str:
    shown = sorted(tags)
    more = ", ..." if len(shown) > _MOST_NAMES else ""
    return did_you_mean(tag, tags) or f"; tags there: {', '.join(shown[:_MOST_NAMES])}{more}"
