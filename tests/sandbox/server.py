"""The HTTP server: from a request to its answer, through faults, the log, authentication and authorization.

Source of behaviour: k8s.io/apiserver pkg/endpoints/filters.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import time
import traceback
from collections.abc import Mapping

from aiohttp import web

from tests.sandbox import built_in_roles, timestamps
from tests.sandbox.access import Access, Request, request_of
from tests.sandbox.calls import (
    LARGEST_BODY,
    Answer,
    Call,
    Stream,
    Target,
    User,
    answer_error,
    parse_target,
    too_large,
)
from tests.sandbox.cluster import Cluster
from tests.sandbox.control import Control
from tests.sandbox.controllers import Controllers, ImportController
from tests.sandbox.core import Namespaces, ProjectRequests, Projects, Secrets, ServiceAccounts, new_namespace
from tests.sandbox.discovery import discover
from tests.sandbox.faults import Faults, Record, RequestLog, Rule, import_of, status_answer
from tests.sandbox.image_streams import ImageStreams
from tests.sandbox.imports import Imports
from tests.sandbox.objects import Objects
from tests.sandbox.registry import RegistryClient
from tests.sandbox.resources import (
    IMAGE_STREAM_IMPORTS,
    IMAGE_STREAM_TAGS,
    IMAGE_STREAMS,
    PLAIN,
    PODS,
    PROJECTS,
    REVIEWS,
    Kind,
)
from tests.sandbox.reviews import Reviews
from tests.sandbox.settings import Settings
from tests.sandbox.status import ApiError, bad_request, internal_error, no_such_path, timed_out, unauthorized
from tests.sandbox.store import Store
from tests.sandbox.stream_images import StreamImages, StreamMappings
from tests.sandbox.stream_tags import StreamTags
from tests.sandbox.tokens import ADMIN, Tokens, service_account
from tests.sandbox.workloads import specs
from tests.sandbox.workloads.admission import Pods
from tests.sandbox.workloads.batch import BatchController, Jobs
from tests.sandbox.workloads.controller import WorkloadController
from tests.sandbox.workloads.kubelet import Kubelet
from tests.sandbox.workloads.processes import Processes
from tests.sandbox.workloads.trigger_controller import TriggerController

_FIRST_NAMESPACES = ("default", "kube-system", "kube-public", "openshift", "openshift-infra")


class Server:
    """One sandbox."""

    def __init__(self, settings: Settings) -> None:
        store = Store(settings)
        self.cluster = Cluster(settings, store, Access(store), Tokens(store), RegistryClient(settings))
        self.faults = Faults()
        self.log = RequestLog()
        self._handlers = _handlers(self.cluster)
        imports = self._handlers[IMAGE_STREAM_IMPORTS]
        assert isinstance(imports, Imports)
        self._controllers = Controllers(
            [
                ImportController(self.cluster, imports),
                TriggerController(self.cluster),
                WorkloadController(self.cluster),
                Kubelet(self.cluster),
                BatchController(self.cluster),
                Processes(self.cluster),
            ]
        )
        self._control = Control(self.cluster, self.faults, self.log, self._controllers)
        self._runner: web.ServerRunner | None = None
        # The last answer to each kind of request, for those that are to be mixed up.
        self._answers: dict[tuple[str, Kind | None, str], Answer] = {}

    async def start(self, port: int, tls: ssl.SSLContext | None = None) -> tuple[int, int | None]:
        """Begin to serve on the loopback interface; gives the port, and that for TLS."""
        built_in_roles.bootstrap(self.cluster.store)
        for name in _FIRST_NAMESPACES:
            metadata = {"name": name, "uid": f"namespace-{name}", "creationTimestamp": timestamps.now()}
            new_namespace(self.cluster, {"metadata": metadata})
        self._controllers.start()
        server = web.Server(self._serve, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024)
        await site.start()
        if tls is not None:
            await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024, ssl_context=tls).start()
        ports = [address[1] for address in self._runner.addresses]
        return ports[0], ports[1] if tls is not None else None

    async def stop(self) -> None:
        await self._controllers.stop()
        if self._runner:
            await self._runner.cleanup()
        self.cluster.registries.close()

    # One request

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        method, path = request.method, request.rel_url.raw_path
        query = _first_values(request)
        body = await _body(request)
        if path.startswith("/sandbox"):
            return _response(self._controlled(request, method, path, body))
        watched = query.get("watch") in ("true", "1")
        target = parse_target(method, path, watch=watched)
        record = Record(method, path, query, time.time(), user_agent=request.headers.get("User-Agent", ""))
        if request.transport is not None:
            record.connection = request.transport.get_extra_info("peername")[1]
        if target.kind is IMAGE_STREAM_IMPORTS:
            with contextlib.suppress(ValueError):
                record.stream, record.tags, record.sources = import_of(json.loads(body))
        counted = target.verb != "watch"
        self.log.begin(record, counted=counted)
        status = 0
        try:
            answer = await self._suffer(request, target, query, body, record)
            if answer is None:
                _drop(request)
                return web.Response(status=500)
            if isinstance(answer, web.StreamResponse):
                status = answer.status
                return answer
            if isinstance(answer, Stream):
                status = 200
                return await _send_stream(request, answer)
            status = answer.status
            return _response(answer)
        finally:
            self.log.end(record, status, counted=counted)

    def _controlled(self, request: web.BaseRequest, method: str, path: str, body: bytes) -> Answer:
        try:
            user = self._authenticate(request.headers)
            if user != ADMIN:
                raise unauthorized()
            return self._control.handle(method, path, body)
        except ApiError as problem:
            return answer_error(problem)

    async def _suffer(
        self, request: web.BaseRequest, target: Target, query: Mapping[str, str], body: bytes, record: Record
    ) -> Answer | Stream | web.StreamResponse | None:
        """The answer with the faults that are due; None means that the connection is to be dropped."""
        rules = self.faults.acting_on(request.method, record.path, body)
        for rule in rules:
            instead = await self._before(rule, target, record.stream)
            if instead is not None or rule.reset == "before":
                return instead
        during = any(rule.change == "during" for rule in rules)
        if limits := [rule.page for rule in rules if rule.page]:
            query = {**query, "limit": str(min(limits))}
        answer = await self._answer(request, target, query, body, record, change_during=during)
        if isinstance(answer, Answer):
            kind = request.method, target.kind, target.namespace
            before = self._answers.get(kind, answer)
            self._answers[kind] = answer
            answer = before if any(rule.mix_up for rule in rules) else answer
        for rule in rules:
            if rule.reset == "after":
                return None
            if rule.truncate is not None and isinstance(answer, Answer):
                answer = Answer(answer.status, answer.body[: rule.truncate], answer.content_type, answer.headers)
            if rule.cut is not None and isinstance(answer, Answer):
                return await _send_part(request, answer, rule.cut)
            if rule.drip is not None and isinstance(answer, Answer):
                return await _send_drops(request, answer, int(rule.drip["bytes"]), float(rule.drip["seconds"]))
        return answer

    async def _before(self, rule: Rule, target: Target, stream: str) -> Answer | None:
        if rule.expire_continue:
            self.cluster.store.expire_continue_tokens()
        if rule.latency:
            await asyncio.sleep(rule.latency)
        if rule.hang:
            await asyncio.Event().wait()
        while rule.gate and self.faults.stands(rule):
            await asyncio.sleep(0.01)
        if rule.change == "before":
            self._change(target, stream)
        if rule.status is not None:
            status, headers = status_answer(rule.status)
            return answer_error(ApiError(status, headers))
        if rule.raw is not None:
            text = str(rule.raw.get("body", "")) * int(rule.raw.get("repeat", 1))
            content_type = rule.raw.get("content_type", "text/plain")
            return Answer(int(rule.raw.get("status", 200)), text.encode(), content_type)
        return None

    def _change(self, target: Target, stream: str) -> None:
        """Give the object of a request a new resource version, as if someone else had written it."""
        kind, name = target.kind, target.name
        if kind is IMAGE_STREAM_TAGS:
            kind, name = IMAGE_STREAMS, name.partition(":")[0]
        elif kind is IMAGE_STREAM_IMPORTS:
            kind, name = IMAGE_STREAMS, stream
        if kind is not None and name:
            self.cluster.store.touch(kind, target.namespace, name)

    async def _answer(
        self,
        request: web.BaseRequest,
        target: Target,
        query: Mapping[str, str],
        body: bytes,
        record: Record,
        *,
        change_during: bool,
    ) -> Answer | Stream:
        try:
            user = self._authenticate(request.headers)
            record.user = user.name
            if target.kind is not PROJECTS:
                # Whoever sees a project may read it, so its handler decides.
                self.cluster.access.check(user, request_of(target))
            if len(body) > LARGEST_BODY:
                raise too_large()
            limit = _timeout(query)
            if target.kind is None:
                found = discover(target.path) if target.verb in ("get", "head") else None
                if found is None:
                    raise no_such_path()
                return found
            call = Call(target, query, request.content_type, body, user, change_during)
            handler = self._handlers[target.kind]
            if target.verb == "watch" or target.kind is IMAGE_STREAM_IMPORTS:
                return await handler.handle(call)
            async with asyncio.timeout(min(limit or self.cluster.settings.request_timeout, 60.0)):
                return await handler.handle(call)
        except ApiError as problem:
            return answer_error(problem)
        except TimeoutError:
            return answer_error(timed_out())
        except Exception as problem:
            # A mistake of the sandbox, which the client should see as such.
            traceback.print_exc()
            return answer_error(internal_error(f"sandbox: {type(problem).__name__}: {problem}"))

    def _authenticate(self, headers: Mapping[str, str]) -> User:
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        user = self.cluster.tokens.user_of(token.strip()) if scheme.lower() == "bearer" and token else None
        if user is None:
            raise unauthorized()
        wanted = headers.get("Impersonate-User")
        if wanted:
            return self._impersonated(user, wanted)
        return user

    def _impersonated(self, user: User, name: str) -> User:
        self.cluster.access.check(user, Request("impersonate", resource="users", name=name))
        if name.startswith("system:serviceaccount:"):
            return service_account(*name.split(":")[2:4])
        return User(name, groups=("system:authenticated",))


def _handlers(cluster: Cluster) -> dict[Kind, Objects]:
    special: list[Objects] = [
        Namespaces(cluster),
        ServiceAccounts(cluster),
        Secrets(cluster),
        Projects(cluster),
        ProjectRequests(cluster),
        Pods(cluster, PODS),
        Jobs(cluster),
        ImageStreams(cluster),
        Imports(cluster),
        StreamTags(cluster),
        StreamImages(cluster),
        StreamMappings(cluster),
        *(specs.Workloads(cluster, kind) for kind in specs.KINDS),
        *(Reviews(cluster, kind) for kind in REVIEWS),
    ]
    handlers = {handler.kind: handler for handler in special}
    return {**{kind: Objects(cluster, kind) for kind in PLAIN if kind not in handlers}, **handlers}


async def _body(request: web.BaseRequest) -> bytes:
    """The body; of one that is too large only so much that this can be seen."""
    parts: list[bytes] = []
    size = 0
    async for part in request.content.iter_any():
        if size <= LARGEST_BODY:
            parts.append(part)
            size += len(part)
    return b"".join(parts)


def _first_values(request: web.BaseRequest) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in request.query.items():
        found.setdefault(name, value)
    return found


def _timeout(query: Mapping[str, str]) -> float:
    if not query.get("timeout"):
        return 0.0
    try:
        return timestamps.parse_duration(query["timeout"])
    except ValueError as problem:
        raise bad_request(f"invalid timeout specified in the request URL - {problem}") from None


def _response(answer: Answer) -> web.Response:
    headers = {"Content-Type": answer.content_type, **answer.headers}
    return web.Response(status=answer.status, body=answer.body, headers=headers)


async def _send_stream(request: web.BaseRequest, answer: Stream) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": answer.content_type})
    response.enable_chunked_encoding()
    await response.prepare(request)
    async with contextlib.aclosing(answer.pieces) as pieces:  # type: ignore[type-var]
        async for piece in pieces:
            if piece:
                await response.write(piece)
    await response.write_eof()
    return response


async def _send_drops(request: web.BaseRequest, answer: Answer, size: int, seconds: float) -> web.StreamResponse:
    headers = {"Content-Type": answer.content_type, "Content-Length": str(len(answer.body)), **answer.headers}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    for place in range(0, len(answer.body), size):
        await response.write(answer.body[place : place + size])
        await asyncio.sleep(seconds)
    await response.write_eof()
    return response


async def _send_part(request: web.BaseRequest, answer: Answer, size: int) -> web.StreamResponse:
    headers = {"Content-Type": answer.content_type, "Content-Length": str(len(answer.body)), **answer.headers}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    await response.write(answer.body[:size])
    if request.transport is not None:
        request.transport.close()
    return response


def _drop(request: web.BaseRequest) -> None:
    """Close the connection so that the client sees a reset."""
    if request.transport is None:
        return
    sock = request.transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
