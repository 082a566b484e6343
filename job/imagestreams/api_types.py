"""ImageStreams and ImageStreamImports as the API writes them, to and from the nouns of `model`.

The shapes are those of image.openshift.io/v1. Anything may be missing or null there (a tag that never had an image has
`items: null`, one without annotations has `annotations: null`), so nothing here relies on a key being present.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Any

from job.domain.model import ANNOTATION_PREFIX, Image, ImageFacts, Item, Source, Stream, Tag, TagName
from job.domain.records import replace
from job.domain.repositories import LABEL_PAIRS, page_of_label
from job.domain.shell import DRY_RUN, oc, piped
from job.domain.text import clean
from job.domain.times import build_time, parse_time

GROUP = "image.openshift.io/v1"
REVISION_LABELS = tuple(revision for revision, _ in LABEL_PAIRS)
VERSION_LABELS = ("org.opencontainers.image.version", "version")
# Of a revision or version, in characters.
LONGEST_LABEL = 200
LONGEST_PLATFORM = 60
LONGEST_SECRET = 253
# How far back a tag's history is kept with the tag, in images.
MOST_PAST = 8


def as_object(value: object) -> Mapping[str, Any]:
    """The value where it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> Sequence[Any]:
    """The value where it is a JSON list, else an empty one."""
    return value if isinstance(value, list) else ()


@lru_cache(maxsize=1024)
def _policy(text: str) -> Mapping[str, Any]:
    # Ten thousand tags share a handful of policies.
    return dict(json.loads(text))


def _shared(value: object) -> Mapping[str, Any] | None:
    return _policy(json.dumps(value)) if isinstance(value, dict) else None


def _ours(annotations: object) -> Mapping[str, str]:
    own = {
        key: value
        for key, value in as_object(annotations).items()
        if key.startswith(ANNOTATION_PREFIX) and isinstance(value, str)
    }
    return own or _NONE


_NONE: Mapping[str, str] = {}


def _source(value: object) -> Source | None:
    source = as_object(value)
    if not source.get("name"):
        return None
    return Source(intern(str(source.get("kind", ""))), intern(str(source["name"])), source.get("namespace") or None)


def _current(status_tag: Mapping[str, Any]) -> Item | None:
    items = as_list(status_tag.get("items"))
    if not items or not as_object(items[0]).get("image"):
        return None
    return Item(intern(str(items[0]["image"])), parse_time(items[0].get("created")))


# OpenShift writes it when a registry was asked (openshift-apiserver, imagestreamimport/rest.go), and at no push.
# Annotations of a spec tag that choose a platform (openshift/api, image/v1/consts.go): prefer-arch, prefer-os.
_PREFERENCE = "importer.image.openshift.io/prefer-"
_IMPORTED = "openshift.io/image.dockerRepositoryCheck"
_OWN_REPOSITORIES = ("dockerImageRepository", "publicDockerImageRepository")


def _origin(data: Mapping[str, Any], status_tag: Mapping[str, Any]) -> str | None:
    """The repository of a registry that the newest image of a tag without a source was imported from."""
    metadata, status = as_object(data.get("metadata")), as_object(data.get("status"))
    spec_tags = map(as_object, as_list(as_object(data.get("spec")).get("tags")))
    imports = any(as_object(tag.get("from")).get("kind") == "DockerImage" for tag in spec_tags)
    items = as_list(status_tag.get("items"))
    repository = spelt_repository(str(as_object(items[0]).get("dockerImageReference") or "")) if items else ""
    if not repository or not (imports or _IMPORTED in as_object(metadata.get("annotations"))):
        return None
    host = repository.partition("/")[0]
    own = (str(status.get(name) or "").partition("/")[0] for name in _OWN_REPOSITORIES)
    # A push leaves the address of the cluster's own registry.
    return None if host in own or host.partition(":")[0].endswith((".svc", ".svc.cluster.local")) else repository


def _past(status_tag: Mapping[str, Any]) -> tuple[str, ...]:
    items = as_list(status_tag.get("items"))[:MOST_PAST]
    if len(items) < 2:
        return ()
    return tuple(intern(str(item["image"])) for item in map(as_object, items) if item.get("image"))


def stream_from(data: Mapping[str, Any]) -> Stream:
    """A stream from its JSON: its spec tags, and the tags that only its status has (pushed, or gone from the spec).

    A stream with the deprecated `spec.dockerImageRepository` counts by its spec tags alone.
    """
    metadata, spec, status = as_object(data.get("metadata")), as_object(data.get("spec")), as_object(data.get("status"))
    history = {str(as_object(entry).get("tag")): as_object(entry) for entry in as_list(status.get("tags"))}
    tags = []
    for entry in map(as_object, as_list(spec.get("tags"))):
        # Each is read again with every answer, and kept ten thousand times.
        name = intern(str(entry.get("name")))
        past, source = history.pop(name, {}), _source(entry.get("from"))
        tags.append(
            Tag(
                name=name,
                source=source,
                reference=entry.get("reference") is True,
                import_policy=_shared(entry.get("importPolicy")),
                reference_policy=_shared(entry.get("referencePolicy")),
                annotations=_ours(entry.get("annotations")),
                current=_current(past),
                origin=None if source else _origin(data, past),
                past=_past(past),
                chooses_platform=any(name.startswith(_PREFERENCE) for name in as_object(entry.get("annotations"))),
            )
        )
    if not spec.get("dockerImageRepository"):
        tags += [
            Tag(name, None, False, None, None, _NONE, _current(entry), _origin(data, entry))
            for name, entry in history.items()
        ]
    return Stream(
        namespace=intern(str(metadata.get("namespace", ""))),
        name=intern(str(metadata.get("name", ""))),
        version=str(metadata.get("resourceVersion", "")),
        annotations=_ours(metadata.get("annotations")),
        tags=tuple(tags),
    )


def facts_from(image: Mapping[str, Any], manifests: Sequence[Mapping[str, Any]] = ()) -> ImageFacts:
    """What an Image object says of itself.

    For an index the facts come from its linux/amd64 manifest, else from its first of a platform, when that is among
    `manifests` (an import's answer brings them along); when it is not, `ImageFacts.manifest` says which one to ask for.
    An attestation, such as BuildKit adds, is not a platform.
    """
    parts = [as_object(part) for part in as_list(image.get("dockerImageManifests"))]
    if parts:
        real = [part for part in parts if _platform(part)]
        chosen = next((part for part in real if _platform(part) == "linux/amd64"), (real or parts)[0])
        digest, platforms = str(chosen.get("digest")), tuple(filter(None, map(_platform, real)))
        for manifest in manifests:
            if as_object(manifest.get("metadata")).get("name") == digest:
                return replace(facts_from(manifest), platforms=platforms)
        return ImageFacts(manifest=digest, platforms=platforms)
    metadata = as_object(image.get("dockerImageMetadata"))
    labels = as_object(as_object(metadata.get("Config")).get("Labels"))
    return ImageFacts(
        created=build_time(metadata.get("Created")),
        revision=_first(labels, REVISION_LABELS),
        version=_first(labels, VERSION_LABELS),
        architecture=clean(str(metadata.get("Architecture") or ""), LONGEST_PLATFORM) or None,
        repository_url=page_of_label(labels),
    )


def _platform(part: Mapping[str, Any]) -> str | None:
    """The platform of a manifest of an index, as `linux/arm64/v8`; None for an attestation, which has none."""
    words = [str(part.get(name) or "") for name in ("os", "architecture", "variant")]
    if "unknown" in words[:2] or not all(words[:2]):
        return None
    return clean("/".join(filter(None, words)), LONGEST_PLATFORM)


def _first(labels: Mapping[str, Any], names: Sequence[str]) -> str | None:
    # The builder of an image writes its labels, and they go into reports, metrics and the journal.
    return next((clean(str(labels[name]), LONGEST_LABEL) for name in names if labels.get(name)), None) or None


def image_of(item: Item, facts: ImageFacts | None) -> Image:
    """The image of a history item, with what is known of it."""
    facts = facts or ImageFacts()
    return Image(
        digest=item.digest,
        created=facts.created,
        imported_at=item.imported_at,
        revision=facts.revision,
        version=facts.version,
        platforms=facts.platforms,
        repository_url=facts.repository_url,
        architecture=None if facts.manifest or facts.platforms else facts.architecture,
    )


def spelt_repository(pull_spec: str) -> str:
    """The repository of a pull spec as written, without tag and digest."""
    head, slash, tail = pull_spec.partition("@")[0].rpartition("/")
    return head + slash + tail.partition(":")[0]


def repository_of(source: Source) -> str:
    """The repository of a pull spec, without tag and digest; that of Docker Hub in its long form."""
    repository = spelt_repository(source.name)
    host, slash, path = repository.partition("/")
    if not slash:
        return f"docker.io/library/{repository}"
    if host in ("docker.io", "index.docker.io"):
        return f"docker.io/{path}" if "/" in path else f"docker.io/library/{path}"
    return repository if "." in host or ":" in host or host == "localhost" else f"docker.io/{repository}"


def reference_of(data: Mapping[str, Any], tag: str) -> Mapping[str, Any] | None:
    """A stream's spec tag as the API writes it, from the stream's JSON."""
    entries = map(as_object, as_list(as_object(data.get("spec")).get("tags")))
    return next((entry for entry in entries if entry.get("name") == tag), None)


def items_of(data: Mapping[str, Any], tag: str) -> tuple[Item, ...]:
    """The history of a tag, newest first, from its stream's JSON."""
    for entry in map(as_object, as_list(as_object(data.get("status")).get("tags"))):
        if entry.get("tag") == tag:
            items = map(as_object, as_list(entry.get("items")))
            return tuple(
                Item(str(item["image"]), parse_time(item.get("created")), str(item.get("dockerImageReference") or ""))
                for item in items
                if item.get("image")
            )
    return ()


def import_problem(data: Mapping[str, Any], tag: str) -> tuple[str, str, datetime | None] | None:
    """Reason, message and time of the tag's failed import, where the stream's conditions have one."""
    for entry in map(as_object, as_list(as_object(data.get("status")).get("tags"))):
        for condition in map(as_object, as_list(entry.get("conditions"))):
            if (entry.get("tag"), condition.get("type"), condition.get("status")) == (tag, "ImportSuccess", "False"):
                when = parse_time(condition.get("lastTransitionTime"))
                return str(condition.get("reason") or ""), str(condition.get("message") or ""), when
    return None


def applied_by(data: Mapping[str, Any]) -> str | None:
    """What applies the stream's spec from a manifest, and so may undo a write; None where nothing shows that.

    `kubectl apply` leaves its last-applied annotation, server-side apply an entry of managedFields.
    """
    metadata = as_object(data.get("metadata"))
    if "kubectl.kubernetes.io/last-applied-configuration" in as_object(metadata.get("annotations")):
        return "kubectl apply"
    for entry in map(as_object, as_list(metadata.get("managedFields"))):
        fields = as_object(as_object(entry.get("fieldsV1")).get("f:spec"))
        if entry.get("operation") == "Apply" and "f:tags" in fields:
            return str(entry.get("manager") or "server-side apply")
    return None


def login_secret(name: TagName, source: str) -> str:
    """The command that gives a tag's namespace a login for the repository of its source, whatever logins it has.

    Of those that match, OpenShift tries only the one for the most specific path, and of several the first by the name
    of its secret (openshift-apiserver, pkg/image/apiserver/importer): a login for the whole registry would not be tried
    while one that has expired sorts before it.
    """
    repository = repository_of(Source("DockerImage", source))
    registry = repository.partition("/")[0]
    # Logins for Docker Hub are looked up by its host alone.
    server = registry if registry == "docker.io" else repository
    login = (f"--docker-server={server}", "--docker-username=USER", "--docker-password=PASSWORD")
    # A digit sorts before any letter. Named by the server, so that the login for one is not written over another's.
    secret = re.sub(r"[^a-z0-9.-]", "-", f"0-login-{server.lower()}")[:LONGEST_SECRET].strip("-.")
    create = oc(name.namespace, "create", "secret", "docker-registry", secret, *login, *DRY_RUN)
    return piped(create, oc(name.namespace, "apply", "-f", "-"))
