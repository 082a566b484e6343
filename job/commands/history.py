"""`history`: the images that tags have had, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from job.config.settings import Settings
from job.domain.history import Entry, TagHistory, Tenure, tenures_of
from job.domain.holds import hold_of, is_over
from job.domain.model import Item
from job.domain.times import iso
from job.imagestreams.api_types import image_of, import_problem, items_of, reference_of
from job.imagestreams.descriptions import Describer
from job.imagestreams.lookup import Question, question_of_item
from job.run.context import IDENTITY_SECONDS
from job.run.session import Place, place
from job.run.targets import SelectedTag, find
from job.runtime.shutdown import Stop
from job.views.documents import hold_document
from job.views.output import document, write

# A history that is not pruned may have hundreds, each of which costs a request to describe.
MOST_DESCRIBED = 20


def history(settings: Settings, stop: Stop, *, as_table: bool, check: bool, limit: int | None = None) -> int:
    """Show the history of the tags that were asked for, the `limit` newest images of each; returns the exit status."""
    with place(settings, stop) as where:
        histories = _histories(where, find(where), check=check, limit=limit)
        identity = where.identify(IDENTITY_SECONDS)
    now = datetime.now(UTC)
    if as_table:
        from job.commands.history_view import print_histories
        from job.views.tables import print_identity

        write(lambda: print_identity(identity))
        write(lambda: print_histories(histories, now))
    else:
        document("History", {"tags": [_document(shown, now) for shown in histories]})
    unsure = any(shown.checked and entry.in_registry is None for shown in histories for entry in shown.entries)
    return 1 if unsure else 0


def source_of(selected: SelectedTag) -> str:
    """What a tag follows, in the words of `oc describe`."""
    reference = reference_of(selected.data, selected.name.tag)
    if reference is None:
        return "pushed"
    source = selected.tag.source
    if source is None:
        return "tag without source image"
    other = source.namespace not in (None, selected.name.namespace)
    name = f"{source.namespace}/{source.name}" if other else source.name
    policy = selected.tag.import_policy or {}
    words = {"ImageStreamTag": "follows", "ImageStreamImage": "pinned to"}
    verb = words.get(source.kind, "updates automatically from" if policy.get("scheduled") is True else "imported from")
    extras = [
        *(["reference only"] if selected.tag.reference else []),
        *(["insecure"] if policy.get("insecure") is True else []),
        *([str(policy["importMode"])] if policy.get("importMode") not in (None, "", "Legacy") else []),
        *(["pulled through"] if (selected.tag.reference_policy or {}).get("type") == "Local" else []),
    ]
    return f"{verb} {name}" + (f" ({', '.join(extras)})" if extras else "")


def _histories(where: Place, selected: Sequence[SelectedTag], *, check: bool, limit: int | None) -> list[TagHistory]:
    """The history of each tag. What has to be asked for is asked for all of them at once."""
    tenures = {tag.name: tenures_of(items_of(tag.data, tag.name.tag))[:limit] for tag in selected}
    describer = Describer(where.cluster, where.stopping)
    described = [
        (name.namespace, name.stream, tenure.item.digest)
        for name, of_tag in tenures.items()
        for tenure in of_tag[:MOST_DESCRIBED]
    ]
    describer.describe_all(described, where.settings.concurrency)
    questions = {
        (tag.name, tenure.item.digest): question
        for tag in selected
        # Of a digest that was current twice, the newest item counts.
        for tenure in (reversed(tenures[tag.name]) if check else ())
        if (question := _question(tag, tenure))
    }
    answers = where.look_up(list(questions.values())) if questions else {}

    def entry_of(tag: SelectedTag, tenure: Tenure) -> Entry:
        digest = tenure.item.digest
        question = questions.get((tag.name, digest))
        answer = answers.get(question) if question else None
        image = image_of(Item(digest, tenure.item.imported_at), describer.facts(digest))
        is_held = tenure.is_current and hold_of(tag.tag) is not None
        return Entry(tenure, image, is_held, answer.is_there if answer else None)

    return [
        TagHistory(
            tag.name,
            source_of(tag),
            hold_of(tag.tag),
            is_over(tag.tag),
            import_problem(tag.data, tag.name.tag),
            tuple(entry_of(tag, tenure) for tenure in tenures[tag.name]),
            check,
        )
        for tag in selected
    ]


def _question(tag: SelectedTag, tenure: Tenure) -> Question | None:
    name = tag.name
    return question_of_item(name.namespace, name.stream, tenure.item, tag.tag.import_policy)


def _document(shown: TagHistory, now: datetime) -> dict[str, Any]:
    reason, message, since = shown.problem or (None, None, None)
    return {
        "namespace": shown.name.namespace,
        "stream": shown.name.stream,
        "tag": shown.name.tag,
        "source": shown.source,
        "hold": hold_document(shown.hold),
        "import_error": {"reason": reason, "message": message, "since": iso(since)} if shown.problem else None,
        "images": [_entry(entry, now) for entry in shown.entries],
    }


def _entry(entry: Entry, now: datetime) -> dict[str, Any]:
    imported_at, until = entry.tenure.item.imported_at, entry.tenure.until or now
    return {
        "digest": entry.image.digest,
        "pull_spec": entry.tenure.item.pull_spec,
        "imported_at": iso(imported_at),
        "until": iso(entry.tenure.until),
        "seconds": None if imported_at is None else round((until - imported_at).total_seconds()),
        "current": entry.tenure.is_current,
        "held": entry.held,
        "put_back": entry.tenure.restored,
        "rolled_back_from": entry.tenure.rolled_back_from,
        "created": iso(entry.image.created),
        "revision": entry.image.revision,
        "version": entry.image.version,
        "in_registry": entry.in_registry,
    }
