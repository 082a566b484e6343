"""Fetching what one import asks for, image after image.

Source of behaviour: openshift-apiserver pkg/image/apiserver/importer/importer.go.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field, replace

from tests.sandbox import images, references, tag_priority, timestamps
from tests.sandbox.images import Manifest, UnusableManifest
from tests.sandbox.references import InvalidReference, Reference
from tests.sandbox.registry import Connection
from tests.sandbox.registry_errors import RegistryError
from tests.sandbox.resources import IMAGE_GROUP
from tests.sandbox.settings import Settings
from tests.sandbox.status import (
    Json,
    failure,
    forbidden,
    internal_error_status,
    invalid_status,
    invalid_value,
    not_found,
    unauthorized,
)
from tests.sandbox.streams import PRESERVE, Stream

_ARCHITECTURE = "importer.image.openshift.io/prefer-arch"
_SYSTEM = "importer.image.openshift.io/prefer-os"


class _Failed(Exception):  # noqa: N818 - carries a status, and never leaves this module
    def __init__(self, status: Json) -> None:
        super().__init__(status["message"])
        self.status = status


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One thing to fetch from a repository; the same one is fetched once however many tags want it."""

    name: str
    mode: str
    architecture: str = ""
    system: str = ""
    is_digest: bool = False


@dataclass(slots=True)
class _Fetched:
    image: Json
    parts: list[Json]


@dataclass(slots=True)
class _Group:
    """What is wanted from one repository. The first image says how its reference is written and if it is insecure."""

    reference: Reference
    insecure: bool
    wanted: dict[_Wanted, list[int]] = field(default_factory=dict)


class Pacer:
    """A token bucket: a few at once, then a steady rate."""

    def __init__(self, burst: int, rate: float) -> None:
        self._burst, self._rate = burst, rate
        self._tokens = float(burst)
        self._last = time.monotonic()

    async def take(self) -> None:
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate) - 1
        self._last = now
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._rate)


class Fetcher:
    """Fetches for one request."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._settings = settings
        self._connection = connection
        self._pacer = Pacer(settings.pacing_burst, settings.pacing_rate) if settings.pacing else None
        self._cache: dict[tuple[str, str, _Wanted], _Fetched] = {}

    async def images(self, specs: list[Json], stream: Stream) -> list[Json]:
        """The entries of status.images, in the order of the request."""
        results: list[Json] = [{} for _ in specs]
        groups: dict[tuple[str, str], _Group] = {}
        for index, spec in enumerate(specs):
            self._sort(index, spec, stream, groups, results)
        for group in groups.values():
            in_order = sorted(group.wanted, key=lambda each: not each.is_digest)
            for wanted in in_order:
                await self._fetch_into(group, wanted, results)
        for index, spec in enumerate(specs):
            if not spec.get("includeManifest"):
                _clear_manifest(results[index])
        return results

    def _sort(
        self,
        index: int,
        spec: Json,
        stream: Stream,
        groups: dict[tuple[str, str], _Group],
        results: list[Json],
    ) -> None:
        name = spec["from"]["name"]
        try:
            reference = references.parse(name)
        except InvalidReference as problem:
            error = invalid_value("from.name", name, f"invalid name: {problem}")
            results[index] = {"status": invalid_status("", "", "", [error])}
            return
        if self._blocked(reference):
            results[index] = {"status": _blocked_status(reference)}
            return
        full = reference.with_defaults()
        group = groups.setdefault(
            (reference.host(), full.repository),
            _Group(reference, bool(spec["importPolicy"].get("insecure"))),
        )
        mode = spec["importPolicy"]["importMode"]
        if reference.digest:
            wanted = _Wanted(reference.digest, mode, is_digest=True)
        else:
            target = spec["to"]["name"] if "to" in spec else full.tag
            annotations = stream.tags.get(target, {}).get("annotations") or {}
            wanted = _Wanted(full.tag, mode, annotations.get(_ARCHITECTURE, ""), annotations.get(_SYSTEM, ""))
        group.wanted.setdefault(wanted, []).append(index)

    def _blocked(self, reference: Reference) -> bool:
        return reference.with_defaults().registry in self._settings.blocked_registries

    async def _fetch_into(self, group: _Group, wanted: _Wanted, results: list[Json]) -> None:
        tag = "" if wanted.is_digest else wanted.name
        try:
            fetched = await self._fetch(group, wanted)
        except _Failed as problem:
            for index in group.wanted[wanted]:
                results[index] = _status_entry(problem.status, tag)
            return
        for index in group.wanted[wanted]:
            results[index] = _success_entry(fetched, group.reference, tag)

    async def _fetch(self, group: _Group, wanted: _Wanted) -> _Fetched:
        key = (group.reference.host(), group.reference.with_defaults().repository, wanted)
        if key in self._cache:
            return self._cache[key]
        tag = "" if wanted.is_digest else wanted.name
        reference = replace(group.reference, tag=tag, digest=wanted.name if wanted.is_digest else "")
        if self._pacer:
            await self._pacer.take()
        latency = self._settings.latency_of(f"{reference.host()}/{reference.repository}")
        if latency:
            await asyncio.sleep(latency)
        manifest = await self._manifest(reference, insecure=group.insecure)
        image = await self._image(manifest, reference, wanted, insecure=group.insecure)
        parts = [
            await self._part(part["digest"], group, wanted) for part in image.get("dockerImageManifests", ())
        ]  # fmt: skip
        fetched = self._cache[key] = _Fetched(image, parts)
        return fetched

    async def _manifest(self, reference: Reference, *, insecure: bool) -> Manifest:
        try:
            repository = await self._connection.repository(reference, insecure=insecure)
            return await self._connection.manifest(repository, reference.digest or reference.tag, insecure=insecure)
        except RegistryError as problem:
            raise _Failed(status_of(reference, problem)) from None

    async def _image(self, manifest: Manifest, reference: Reference, wanted: _Wanted, *, insecure: bool) -> Json:
        repository = await self._connection.repository(reference, insecure=insecure)
        try:
            if manifest.is_index and wanted.mode != PRESERVE:
                digest = images.pick_manifest(manifest, wanted.architecture, wanted.system)
                manifest = await self._connection.manifest(repository, digest, insecure=insecure)
            elif manifest.is_index:
                return images.image_of_index(manifest, timestamps.now())
            if manifest.is_index:
                message = "unsupported image manifest type: *manifestlist.DeserializedManifestList"
                raise _Failed(internal_error_status(message))
            config = await self._connection.blob(repository, manifest.config_digest, insecure=insecure)
        except RegistryError as problem:
            raise _Failed(status_of(reference, problem)) from None
        except UnusableManifest as problem:
            raise _Failed(status_of(reference, RegistryError(str(problem)))) from None
        try:
            image = images.image_of(manifest, config)
        except UnusableManifest as problem:
            raise _Failed(internal_error_status(str(problem))) from None
        image["dockerImageManifest"] = manifest.raw.decode()
        image["dockerImageConfig"] = config.decode(errors="replace")
        return image

    async def _part(self, digest: str, group: _Group, wanted: _Wanted) -> Json:
        reference = replace(group.reference, tag="", digest=digest)
        manifest = await self._manifest(reference, insecure=group.insecure)
        part = await self._image(manifest, reference, replace(wanted, mode=""), insecure=group.insecure)
        part["dockerImageReference"] = reference.exact()
        return part

    async def repository(self, spec: Json) -> Json:
        """The body of status.repository: the most important tags, and the names of the others."""
        reference = references.parse(spec["from"]["name"])
        if self._blocked(reference):
            return {"status": _blocked_status(reference)}
        mode, insecure = spec["importPolicy"]["importMode"], bool(spec["importPolicy"].get("insecure"))
        group = _Group(reference, insecure)
        try:
            repository = await self._connection.repository(reference, insecure=insecure)
            found = {tag or "latest" for tag in await self._connection.tags(repository, insecure=insecure)}
        except RegistryError as problem:
            return {"status": _tags_status(reference, problem)}
        limit = self._settings.repository_import_limit
        tags = tag_priority.prioritize(sorted(found))
        chosen, left = (tags, []) if limit == -1 else (tags[:limit], tags[limit:])
        key = (reference.host(), reference.with_defaults().repository)
        chosen += [tag for tag in left if (*key, _Wanted(tag, mode)) in self._cache]
        entries = []
        for tag in chosen:
            try:
                fetched = await self._fetch(group, _Wanted(tag, mode))
                entries.append(_success_entry(fetched, reference, tag))
            except _Failed as problem:
                entries.append(_status_entry(problem.status, tag))
        for entry in entries:
            if not spec.get("includeManifest"):
                _clear_manifest(entry)
        result: Json = {"status": _repository_status(entries)}
        if entries:
            result["images"] = entries
        additional = [tag for tag in left if tag not in chosen]
        if additional:
            result["additionalTags"] = additional
        return result


def _success_entry(fetched: _Fetched, reference: Reference, tag: str) -> Json:
    image = dict(fetched.image)
    image["dockerImageReference"] = replace(reference, tag="", digest=image["metadata"]["name"]).exact()
    entry: Json = {"status": {"metadata": {}, "status": "Success"}, "image": image}
    if tag:
        entry["tag"] = tag
    if fetched.parts:
        entry["manifests"] = [dict(part) for part in fetched.parts]
    return entry


def _status_entry(status: Json, tag: str) -> Json:
    return {"status": status, "tag": tag} if tag else {"status": status}


def _clear_manifest(entry: Json) -> None:
    for image in (entry.get("image"), *entry.get("manifests", ())):
        if image:
            image.pop("dockerImageManifest", None)
            image.pop("dockerImageConfig", None)


def _repository_status(entries: list[Json]) -> Json:
    failed = sum(entry["status"]["status"] != "Success" for entry in entries)
    if not failed:
        return {"metadata": {}, "status": "Success"}
    how_many = "one" if failed == 1 else str(failed)
    message = f"{how_many} of the images from this repository failed to import"
    return {"metadata": {}, "status": "Failure", "message": message, "reason": "ImportFailed"}


def _blocked_status(reference: Reference) -> Json:
    status = forbidden("", "", "", f"registry {reference.registry} blocked").status
    return {**status, "details": {}}


def status_of(reference: Reference, problem: RegistryError) -> Json:
    """The Status of an image that could not be fetched."""
    name = reference.normalized()
    if "MANIFEST_UNKNOWN" in problem.codes:
        return not_found("dockerimage", IMAGE_GROUP, name).status
    if "UNAUTHORIZED" in problem.codes or problem.message.endswith("no basic auth credentials"):
        return unauthorized(f"you may not have access to the container image {json.dumps(name)}").status
    if problem.message.endswith("incorrect username or password"):
        return unauthorized(f"incorrect username or password for image {json.dumps(name)}").status
    return internal_error_status(f"{name}: {problem.message}")


def _tags_status(reference: Reference, problem: RegistryError) -> Json:
    """The Status of a repository whose tags could not be listed."""
    name = reference.exact()
    if "NAME_UNKNOWN" in problem.codes:
        return not_found("dockerimage", IMAGE_GROUP, name).status
    if "UNAUTHORIZED" in problem.codes:
        return unauthorized(f"you may not have access to the container image {json.dumps(name)}").status
    if problem.message.endswith("does not support v2 API"):
        return failure(403, "NotV2Registry", f'registry "{reference.host()}" does not support the v2 Registry API', {})
    return internal_error_status(problem.message)
