"""`history`: the images that tags have had, newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from job.config.settings import Settings
from job.domain.history import Entry, TagHistory, tenures_of
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
        histories = [_history(where, selected, check=check, limit=limit) for selected in find(where)]
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


def _history(where: Place, selected: SelectedTag, *, check: bool, limit: int | None) -> TagHistory:
    name = selected.name
    tenures = tenures_of(items_of(selected.data, name.tag))[:limit]
    describer = Describer(where.cluster, where.stopping)
    described = [(name.namespace, name.stream, tenure.item.digest) for tenure in tenures][:MOST_DESCRIBED]
    describer.describe_all(described, where.settings.concurrency)
    hold = hold_of(selected.tag)
    questions: dict[str, Question] = {}
    if check:
        for tenure in tenures:
            question = question_of_item(name.namespace, name.stream, tenure.item, selected.tag.import_policy)
            if question is not None:
                questions.setdefault(tenure.item.digest, question)
    answers = where.look_up(list(questions.values())) if questions else {}
    entries = []
    for tenure in tenures:
        digest = tenure.item.digest
        question = questions.get(digest)
        image = image_of(Item(digest, tenure.item.imported_at), describer.facts(digest))
        held = tenure.is_current and hold is not None
        answer = answers.get(question) if question else None
        entries.append(Entry(tenure, image, held, answer.is_there if answer else None))
    problem = import_problem(selected.data, name.tag)
    return TagHistory(name, source_of(selected), hold, is_over(selected.tag), problem, tuple(entries), check)


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
