"""Where the files of a release come from: an in-toto statement with SLSA's provenance. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://github.com/packit/import-images/blob/main/docs/release.md#provenance"


def statement(
    subjects: Mapping[str, str],
    *,
    source: str,
    revision: str,
    materials: Mapping[str, str],
    bases: Mapping[str, str],
    parameters: Mapping[str, str],
    builder: str,
    invocation: str,
    times: tuple[str, str],
) -> dict[str, Any]:
    """The statement.

    Args:
        subjects: SHA-256 by the name of what was made.
        source: the address of the repository.
        revision: the commit.
        materials: SHA-256 by the name of files that list what else went in.
        bases: the digest of the base image by its name and architecture.
        parameters: what the release was asked for.
        builder: who built it, as a URI.
        invocation: the run of the builder, as a URI; may be empty.
        times: when it began and ended, in ISO 8601.
    """
    commit = {"uri": f"git+{source}@{revision}", "digest": {"gitCommit": revision}}
    files = [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(materials.items())]
    images = [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(bases.items())]
    metadata = {"startedOn": times[0], "finishedOn": times[1]}
    if invocation:
        metadata["invocationId"] = invocation
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(subjects.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": dict(parameters),
                "internalParameters": {},
                "resolvedDependencies": [commit, *images, *files],
            },
            "runDetails": {"builder": {"id": builder}, "metadata": metadata},
        },
    }
