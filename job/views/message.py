"""A run as one message to people, as Markdown or as plain text.

Texts from outside (names, reasons, what a registry answered) are quoted so that no service takes them for a mention, a
link or markup, whatever its dialect.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from urllib.parse import urlsplit

from job.domain.model import Command, Image, Outcome, Report, Result, Rollout, Skip, TagResult, TriggerKind
from job.domain.news import News, rollout_key, tag_key
from job.domain.records import dataclass
from job.domain.repositories import change_link
from job.domain.rollbacks import rollbacks_of
from job.domain.shell import ours
from job.domain.text import clean, humanize
from job.domain.verdicts import first_refusal

# What chat services accept at least; the rest is counted.
MOST_CHARACTERS = 4000
MOST_QUOTED = 300
# Some services turn these into links, mentions or escapes even inside a code span.
_REPLACED = str.maketrans({"`": "'", "<": "\u2039", ">": "\u203a", "&": "+", "|": "/"})
_MENTION = r"(?<![\w.])@(?=\w)"
_LINK = r"(?<=\w):/(?=/)"


class Markup(Enum):
    """The dialect of a message."""

    MARKDOWN = "markdown"
    PLAIN = "plain"

    def quote(self, text: str) -> str:
        """A text from outside: shown as it is, never rendered, no longer than `MOST_QUOTED` characters."""
        shown = clean(text, MOST_QUOTED).translate(_REPLACED)
        shown = re.sub(_LINK, ": /", re.sub(_MENTION, "(at)", shown))
        return f"`{shown}`" if self is Markup.MARKDOWN else shown

    def strong(self, text: str) -> str:
        """A word of ours that is read first."""
        return f"**{text}**" if self is Markup.MARKDOWN else text


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its entries, each one line."""

    heading: str
    entries: tuple[str, ...]


def title_of(report: Report) -> str:
    """One line: what, where, and how it ended."""
    where = ", ".join(report.namespaces[:3]) + (", ..." if len(report.namespaces) > 3 else "")
    deployment = f" {report.deployment}" if report.deployment else ""
    what = "import-images" if report.command is Command.RUN else f"import-images {report.command}"
    return clean(f"{what}{deployment} in {where}: {_counts(report)}", 200).translate(_REPLACED)


def _counts(report: Report) -> str:
    counts = [(sum(tag.result is result for tag in report.tags), result) for result in Result]
    parts = [f"{count} {humanize(result)}" for count, result in counts if count and result not in (Result.UNCHANGED,)]
    if report.outcome not in (Outcome.SUCCESS, Outcome.PARTIAL):
        parts.insert(0, humanize(report.outcome))
    return ", ".join(parts) or "nothing changed"


def body_of(report: Report, news: News, markup: Markup) -> str:
    """The message: what failed first, what was imported, what is well again; at most 4,000 characters."""
    lines = [_head(report, markup)]
    length, omitted = len(lines[0]), 0
    for section in _sections(report, news, markup):
        lines_of_section = [f"\n{markup.strong(section.heading)}", *(f"- {entry}" for entry in section.entries)]
        for number, line in enumerate(lines_of_section):
            # The last line says how much is left out.
            if length + len(line) + 1 > MOST_CHARACTERS - 60:
                omitted += len(lines_of_section) - max(number, 1)
                break
            lines.append(line)
            length += len(line) + 1
    if omitted:
        lines.append(f"\n... and {omitted} more; see the report")
    return "\n".join(lines)


def _head(report: Report, markup: Markup) -> str:
    seconds = (report.finished_at - report.started_at).total_seconds()
    job = f", job {markup.quote(report.job)}" if report.job else ""
    identity = report.identity
    where = f" on {markup.quote(urlsplit(identity.server).netloc)}" if identity else ""
    # In a pod that is the service account, which names no person.
    is_local = report.trigger is TriggerKind.LOCAL
    by = f" by {markup.quote(identity.user)}" if identity and identity.user and is_local else ""
    return (
        f"{markup.strong(humanize(report.outcome))}: {report.trigger} run {markup.quote(report.id)}{by}{where}{job}, "
        f"{report.started_at:%a %Y-%m-%d %H:%M} UTC, {seconds:.0f} s"
    )


def _sections(report: Report, news: News, markup: Markup) -> Iterator[Section]:
    of_tags: Sequence[tuple[str, Callable[[TagResult], bool], Callable[[TagResult, Markup], str]]] = (
        ("Failed", lambda tag: tag.result is Result.FAILED, _failed),
        ("Rolled back", lambda tag: tag.result is Result.ROLLED_BACK, _rolled_back),
        ("Imported", lambda tag: tag.result is Result.UPDATED, _updated),
    )
    if errors := [f"{markup.quote(error.namespace)}: {markup.quote(error.message)}" for error in report.errors]:
        yield Section("Errors", tuple(errors))
    if bad := [_rollout(report, rollout, markup) for rollout in report.rollouts if rollout.is_bad]:
        yield Section("Rollouts that are not healthy", tuple(bad))
    for heading, includes, shown in of_tags:
        if entries := [shown(tag, markup) for tag in report.tags if includes(tag)]:
            yield Section(heading, tuple(entries))
    if ended := [markup.quote(text) for text in _well_again(report, news)]:
        yield Section("Resolved", tuple(ended))
    if gated := [_gated(tag, markup) for tag in report.tags if _is_gated(tag)]:
        yield Section("Gated", tuple(gated))
    if held := [_held(tag, markup) for tag in report.tags if tag.reason is Skip.HELD]:
        yield Section("Held", tuple(held))
    if report.next_run:
        yield Section("Next run", (f"{report.next_run:%a %Y-%m-%d %H:%M} UTC",))


def _well_again(report: Report, news: News) -> Iterator[str]:
    names = {tag_key(tag): _name(tag) for tag in report.tags}
    names |= {
        rollout_key(rollout): f"{rollout.kind} {rollout.name} in {rollout.namespace}" for rollout in report.rollouts
    }
    for namespace, keys in news.ended.items():
        for key in sorted(keys):
            yield names.get(key) or _without_result(namespace, key)


def _without_result(namespace: str, key: str) -> str:
    """A problem that is over and of which the run has no result."""
    kind, _, what = key.partition(" ")
    return f"{what} of namespace {namespace}" if kind == "namespace" else f"{kind} {what} in {namespace}: it is gone"


def _name(tag: TagResult) -> str:
    return f"{tag.namespace}/{tag.stream}:{tag.tag}"


def _image(image: Image | None) -> str:
    if image is None:
        return "none"
    return (image.revision or image.digest.removeprefix("sha256:"))[:12]


def _updated(tag: TagResult, markup: Markup) -> str:
    # A bare address, so that the reader sees where it leads; its form is checked where the image's label is read.
    link = change_link(tag.before, tag.after)
    change = f"{markup.quote(_image(tag.before))} to {markup.quote(_image(tag.after))}"
    return f"{markup.quote(_name(tag))}: {change}" + (f" {link}" if link else "")


def _failed(tag: TagResult, markup: Markup) -> str:
    command = ours("plan", tag.name)
    by = f", by the {tag.by}" if tag.by else ""
    reason = f"{markup.quote(_name(tag))}: {tag.reason}{by}"
    return f"{reason}: {markup.quote(tag.message or 'no reason given')}. Try: {markup.quote(command)}"


def _rolled_back(tag: TagResult, markup: Markup) -> str:
    by = f" by {markup.quote(tag.hold.by)}" if tag.hold and tag.hold.by else ""
    why = f": {markup.quote(tag.message)}" if tag.message else ""
    resume = ours("resume", tag.name)
    return f"{markup.quote(_name(tag))} to {markup.quote(_image(tag.after))}{by}{why}. To go on: {markup.quote(resume)}"


def _is_gated(tag: TagResult) -> bool:
    return tag.result is Result.SKIPPED and first_refusal(tag.gates) is not None


def _gated(tag: TagResult, markup: Markup) -> str:
    refusal = first_refusal(tag.gates)
    assert refusal is not None
    image = markup.quote(_image(tag.candidate or tag.after))
    why = f": {markup.quote(refusal.message)}" if refusal.message else ""
    return f"{markup.quote(_name(tag))}: {image}, {humanize(refusal.gate)}{why}"


def _held(tag: TagResult, markup: Markup) -> str:
    reason = f": {markup.quote(tag.hold.reason)}" if tag.hold and tag.hold.reason else ""
    by = f" by {markup.quote(tag.hold.by)}" if tag.hold and tag.hold.by else ""
    return f"{markup.quote(_name(tag))}{by}{reason}"


def _rollout(report: Report, rollout: Rollout, markup: Markup) -> str:
    name = markup.quote(f"{rollout.kind} {rollout.name} in {rollout.namespace}")
    why = f": {markup.quote(rollout.message)}" if rollout.message else ""
    back = "".join(f" Roll back: {markup.quote(ours('rollback', name))}" for name in rollbacks_of(report, rollout)[:1])
    return f"{name}: {humanize(rollout.result)}{why}.{back}"
