"""The images in the pod templates of workloads, and the tags that these images are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from job.cluster import DEPLOYMENT_CONFIGS, Resource
from job.cluster.unstructured import object_in, objects_in
from job.domain.model import Source, TagName
from job.domain.records import dataclass, field
from job.imagestreams.api_types import items_of, repository_of, stream_from
from job.workloads.image_triggers import TRIGGERS_ANNOTATION, Workload
from job.workloads.kinds import kind_of, pod_spec_of

RESOLVE_NAMES = "alpha.image.policy.openshift.io/resolve-names"


@dataclass(frozen=True, slots=True)
class Shape:
    """The images in a workload's template.

    Attributes:
        containers: name and image of each, as the template has them.
        initial: the names of those that are initContainers.
        account: the service account of its pods.
        resolves_names: whether the API resolves its images by the streams of its namespace when it is written.
        annotation: its image triggers, as written; None for kinds that have them elsewhere.
    """

    resource: Resource
    namespace: str
    name: str
    containers: tuple[tuple[str, str], ...] = ()
    initial: frozenset[str] = frozenset()
    account: str = "default"
    resolves_names: bool = False
    annotation: str | None = None

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.name}"

    @property
    def key(self) -> tuple[str, str, str]:
        """Kind, namespace and name."""
        return self.resource.kind, self.namespace, self.name

    def field_path(self, container: str) -> str:
        """The fieldPath of a trigger, as `oc set triggers` writes it."""
        base = ".".join(kind_of(self.resource).pod_spec_path)
        part = "initContainers" if container in self.initial else "containers"
        return f'{base}.{part}[?(@.name=="{container}")].image'


def shape_of(resource: Resource, data: Mapping[str, Any]) -> Shape:
    """The shape of a workload, from its JSON."""
    metadata, spec = object_in(data, "metadata"), pod_spec_of(resource, data)
    annotations = object_in(metadata, "annotations")
    of_template = object_in(data, *kind_of(resource).pod_spec_path[:-1], "metadata", "annotations")
    initial, usual = objects_in(spec, "initContainers"), objects_in(spec, "containers")
    text = annotations.get(TRIGGERS_ANNOTATION)
    return Shape(
        resource=resource,
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", "")),
        containers=tuple(
            (str(container.get("name", "")), str(container.get("image") or "")) for container in (*initial, *usual)
        ),
        initial=frozenset(str(container.get("name", "")) for container in initial),
        account=str(spec.get("serviceAccountName") or "default"),
        resolves_names="*" in (annotations.get(RESOLVE_NAMES), of_template.get(RESOLVE_NAMES)),
        annotation=text if isinstance(text, str) and resource != DEPLOYMENT_CONFIGS else None,
    )


def normal(image: str) -> str:
    """A pull spec in its long form: with registry, and with a tag or digest."""
    repository = repository_of(Source("DockerImage", image))
    digest = image.partition("@")[2]
    if digest:
        return f"{repository}@{digest}"
    _, _, tag = image.rpartition("/")[2].partition(":")
    return f"{repository}:{tag or 'latest'}"


class Names:
    """What templates may write for the images of tags: pull specs in their long form, and names of streams."""

    def __init__(self) -> None:
        self._pulled: dict[str, list[TagName]] = {}
        self._named: dict[tuple[str, str], tuple[TagName, bool]] = {}

    def add(self, data: Mapping[str, Any], tags: Iterable[str]) -> None:
        """Add some tags of a stream, from its JSON: their sources, the internal registry's names, their history."""
        stream = stream_from(data)
        status = object_in(data, "status")
        repositories = ("dockerImageRepository", "publicDockerImageRepository")
        internal = [str(status[key]) for key in repositories if status.get(key)]
        local = object_in(data, "spec", "lookupPolicy").get("local") is True
        for name in tags:
            tag, steps = stream.tag(name), items_of(data, name)
            pulled = {f"{repository}:{name}" for repository in internal}
            pulled |= {f"{repository}@{step.digest}" for repository in internal for step in steps}
            pulled |= {step.pull_spec for step in steps if "@" in step.pull_spec}
            if tag and tag.source and tag.source.kind == "DockerImage":
                pulled.add(tag.source.name)
            tag_name = TagName(stream.namespace, stream.name, name)
            for image in {normal(reference) for reference in pulled}:
                self._pulled.setdefault(image, []).append(tag_name)
            self._named[stream.namespace, str(tag_name)] = tag_name, local
            if name == "latest":
                self._named[stream.namespace, stream.name] = tag_name, local

    def used(self, shape: Shape, image: str, only: TagName | None = None) -> tuple[TagName, str] | None:
        """The tag whose image a container has (with `only`: if it is that one), and how the template names it."""
        image = image.strip()
        if not image:
            return None
        tag, local = self._named.get((shape.namespace, image), (None, False))
        if tag and only in (None, tag) and (local or shape.resolves_names):
            return tag, "by the stream's name, which is resolved only when the workload is written"
        tag_name = next((pulled for pulled in self._pulled.get(normal(image), ()) if only in (None, pulled)), None)
        return (tag_name, f"as {image}") if tag_name else None


@dataclass(frozen=True, slots=True)
class Available:
    """An image in a registry that a missing tag could be imported from, and whether TLS is verified there."""

    source: str
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class KnownTags:
    """The tags that exist.

    Attributes:
        images: each known tag, and whether it has an image.
        sources: the pull spec that a tag is imported from.
        imported: by tag, the one that a run imports for its image: itself, or what it follows as an alias.
        listed: the namespaces whose streams are all known.
        single: streams of other namespaces that were read one by one, whether they exist or not.
        local: the tags whose images are pulled from the internal registry.
        broken: the tags that cannot be imported, which have a finding of their own.
        available: missing tags for which the registry has an image, and which.
        insecure: the tags that are imported without verifying TLS.
    """

    images: Mapping[TagName, bool]
    sources: Mapping[TagName, str] = field(default_factory=dict)
    imported: Mapping[TagName, TagName] = field(default_factory=dict)
    listed: frozenset[str] = frozenset()
    single: frozenset[tuple[str, str]] = frozenset()
    local: frozenset[TagName] = frozenset()
    broken: frozenset[TagName] = frozenset()
    available: Mapping[TagName, Available] = field(default_factory=dict)
    insecure: frozenset[TagName] = frozenset()

    def knows(self, tag: TagName) -> bool:
        """Whether it is known that the tag exists, or that it does not."""
        return tag.namespace in self.listed or (tag.namespace, tag.stream) in self.single


@dataclass(frozen=True, slots=True)
class UntriggeredWorkload:
    """A workload with containers that run the image of a tag, without a trigger for it.

    Attributes:
        workload: with its triggers; None where it has none.
        uses: the tag of each such container, and how the template names it.
    """

    shape: Shape
    workload: Workload | None
    uses: Mapping[str, tuple[TagName, str]]
