"""The suite on the cluster of the current login: `make e2e`. Says first, at once, all that is missing."""

from __future__ import annotations

import os
import sys

import pytest
import urllib3

from tests.e2e.cluster import Cluster, Refused
from tests.e2e.settings import Settings, missing_programs, read


def unusable(settings: Settings) -> list[str]:
    """What this cluster or login lacks without which no scene can run."""
    try:
        cluster = Cluster(settings.kubeconfig)
    except Exception as error:  # The package lets through what a damaged file makes of its parsers.
        return [f"KUBECONFIG: no login: {error}"]
    try:
        groups = {group["name"] for group in cluster.ask("GET", "/apis")["groups"]}
        makes = cluster.may("create", "", "namespaces") or cluster.may(
            "create", "project.openshift.io", "projectrequests"
        )
    except (Refused, urllib3.exceptions.HTTPError) as error:
        return [f"{cluster.server}: {error}"]
    problems = [] if makes else [f"{cluster.server}: this login may make neither namespaces nor projects"]
    if "image.openshift.io" not in groups:
        problems.append(f"{cluster.server}: no OpenShift: it has no image streams")
    return problems


def main(arguments: list[str]) -> int:
    settings, problems = read()
    problems += missing_programs()
    if settings and not problems:
        problems = unusable(settings)
    if problems:
        print("make e2e cannot start:", *problems, sep="\n  ", file=sys.stderr)
        return 2
    # What tests of the sandbox take seconds for, a cluster may take minutes for.
    options = ["--timeout", os.environ.get("E2E_TIMEOUT", "1800"), "-p", "no:cacheprovider"]
    return int(pytest.main([*options, "tests/e2e", *arguments]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
