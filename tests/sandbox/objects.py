"""The verbs that every stored kind has: get, list, watch, create, update, patch, delete.

Source of behaviour: k8s.io/apiserver pkg/endpoints/handlers and pkg/registry/generic/registry.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import AsyncIterator, Callable

import yaml

from tests.sandbox import managed_fields, patches, selectors, timestamps
from tests.sandbox.calls import Answer, Call, Stream, answer_json
from tests.sandbox.cluster import Cluster
from tests.sandbox.resources import NAMESPACES, PODS, Kind
from tests.sandbox.status import (
    ApiError,
    Json,
    already_exists,
    bad_request,
    conflict,
    failure,
    forbidden,
    invalid,
    invalid_value,
    method_not_allowed,
    no_such_path,
    not_found,
    required_value,
    success,
    unsupported_media_type,
)
from tests.sandbox.store import Entry, Event, Predicate, encode

_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SERVER_SET = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")

Change = Callable[[Json], Json]


class Objects:
    """One kind of objects that are stored as they are sent; a kind with rules of its own overrides the `prepare`s."""

    def __init__(self, cluster: Cluster, kind: Kind) -> None:
        self.cluster = cluster
        self.kind = kind
        self._applied: dict[tuple[str, str], Json] = {}

    async def handle(self, call: Call) -> Answer | Stream:
        target = call.target
        if target.subresource and not (target.subresource == "status" and self.kind.has_status):
            return await self.subresource(call)
        if target.verb not in self.kind.verbs:
            raise method_not_allowed(self.kind.plural, self.kind.group, target.verb)
        match target.verb:
            case "get":
                return Answer(200, self.find(target.namespace, target.name).body())
            case "list":
                return self.list(call)
            case "watch":
                return Stream(self.watch(call))
            case "create":
                return self.create(call)
            case "update":
                return self.replace(call)
            case "patch":
                return self.patch(call)
            case "delete":
                return self.delete(call)
            case "deletecollection":
                return self.delete_all(call)
        raise method_not_allowed(self.kind.plural, self.kind.group, target.verb)

    async def subresource(self, call: Call) -> Answer:
        raise no_such_path()

    # What kinds with rules override

    def prepare_create(self, call: Call, item: Json) -> Json:
        if self.kind.has_status:
            item.pop("status", None)
            item["status"] = {}
        if self.kind.has_generation:
            item["metadata"]["generation"] = 1
        return item

    def prepare_update(self, call: Call, item: Json, old: Entry) -> Json:
        if self.kind.has_status:
            item["status"] = old.object.get("status", {})
        if self.kind.has_generation:
            changed = item.get("spec") != old.object.get("spec")
            item["metadata"]["generation"] = old.object["metadata"]["generation"] + changed
        return item

    def prepare_status_update(self, call: Call, item: Json, old: Entry) -> Json:
        return {**old.object, "metadata": item["metadata"], "status": item.get("status", {})}

    def created(self, entry: Entry) -> Entry:
        """After an object was stored; may store it again."""
        return entry

    # Reading

    def look_up(self, namespace: str, name: str) -> Entry | None:
        # The path of a namespace names it as a namespace too, which only authorization looks at.
        return self.cluster.store.get(self.kind, namespace if self.kind.namespaced else "", name)

    def find(self, namespace: str, name: str) -> Entry:
        entry = self.look_up(namespace, name)
        if entry is None:
            raise not_found(self.kind.plural, self.kind.group, name)
        return entry

    def selected(self, call: Call) -> Predicate | None:
        labels, fields = call.query.get("labelSelector", ""), call.query.get("fieldSelector", "")
        return selectors.predicate(labels, fields, self.kind.can_select)

    def list(self, call: Call) -> Answer:
        query = call.query
        selector = f"{query.get('labelSelector', '')}|{query.get('fieldSelector', '')}"
        page = self.cluster.store.page(
            self.kind,
            call.target.namespace,
            self.selected(call),
            selector,
            _number(query.get("limit", "")),
            query.get("continue", ""),
        )
        metadata: Json = {"resourceVersion": str(page.revision)}
        if page.continue_token:
            metadata["continue"] = page.continue_token
        if page.remaining is not None:
            metadata["remainingItemCount"] = page.remaining
        head = encode({"kind": self.kind.list_kind, "apiVersion": self.kind.api_version, "metadata": metadata})
        items = b",".join([entry.bare() for entry in page.entries])
        return Answer(200, b'%s,"items":[%s]}' % (head[:-1], items))

    async def watch(self, call: Call) -> AsyncIterator[bytes]:
        query, target = call.query, call.target
        if target.name:
            query = {**query, "fieldSelector": f"metadata.name={target.name}"}
        matches = selectors.predicate(
            query.get("labelSelector", ""), query.get("fieldSelector", ""), self.kind.can_select
        )
        since = query.get("resourceVersion", "")
        from_now = since in ("", "0")
        try:
            watch, missed = self.cluster.store.watch(self.kind, target.namespace, None if from_now else int(since))
        except ApiError as problem:
            yield b'{"type":"ERROR","object":%s}\n' % problem.body()
            return
        try:
            for event in missed:
                yield self._watched(event, matches)
            if from_now:
                for entry in self.cluster.store.table(self.kind).entries(target.namespace):
                    if matches is None or matches(entry.object):
                        yield b'{"type":"ADDED","object":%s}\n' % entry.body()
            if query.get("sendInitialEvents") == "true":
                yield self._bookmark()
            limit = _number(query.get("timeoutSeconds", ""))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit or None):
                    async for event in watch:
                        yield self._watched(event, matches)
        finally:
            watch.close()

    def _bookmark(self) -> bytes:
        metadata = {
            "resourceVersion": str(self.cluster.store.revision),
            "creationTimestamp": None,
            "annotations": {"k8s.io/initial-events-end": "true"},
        }
        item = {"kind": self.kind.kind, "apiVersion": self.kind.api_version, "metadata": metadata}
        return encode({"type": "BOOKMARK", "object": item}) + b"\n"

    def _watched(self, event: Event, matches: Predicate | None) -> bytes:
        """One change as those see it who only watch what matches."""
        kind: str = event.type
        if matches is not None:
            now = event.type != "DELETED" and matches(event.entry.object)
            before = event.before is not None and matches(event.before.object)
            if not now and not before:
                return b""
            if event.type == "MODIFIED":
                kind = "MODIFIED" if now and before else "ADDED" if now else "DELETED"
        return b'{"type":"%s","object":%s}\n' % (kind.encode(), event.entry.body())

    # Writing

    def create(self, call: Call) -> Answer:
        item = self.new_object(call, call.object())
        item = self.prepare_create(call, item)
        return Answer(201, self._store_new(call, item).body())

    def _store_new(self, call: Call, item: Json) -> Entry:
        metadata = item["metadata"]
        if self.cluster.store.get(self.kind, metadata.get("namespace", ""), metadata["name"]):
            raise already_exists(self.kind.plural, self.kind.group, metadata["name"])
        if call.dry_run:
            return Entry(self.kind, metadata.get("namespace", ""), metadata["name"], item, 0)
        return self.created(self.cluster.store.put(self.kind, item))

    def new_object(self, call: Call, item: Json) -> Json:
        """Check and complete the metadata of an object that is to be created."""
        metadata = {name: value for name, value in item["metadata"].items() if value not in (None, {}, [])}
        item["metadata"] = metadata
        if metadata.get("resourceVersion"):
            raise ApiError(failure(500, "", "resourceVersion should not be set on objects to be created"))
        place_in_namespace(self.kind, metadata, call.target.namespace)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"][:58] + "".join(random.choices(_NAME_LETTERS, k=5))
        if not metadata.get("name"):
            problem = required_value("metadata.name", "name or generateName is required")
            raise invalid(self.kind.kind, self.kind.group, "", [problem])
        for name in (*_SERVER_SET, "managedFields", "selfLink"):
            metadata.pop(name, None)
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = timestamps.now()
        if self.kind.namespaced:
            self.check_namespace(call.target.namespace)
        return item

    def check_namespace(self, namespace: str) -> None:
        entry = self.cluster.store.get(NAMESPACES, "", namespace)
        if entry is None:
            raise not_found("namespaces", "", namespace)
        if entry.object["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(self.kind.plural, self.kind.group, "", why)

    def replace(self, call: Call) -> Answer:
        item = call.object()
        target = call.target
        name = item["metadata"].get("name", "")
        if name and name != target.name:
            message = f"the name of the object ({name}) does not match the name on the URL ({target.name})"
            raise bad_request(message)
        item["metadata"].setdefault("name", target.name)
        place_in_namespace(self.kind, item["metadata"], target.namespace)
        old = self.find(target.namespace, target.name)
        return Answer(200, self.update(call, item, old).body())

    def update(self, call: Call, item: Json, old: Entry, mark: Json | None = None) -> Entry:
        """Store a new state of an existing object, if it is one; `mark` says who applied it."""
        self._check_version(item["metadata"], old)
        item["metadata"] = self._updated_metadata(item["metadata"], old)
        if mark is not None:
            known = old.object["metadata"].get("managedFields", [])
            item["metadata"]["managedFields"] = managed_fields.merged(known, mark)
        if call.target.subresource == "status":
            item = self.prepare_status_update(call, item, old)
        else:
            item = self.prepare_update(call, item, old)
        if item == old.object:
            return old
        if call.dry_run:
            return Entry(self.kind, old.namespace, old.name, item, old.revision)
        metadata = item["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            return self.cluster.store.delete(old)
        return self.cluster.store.put(self.kind, item)

    def _check_version(self, metadata: Json, old: Entry) -> None:
        version = metadata.get("resourceVersion") or ""
        if not version and self.kind.needs_version:
            problem = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            raise invalid(self.kind.kind, self.kind.group, old.name, [problem])
        if version and version != str(old.revision):
            raise conflict(self.kind.plural, self.kind.group, old.name)
        uid = metadata.get("uid")
        if uid and uid != old.object["metadata"]["uid"]:
            why = (
                f"StorageError: invalid object, Code: 4, Key: /{self.kind.plural}/{old.key}, ResourceVersion: 0,"
                f" AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta:"
                f" {old.object['metadata']['uid']}"
            )
            raise conflict(self.kind.plural, self.kind.group, old.name, why)

    @staticmethod
    def _updated_metadata(given: Json, old: Entry) -> Json:
        metadata = {name: value for name, value in given.items() if value not in (None, {}, [])}
        before = old.object["metadata"]
        for name in (*_SERVER_SET, "managedFields", "resourceVersion", "namespace", "name"):
            if name in before:
                metadata[name] = before[name]
            else:
                metadata.pop(name, None)
        metadata.pop("selfLink", None)
        return metadata

    def patch(self, call: Call) -> Answer:
        target = call.target
        if call.content_type == patches.APPLY_PATCH:
            return self.apply(call)
        old = self.find(target.namespace, target.name)
        item = self.patched(call, old.object)
        return Answer(200, self.update(call, item, old).body())

    def patched(self, call: Call, current: Json) -> Json:
        """An object after the patch in the body; a version in the patch is a precondition, else there is none."""
        typed = {"kind": self.kind.kind, "apiVersion": self.kind.api_version, **current}
        match call.content_type:
            case patches.JSON_PATCH:
                item = patches.json_patch(typed, call.data())
            case patches.MERGE_PATCH:
                item = patches.merge_patch(typed, _patch_object(call))
            case patches.STRATEGIC_PATCH:
                item = patches.strategic_patch(typed, _patch_object(call), self.kind.kind)
            case _:
                raise unsupported_media_type(patches.SUPPORTED)
        item.pop("kind", None)
        item.pop("apiVersion", None)
        if not isinstance(item.get("metadata"), dict) or item["metadata"].get("name") != current["metadata"]["name"]:
            problem = invalid_value("metadata.name", (item.get("metadata") or {}).get("name", ""), "field is immutable")
            raise invalid(self.kind.kind, self.kind.group, current["metadata"]["name"], [problem])
        return item

    def apply(self, call: Call) -> Answer:
        target = call.target
        try:
            wanted = yaml.safe_load(call.body)
        except yaml.YAMLError as problem:
            raise bad_request(f"error decoding YAML: {problem}") from None
        manager = call.query.get("fieldManager", "")
        if not manager:
            problem_found = required_value("fieldManager", "is required for apply patch")
            raise invalid("PatchOptions", "meta.k8s.io", "", [problem_found])
        wanted.pop("kind", None)
        wanted.pop("apiVersion", None)
        wanted["metadata"] = {**(wanted.get("metadata") or {}), "name": target.name}
        old = self.look_up(target.namespace, target.name)
        mark = managed_fields.entry(manager, self.kind, wanted)
        if old is None:
            item = self.prepare_create(call, self.new_object(call, patches.merge_patch({}, wanted)))
            item["metadata"]["managedFields"] = [mark]
            answer = Answer(201, self._store_new(call, item).body())
            uid = str(item["metadata"]["uid"])
        else:
            uid = str(old.object["metadata"]["uid"])
            item = patches.apply(old.object, self._applied.get((uid, manager)), wanted, self.kind.kind)
            answer = Answer(200, self.update(call, item, old, mark).body())
        if not call.dry_run:
            self._applied[(uid, manager)] = wanted
        return answer

    # Deleting

    def delete(self, call: Call) -> Answer:
        entry = self.find(call.target.namespace, call.target.name)
        options = call.data() if call.body else {}
        wanted = (options or {}).get("preconditions") or {}
        metadata = entry.object["metadata"]
        for name, said, done in (
            ("uid", "UID", "deleted and then recreated"),
            ("resourceVersion", "ResourceVersion", "modified"),
        ):
            if wanted.get(name) and wanted[name] != metadata[name]:
                why = f"the {said} in the precondition ({wanted[name]}) does not match the {said} in record"
                why += f" ({metadata[name]}). The object might have been {done}"
                raise conflict(self.kind.kind, self.kind.group, entry.name, why)
        dry = call.dry_run or (options or {}).get("dryRun") == ["All"]
        policy = (options or {}).get("propagationPolicy") or call.query.get("propagationPolicy") or "Background"
        last = entry if dry else self.remove(entry, orphan=policy == "Orphan")
        if self.kind is PODS or self.kind is NAMESPACES or last.object["metadata"].get("deletionTimestamp"):
            return Answer(200, last.body())
        details = {"name": entry.name, "kind": self.kind.plural, "uid": metadata["uid"]}
        if self.kind.group:
            details["group"] = self.kind.group
        return answer_json(success(details))

    def delete_all(self, call: Call) -> Answer:
        matches = self.selected(call)
        for entry in list(self.cluster.store.table(self.kind).entries(call.target.namespace)):
            if (matches is None or matches(entry.object)) and not call.dry_run:
                self.remove(entry, orphan=False)
        return answer_json(success())

    def remove(self, entry: Entry, *, orphan: bool) -> Entry:
        """Delete an object, or mark it if finalizers hold it; what only it owned goes too."""
        return remove(self.cluster, entry, orphan=orphan)


def remove(cluster: Cluster, entry: Entry, *, orphan: bool = False) -> Entry:
    metadata = entry.object["metadata"]
    if metadata.get("finalizers"):
        if metadata.get("deletionTimestamp"):
            return entry
        marked = {**metadata, "deletionTimestamp": timestamps.now(), "deletionGracePeriodSeconds": 0}
        return cluster.store.put(entry.kind, {**entry.object, "metadata": marked})
    last = cluster.store.delete(entry)
    for owned in cluster.store.owned_by(metadata["uid"]):
        owners = [each for each in owned.object["metadata"]["ownerReferences"] if each.get("uid") != metadata["uid"]]
        if orphan or owners:
            left = {**owned.object["metadata"], "ownerReferences": owners}
            if not owners:
                del left["ownerReferences"]
            cluster.store.put(owned.kind, {**owned.object, "metadata": left})
        else:
            remove(cluster, owned)
    return last


def place_in_namespace(kind: Kind, metadata: Json, namespace: str) -> None:
    """Put an object into the namespace of the request, which it may name but not contradict."""
    if not kind.namespaced:
        metadata.pop("namespace", None)
    elif metadata.setdefault("namespace", namespace) != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def _patch_object(call: Call) -> Json:
    patch = call.data()
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}")
    return patch


def _number(text: str) -> int:
    try:
        return max(int(text or 0), 0)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
