"""The client that asks registries for images, and says what went wrong in the words OpenShift's client uses.

Source of behaviour: openshift/library-go pkg/image/registryclient, distribution registry/client, and Go's net/http,
whose error texts end up in the status of an import.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
import time
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urljoin, urlsplit

from tests.sandbox import images
from tests.sandbox.credentials import Credential, basic_authorization, credentials_for
from tests.sandbox.http_client import HttpAnswer, HttpClient
from tests.sandbox.images import Manifest, UnusableManifest, json_complaint
from tests.sandbox.references import Reference
from tests.sandbox.registry_errors import RegistryError, challenge_of, error_of, in_go_words, status_line
from tests.sandbox.settings import Settings

_MOST_REDIRECTS = 10
_PROBE_LIFETIME = 60.0


@dataclass(slots=True)
class Repository:
    """A repository in a registry that answered; `base` is the URL that did."""

    base: str
    host: str
    path: str
    challenge: dict[str, str] | None
    credential: Credential | None
    # The registry was not asked for this import, but answered for another a moment ago.
    assumed: bool = False
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class _Ping:
    base: str
    challenge: dict[str, str] | None
    at: float


class RegistryClient:
    """One for the whole server: connections are kept and shared."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._speaks_tls: dict[str, tuple[bool, float]] = {}
        self.pings: dict[tuple[str, bool], _Ping] = {}
        self._secure = ssl.create_default_context()
        self._lenient = ssl.create_default_context()
        self._lenient.check_hostname = False
        self._lenient.verify_mode = ssl.CERT_NONE
        self._http = HttpClient()

    def close(self) -> None:
        self._http.close()

    def connect(self, known: list[Credential]) -> Connection:
        return Connection(self, known)

    # One HTTP exchange

    async def get(
        self, url: str, *, insecure: bool, accept: tuple[str, ...] = (), authorization: str = ""
    ) -> HttpAnswer:
        headers = [("Accept", each) for each in accept]
        if authorization:
            headers.append(("Authorization", authorization))
        host = urlsplit(url).netloc
        for _ in range(_MOST_REDIRECTS):
            answer = await self._exchange(url, headers, insecure=insecure)
            if answer.status not in (301, 302, 303, 307, 308) or "location" not in answer.headers:
                return answer
            url = urljoin(url, answer.headers["location"])
            if urlsplit(url).netloc != host:
                headers = [each for each in headers if each[0] != "Authorization"]
        raise RegistryError(f'Get "{url}": stopped after {_MOST_REDIRECTS} redirects')

    async def _exchange(self, url: str, headers: list[tuple[str, str]], *, insecure: bool) -> HttpAnswer:
        parts = urlsplit(url)
        try:
            if parts.scheme == "https":
                await self._expect_tls(parts.hostname or "", parts.port or 443)
            _refuse_invalid(parts.hostname or "")
            return await self._http.get(url, headers, self._lenient if insecure else self._secure)
        except RegistryError as problem:
            raise RegistryError(f'Get "{url}": {problem.message}', unreachable=True) from None
        except OSError as problem:
            words = in_go_words(problem, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
            raise RegistryError(f'Get "{url}": {words}', unreachable=True) from None

    # TLS or not

    def known_plain(self, address: str) -> bool:
        known = self._speaks_tls.get(address)
        return known is not None and not known[0] and time.monotonic() - known[1] < _PROBE_LIFETIME

    async def _expect_tls(self, host: str, port: int) -> None:
        """Find out cheaply that a server does not speak TLS, and in which words Go says so."""
        address = f"{host}:{port}"
        known = self._speaks_tls.get(address)
        if known and known[0] and time.monotonic() - known[1] < _PROBE_LIFETIME:
            return
        _refuse_invalid(host)
        try:
            first = await asyncio.wait_for(_first_record(host, port), self._settings.tls_handshake_timeout)
        except TimeoutError:
            raise RegistryError("net/http: TLS handshake timeout") from None
        except OSError as problem:
            raise RegistryError(in_go_words(problem, host, port)) from None
        tls = first[:1] in (b"\x15", b"\x16")
        if first:
            self._speaks_tls[address] = (tls, time.monotonic())
        if not first:
            raise RegistryError("EOF")
        if first == b"HTTP/":
            raise RegistryError("http: server gave HTTP response to HTTPS client")
        if not tls:
            raise RegistryError("tls: first record does not look like a TLS handshake")


async def _first_record(host: str, port: int) -> bytes:
    """The first bytes that a server answers to the beginning of a TLS handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    hello = context.wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(outgoing.read())
        with contextlib.suppress(asyncio.IncompleteReadError):
            return await reader.readexactly(5)
        return b""
    finally:
        writer.close()


def _refuse_invalid(host: str) -> None:
    # No such name exists by definition, so there is no need to wait for a resolver.
    if host.endswith(".invalid"):
        raise RegistryError(f"dial tcp: lookup {host} on DNS: no such host")


class Connection:
    """What one import knows of the registries it talked to."""

    def __init__(self, client: RegistryClient, known: list[Credential]) -> None:
        self._client = client
        self._settings = client._settings
        self._credentials = known
        # By host and path: each repository has a ping of its own, and whether it may be insecure is asked only once.
        self._known: dict[tuple[str, str], Repository | RegistryError] = {}

    async def repository(self, reference: Reference, *, insecure: bool) -> Repository:
        full = reference.with_defaults()
        key = (reference.host(), full.repository)
        known = self._known.get(key)
        if known is None:
            try:
                recent = self._client.pings.get((reference.host(), insecure))
                assumed = recent is not None and time.monotonic() - recent.at < self._settings.ping_lifetime
                ping = recent if recent and assumed else await self._ping(reference.host(), insecure=insecure)
                credential = credentials_for(f"{full.registry}/{full.repository}", self._credentials)
                known = Repository(ping.base, reference.host(), full.repository, ping.challenge, credential, assumed)
            except RegistryError as problem:
                known = problem
            self._known[key] = known
        if isinstance(known, RegistryError):
            raise known
        return known

    async def _ping(self, host: str, *, insecure: bool) -> _Ping:
        self._client.pings.pop((host, insecure), None)
        schemes = ["https", "http"] if insecure else ["https"]
        if insecure and self._client.known_plain(host if ":" in host else f"{host}:443"):
            schemes = ["http"]
        problem: RegistryError | None = None
        for scheme in schemes:
            base = f"{scheme}://{host}"
            try:
                ping = _Ping(base, await self._ping_once(base, insecure=insecure), time.monotonic())
            except RegistryError as failed:
                problem = failed
            else:
                self._client.pings[(host, insecure)] = ping
                return ping
        assert problem is not None
        raise problem

    async def _ping_once(self, base: str, *, insecure: bool) -> dict[str, str] | None:
        url = f"{base}/v2/"
        try:
            async with asyncio.timeout(self._settings.ping_timeout):
                answer = await self._client.get(url, insecure=insecure)
        except TimeoutError:
            why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            raise RegistryError(f'Get "{url}": {why}') from None
        registered = "docker-distribution-api-version" in answer.headers
        if not registered and not 200 <= answer.status < 300 and answer.status not in (401, 403):
            raise RegistryError(f'endpoint "{base}" does not support v2 API (got {status_line(answer)})')
        return challenge_of(answer.headers) if answer.status == 401 else None

    async def manifest(self, repository: Repository, tag_or_digest: str, *, insecure: bool) -> Manifest:
        path = f"/v2/{repository.path}/manifests/{tag_or_digest}"
        answer = await self._get(repository, path, insecure=insecure, accept=images.ACCEPTED)
        try:
            manifest = images.parse_manifest(answer.headers.get("content-type", ""), answer.body)
        except UnusableManifest as problem:
            raise RegistryError(str(problem)) from None
        if ":" in tag_or_digest and manifest.digest != tag_or_digest:
            raise RegistryError(
                f"content integrity error: the manifest retrieved with digest {tag_or_digest} does not match the"
                f" digest calculated from the content {manifest.digest}"
            )
        return manifest

    async def blob(self, repository: Repository, digest: str, *, insecure: bool) -> bytes:
        answer = await self._get(repository, f"/v2/{repository.path}/blobs/{digest}", insecure=insecure, blob=True)
        return answer.body

    async def tags(self, repository: Repository, *, insecure: bool) -> list[str]:
        tags: list[str] = []
        path = f"/v2/{repository.path}/tags/list"
        while path:
            answer = await self._get(repository, path, insecure=insecure)
            try:
                tags += images.parse_json(answer.body).get("tags") or []
            except UnusableManifest as problem:
                raise RegistryError(str(problem)) from None
            more = re.search(r'<([^>]+)>\s*;\s*rel="next"', answer.headers.get("link", ""))
            parts = urlsplit(urljoin(f"{repository.base}{path}", more[1])) if more else None
            path = f"{parts.path}?{parts.query}" if parts else ""
        return tags

    async def _get(
        self,
        repository: Repository,
        path: str,
        *,
        insecure: bool,
        accept: tuple[str, ...] = (),
        blob: bool = False,
    ) -> HttpAnswer:
        for attempt in range(3):
            try:
                return await self._get_once(repository, path, insecure=insecure, accept=accept, blob=blob)
            except RegistryError as problem:
                if not problem.retry_after or attempt == 2:
                    raise
                await asyncio.sleep(problem.retry_after)
        raise AssertionError("unreachable")

    async def _get_once(
        self, repository: Repository, path: str, *, insecure: bool, accept: tuple[str, ...], blob: bool
    ) -> HttpAnswer:
        url = f"{repository.base}{quote(path, safe='/:@?=&%')}"
        try:
            authorization = await self._authorization(repository, insecure=insecure)
        except RegistryError as problem:
            # The client's transport fails here, so the code of the refusal is hidden from who asks for it.
            raise RegistryError(f'Get "{url}": {problem.message}') from None
        try:
            answer = await self._client.get(url, insecure=insecure, accept=accept, authorization=authorization)
        except RegistryError as problem:
            if not problem.unreachable or not repository.assumed:
                raise
            # It was not asked whether it is there; now it is, and what that gives is what the client would have said.
            repository.base = (await self._ping(repository.host, insecure=insecure)).base
            repository.assumed = False
            return await self._get_once(repository, path, insecure=insecure, accept=accept, blob=blob)
        if 200 <= answer.status < 400:
            return answer
        if blob and answer.status == 404:
            raise RegistryError("unknown blob")
        raise error_of(answer, self._settings)

    async def _authorization(self, repository: Repository, *, insecure: bool) -> str:
        challenge, credential = repository.challenge, repository.credential
        if challenge is None:
            return ""
        if challenge["scheme"] == "basic":
            if credential is None:
                raise RegistryError("no basic auth credentials")
            return basic_authorization(credential)
        if not repository.token:
            repository.token = await self._fetch_token(repository, challenge, credential, insecure=insecure)
        return f"Bearer {repository.token}"

    async def _fetch_token(
        self,
        repository: Repository,
        challenge: dict[str, str],
        credential: Credential | None,
        *,
        insecure: bool,
    ) -> str:
        if "realm" not in challenge:
            raise RegistryError("no realm specified for token auth challenge")
        parameters = []
        if challenge.get("service"):
            parameters.append(("service", challenge["service"]))
        parameters.append(("scope", f"repository:{repository.path}:pull"))
        if credential:
            parameters.append(("account", credential.username))
        mark = "&" if "?" in challenge["realm"] else "?"
        url = f"{challenge['realm']}{mark}{urlencode(sorted(parameters))}"
        authorization = basic_authorization(credential) if credential else ""
        answer = await self._client.get(url, insecure=insecure, authorization=authorization)
        if not 200 <= answer.status < 400:
            raise error_of(answer, self._settings)
        try:
            given = json.loads(answer.body)
        except ValueError:
            raise RegistryError(f"unable to decode token response: {json_complaint(answer.body)}") from None
        token = given.get("access_token") or given.get("token")
        if not token:
            raise RegistryError("authorization server did not include a token in the response")
        return str(token)
