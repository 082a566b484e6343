"""`resume --run`: every tag that a rollback of one run holds, with one question and one report.

Interrupted anywhere, the command can be given again: what was released stays so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from job.commands.command_run import CommandRun, end
from job.commands.obstacles import obstacle_of, read_beside_freeze, without_obstacles
from job.commands.past_run import Past, begin_again, document_of, past_run, selected_tags
from job.commands.rollback import (
    STOPPED,
    confirm,
    import_released,
    released_choices,
)
from job.config.settings import Settings
from job.domain.errors import ClusterError, ImportImagesError, StoppedError, UsageError
from job.domain.holds import hold_of
from job.domain.model import By, Command, Reason, Result, Rollout, Stream, TagName, TagResult
from job.domain.text import clean
from job.imagestreams.retag import release_hold, with_images_of
from job.imagestreams.rewrite import NoHoldError, UncertainError
from job.journal.records import Move
from job.run.context import IDENTITY_SECONDS
from job.run.session import Place, place
from job.run.targets import SelectedTag
from job.run.waves import Imported
from job.runtime.shutdown import Stop
from job.workloads.discovery import Survey

log = logging.getLogger(__name__)


def resume_run(settings: Settings, run_id: str, stop: Stop, *, as_table: bool, yes: bool) -> int:
    """Release every tag of a run that a rollback holds, wave by wave; returns the exit status."""
    with place(settings, stop) as where:
        past = past_run(where, run_id)
        held, left_alone = _held(where, past)
        for name, why in left_alone.items():
            log.warning("%s/%s is left alone: %s", name.namespace, name, why)
        if not held:
            raise UsageError([f"no tag of run {past.record.id} is held; nothing was changed"])
        namespaces = sorted({selected.name.namespace for selected, _ in held})
        rules = read_beside_freeze(where, namespaces, "a release")
        obstacles = [obstacle for selected, _ in held if (obstacle := obstacle_of(where, selected, rules, yes=yes))]
        if obstacles and not yes:
            question = f"Import nevertheless on {where.identify(IDENTITY_SECONDS)}? [y/N] "
            reasons = [obstacle.text for obstacle in obstacles]
            confirm(where, question, "to import nevertheless: --yes", reasons)
        survey = where.survey(namespaces)
        if stop:
            raise StoppedError(STOPPED)
        names = [selected.name for selected, _ in held]
        rules = without_obstacles(where, rules, obstacles)
        begun = begin_again(where, past, names, Command.RESUME, rules)
        imported = _release(where, begun, held, survey)
        more = document_of(past, left_alone)
        return end(where, begun, imported, survey.errors, as_table=as_table, more=more)


def _held(where: Place, past: Past) -> tuple[list[tuple[SelectedTag, Move]], dict[TagName, str]]:
    """The tags that are held on what they had before the run, and why the others are left alone."""
    held: list[tuple[SelectedTag, Move]] = []
    left_alone: dict[TagName, str] = {}
    now = selected_tags(where, past)
    for name, move in past.moves:
        selected = now[name]
        if isinstance(selected, str):
            left_alone[name] = selected
        elif (hold := hold_of(selected.tag)) and hold.image == move.before:
            held.append((selected, move))
        else:
            left_alone[name] = "it is not held on the image that it had before the run"
    return held, left_alone


def _not_released(selected: SelectedTag, error: ImportImagesError) -> TagResult:
    name, source = selected.name, selected.tag.source.name if selected.tag.source else None
    reason = error.reason if isinstance(error, ClusterError | UncertainError) else Reason.CONFLICT
    message, hold = clean(f"not released: {error}"), hold_of(selected.tag)
    return TagResult(name.namespace, name.stream, name.tag, source, Result.FAILED, reason, By.API, message, hold=hold)


def _release(where: Place, begun: CommandRun, held: Sequence[tuple[SelectedTag, Move]], survey: Survey) -> Imported:
    """Release and import wave by wave; after a bad wave the later ones stay held."""
    tags: list[TagResult] = []
    rollouts: list[Rollout] = []
    for wave in sorted({move.wave for _, move in held}):
        if where.stop or any(rollout.is_bad for rollout in rollouts):
            log.error("the tags of later waves stay held; when it is solved, give the command again")
            break
        # The tags of one stream are imported together, since two requests at a time conflict.
        released: dict[tuple[str, str], tuple[Stream, list[str]]] = {}
        for selected in (selected for selected, move in held if move.wave == wave):
            name = selected.name
            try:
                stream = release_hold(where.cluster, name, where.retrier)
            except NoHoldError as error:
                log.warning("%s/%s: %s", name.namespace, name, error)
            except ImportImagesError as error:
                log.error("%s/%s was not released: %s", name.namespace, name, error)
                tags.append(_not_released(selected, error))
            else:
                where.stop.what_ends = "some tags are released already; "
                log.info("%s/%s is released", name.namespace, name)
                before, names = released.get((name.namespace, name.stream), (stream, []))
                released[name.namespace, name.stream] = with_images_of(before, stream), [*names, name.tag]
        chosen = [released_choices(stream, names) for stream, names in released.values()]
        imported = import_released(where, begun, chosen, survey)
        tags += imported.tags
        rollouts += imported.rollouts
    return Imported(tuple(tags), tuple(rollouts))
