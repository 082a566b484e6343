"""The mutants: what is edited where, and the tests that must find it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One mistake.

    Attributes:
        name: what is wrong.
        file: where, below `job/`.
        old: the text that is replaced; it occurs once.
        new: what stands there instead.
        tests: arguments of pytest that select what must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        "an import does not carry the resourceVersion it was chosen on",
        "imagestreams/import_requests.py",
        "    if stream.version:\n",
        "    if False and stream.version:\n",
        ("tests/faults/test_stale.py", "-k", "before_its_rollback"),
    ),
    Mutant(
        "a tag is written without the resourceVersion it was read at",
        "imagestreams/import_requests.py",
        '            "resourceVersion": stream.version,\n',
        "",
        ("tests/unit/imagestreams",),
    ),
    Mutant(
        "after a conflict the stream is read again, but not chosen again",
        "imagestreams/stream_import.py",
        "elif (skip := skip_reason(self._stream, tag)) is not None:",
        "elif (skip := skip_reason(self._stream, tag)) is not None and False:",
        ("tests/faults/test_interleavings.py", "-k", "rollback-streams and of_a_run"),
    ),
    Mutant(
        "a lost answer to an import counts as a failure",
        "imagestreams/stream_import.py",
        "                pending.doubtful = True\n",
        "                pending.doubtful = False\n",
        ("tests/unit/imagestreams/test_importer.py",),
    ),
    Mutant(
        "the answers to a request are matched in the wrong order",
        "imagestreams/stream_import.py",
        "zip(batch, answer.images, strict=True)",
        "zip(batch, reversed(answer.images), strict=True)",
        ("tests/integration/runs/test_reasons.py", "-k", "answer_is_that_of_its_own"),
    ),
    Mutant(
        "a tag's referencePolicy is not sent along",
        "imagestreams/import_requests.py",
        '            image["referencePolicy"] = tag.reference_policy\n',
        "            pass\n",
        ("tests/unit/imagestreams/test_api_types.py",),
    ),
    Mutant(
        "what cannot pass is tried again",
        "domain/retries.py",
        "if retry_class is RetryClass.NEVER or timeouts > 1 or",
        "if timeouts > 1 or",
        ("tests/unit/domain", "tests/unit/imagestreams/test_importer.py"),
    ),
    Mutant(
        "a hold counts although the tag's source was changed",
        "domain/holds.py",
        'set_to.get("namespace") or None) != tag.source:\n        return None',
        'set_to.get("namespace") or None) != tag.source:\n        pass',
        ("tests/unit/domain/test_holds.py",),
    ),
    Mutant(
        "a hold counts although the tag has another image",
        "domain/holds.py",
        '    if value.get("image") != tag.current.digest:\n        return None\n',
        "",
        ("tests/unit/domain/test_holds.py",),
    ),
    Mutant(
        "a second rollback forgets what the tag followed before the first",
        "domain/holds.py",
        "    kept = original_of(reference) if held else None\n    original = dict(kept)",
        "    kept = None\n    original = dict(kept)",
        ("tests/unit/domain/test_holds.py", "tests/unit/imagestreams/test_retag.py"),
    ),
    Mutant(
        "a rollback does not look whether the tag moved on",
        "imagestreams/retag.py",
        "        if tag.current is None or tag.current.digest != bad:\n",
        "        if tag.current is None:\n",
        ("tests/unit/imagestreams/test_retag.py",),
    ),
    Mutant(
        "a lost answer to a write counts as if nothing was written",
        "imagestreams/rewrite.py",
        "            if not doubtful:\n                raise\n",
        "            raise\n",
        ("tests/faults/test_lost_answers.py", "-k", "rollback-streams"),
    ),
    Mutant(
        "a bad wave does not stop those after it",
        "run/waves.py",
        "            bad = _is_bad(run, imported)\n",
        "            bad = False\n",
        ("tests/integration/runs/test_waves.py", "-k", "bad_rollout_stops"),
    ),
    Mutant(
        "any container is blamed on the image that the run moved",
        "workloads/health.py",
        "if trouble.blame is Blame.IMAGE and container.name not in self.images:",
        "if False:",
        ("tests/unit/workloads", "-k", "not any_object"),
    ),
    Mutant(
        "healthy is believed at first sight",
        "workloads/rollouts.py",
        "if health.result is RolloutResult.HEALTHY and not self._is_stable:",
        "if health.result is RolloutResult.HEALTHY and False:",
        ("tests/unit/workloads", "-k", "not any_object"),
    ),
    Mutant(
        "a run does not write into the journal that it began",
        "journal/records.py",
        "    return replace(journal, runs=_bounded((run, *runs))), killed\n",
        "    return replace(journal, runs=_bounded(runs)), killed\n",
        ("tests/unit/journal",),
    ),
    Mutant(
        "a conflict at the journal loses what was to be written",
        "journal/store.py",
        "                retry = config_maps.POLICY.decide(error, attempts, self._clock.chance())\n",
        "                retry = None\n",
        ("tests/unit/journal",),
    ),
    Mutant(
        "locks of a deployment and of all deployments do not overlap",
        "run/lease.py",
        "not lease.scope.overlaps(self._scope):",
        "lease.scope != self._scope:",
        ("tests/unit/run/test_lease.py",),
    ),
    Mutant(
        "a lock that another run took while this one looked away is not noticed",
        "run/lease.py",
        "            if not late:\n                return\n",
        "            if True:\n                return\n",
        ("tests/unit/run/test_lease.py",),
    ),
    Mutant(
        "a bad rollout does not show in the exit status",
        "domain/outcome.py",
        "    if any(rollout.is_bad for rollout in rollouts):\n        return ExitStatus.UNHEALTHY\n",
        "",
        ("tests/unit/domain/test_outcome.py",),
    ),
)
