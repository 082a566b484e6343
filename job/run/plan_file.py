"""A reviewed plan (`plan -o json`), which a run follows to the letter: only its images are imported."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from job.config.settings import Settings
from job.domain.errors import UsageError
from job.domain.history import DIGEST
from job.domain.model import By, Command, Reason, Result, TagName, TagResult
from job.domain.planned import Planned
from job.domain.records import dataclass, replace
from job.domain.selection import Wanted, in_share
from job.imagestreams.listing import Chosen

STDIN = "-"
# Ten thousand tags take some ten megabytes.
MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan.

    Attributes:
        namespaces: in which it was made.
        deployment: of which, if of one.
        server: of which cluster, as far as it says.
        tags: those that it would import, or leave as they are because the registry has no other image.
    """

    namespaces: tuple[str, ...]
    deployment: str | None
    server: str | None
    tags: Mapping[TagName, Planned]


def read_plan(path: str) -> PlanFile:
    """Read a plan from a file, or from stdin.

    Raises:
        UsageError: it cannot be read, or is not a plan.
    """
    name = "stdin" if path == STDIN else path
    try:
        if path == STDIN:
            raw = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                raw = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        raise UsageError([f"--plan: {name} cannot be read: {problem}"]) from error
    if len(raw) > MOST_BYTES:
        raise UsageError([f"--plan: {name} is larger than {MOST_BYTES >> 20} MiB"])
    try:
        return _plan(json.loads(raw))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        kind = "" if type(error) is ValueError else f" ({type(error).__name__})"
        advice = "make it with: import-images plan -o json"
        raise UsageError([f"--plan: {name} is not a plan: {error}{kind}; {advice}"]) from error


def _plan(data: object) -> PlanFile:
    if not isinstance(data, dict) or data.get("kind") != "Report":
        raise ValueError("it is not a document of import-images")
    if data.get("version") != 1:
        raise ValueError(f"its version is {str(data.get('version'))[:20]}, and this program reads 1")
    run = data["run"]
    if run.get("command") != Command.PLAN:
        raise ValueError(f"it is the report of {str(run.get('command') or 'a run')[:20]!r}")
    tags: dict[TagName, Planned] = {}
    for entry in data["tags"]:
        if entry["result"] in (Result.UPDATED, Result.UNCHANGED):
            name = TagName(_name(entry["namespace"]), _name(entry["stream"]), _name(entry["tag"]))
            if name in tags:
                raise ValueError(f"it has {name.namespace}/{name} twice")
            before = entry.get("before")
            tags[name] = Planned(
                None if before is None else _digest(before["digest"]),
                _digest(entry["after"]["digest"]),
                None if entry.get("source") is None else str(entry["source"]),
            )
    deployment, server = run.get("deployment"), run.get("server")
    return PlanFile(
        tuple(dict.fromkeys(_name(name) for name in run["namespaces"])),
        None if deployment is None else _name(deployment),
        None if server is None else str(server),
        tags,
    )


def _name(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"(?a)[\w.-]{1,253}", value):
        raise ValueError(f"{str(value)[:80]!r} is not a name")
    return value


def _digest(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(DIGEST, value):
        raise ValueError(f"{str(value)[:80]!r} is not a digest")
    return value


def settings_for(plan: PlanFile, settings: Settings) -> Settings:
    """The settings of a run that follows a plan: in the plan's namespaces, of its deployment.

    Raises:
        UsageError: the settings name other ones.
    """
    errors = []
    needed = {name.namespace for name in plan.tags}
    if settings.namespaces and (others := sorted(needed - set(settings.namespaces))):
        errors.append(f"--plan: it has tags of {', '.join(others)}, and NAMESPACE is {', '.join(settings.namespaces)}")
    deployment = settings.wanted.deployment
    if deployment and plan.deployment and deployment != plan.deployment:
        errors.append(f"--plan: it is of the deployment {plan.deployment}, and DEPLOYMENT is {deployment}")
    if not plan.tags:
        errors.append("--plan: it has no tag that could be imported")
    if errors:
        raise UsageError(errors)
    wanted = replace(settings.wanted, deployment=deployment or plan.deployment)
    namespaces = tuple(name for name in settings.namespaces or plan.namespaces if name in needed)
    return replace(settings, namespaces=namespaces, namespace_selector=None, wanted=wanted, narrowed=True)


def gone(
    planned: Mapping[TagName, Planned], chosen: Sequence[Chosen], wanted: Wanted, listed: Collection[str]
) -> tuple[TagResult, ...]:
    """Results for tags of the plan that the cluster no longer has.

    Args:
        planned: the plan.
        chosen: what was found.
        wanted: what was asked for.
        listed: the namespaces that were listed completely.
    """
    there = {
        TagName(stream.namespace, stream.name, choice.tag.name) for stream, choices in chosen for choice in choices
    }
    return tuple(
        TagResult(
            *(name.namespace, name.stream, name.tag, tag.source, Result.FAILED),
            reason=Reason.NOT_FOUND,
            by=By.API,
            message="it is in the plan, and is gone",
        )
        for name, tag in planned.items()
        if name not in there
        and name.namespace in listed
        and wanted.includes(name.stream, name.tag)
        and in_share(name.namespace, name.stream, wanted.shard)
    )
