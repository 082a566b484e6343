"""One message a run to where people are, by the library apprise or as a signed webhook.

Loaded only where NOTIFY is set. A service that hangs or refuses costs a log line and a metric, and never the run.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3

from job import VERSION
from job.config.settings import NotifySettings
from job.domain.addresses import is_overheard, split_login
from job.domain.errors import ClusterError
from job.domain.model import Reason, Report
from job.domain.news import News
from job.domain.records import dataclass
from job.domain.secrets import SECRETS
from job.domain.text import clean
from job.runtime.pool import gather
from job.views.documents import as_document
from job.views.message import Markup, body_of, title_of

if TYPE_CHECKING:
    from apprise import NotifyBase

log = logging.getLogger(__name__)

MISSING = "messages need apprise; install it: pip install 'import-images[notify]'"
SIGNATURE_HEADER = "X-Import-Images-Signature-256"
CONNECT_SECONDS = 4.0
READ_SECONDS = 8.0
# All services together; a run's end must not wait for a chat.
SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Message:
    """One message in every form that a service may want.

    Attributes:
        title: one line.
        markdown: the text as Markdown.
        plain: the same without markup.
        document: the report as JSON has it.
    """

    title: str
    markdown: str
    plain: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Service:
    """Where a message goes.

    Attributes:
        name: for logs: its place in NOTIFY and its kind, without any part of the address.
        send: sends a message; raises `ClusterError` with the cause where that failed.
    """

    name: str
    send: Callable[[Message], None]


def notify(settings: NotifySettings, report: Report, news: News) -> dict[str, str | None]:
    """Send the message of a run to every service.

    Returns:
        By the service's name: None where it took the message, else why not.
    """
    services, problems = services_of(settings)
    return {**problems, **send(services, message_of(report, news))}


def message_of(report: Report, news: News) -> Message:
    """The message of a run."""
    markdown, plain = (body_of(report, news, markup) for markup in (Markup.MARKDOWN, Markup.PLAIN))
    return Message(title_of(report), markdown, plain, as_document(report))


def send(services: Sequence[Service], message: Message) -> dict[str, str | None]:
    """Send one message to all services at once; see `notify`."""
    until = time.monotonic() + SECONDS
    calls = {service.name: functools.partial(service.send, message) for service in services}
    answers = gather(calls, len(calls), lambda: time.monotonic() > until) if calls else {}
    late = ClusterError(Reason.TIMEOUT, f"no answer within {SECONDS:.0f} s")
    results = {name: answers.get(name, late) for name in calls}
    return {name: clean(str(answer)) if isinstance(answer, ClusterError) else None for name, answer in results.items()}


def services_of(settings: NotifySettings) -> tuple[list[Service], dict[str, str]]:
    """The services that NOTIFY names, and by its name what is wrong with the address of each that cannot be used."""
    services, problems = [], {}
    for number, url in enumerate(settings.urls, 1):
        _register(url)
        scheme = urlsplit(url).scheme.lower()
        try:
            known = _by_apprise(url)
        except ModuleNotFoundError:
            problems[f"{number} ({scheme})"] = MISSING
            continue
        if known is not None:
            services.append(Service(f"{number} ({scheme})", known))
        elif scheme in ("http", "https"):
            services.append(Service(f"{number} (webhook)", functools.partial(_post, settings, url)))
        else:
            problems[f"{number} ({scheme})"] = "its address is not complete, or no service that apprise knows"
    return services, problems


def _register(url: str) -> None:
    """Let no part of an address reach a log: services keep their tokens in the host, the path and the query."""
    SECRETS.add(url)
    split_login(url)
    parts = urlsplit(url)
    for part in (*parts.path.split("/"), *parts.query.replace("&", "=").split("=")):
        if len(part) >= 16:
            SECRETS.add(part)


def _by_apprise(url: str) -> Callable[[Message], None] | None:
    import apprise

    # What it logs of an address that it cannot read may hold a part of it.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    separator = "&" if "?" in url else "?"
    limits = f"{separator}cto={CONNECT_SECONDS}&rto={READ_SECONDS}&verify=yes"
    plugin = apprise.Apprise.instantiate(f"{url}{limits}", suppress_exceptions=True)
    if plugin is None:
        return None
    if plugin.notify_format == apprise.NotifyFormat.HTML and "format=" not in urlsplit(url).query:
        # The text that apprise makes of HTML, for readers who see no HTML, has a line for each marked word.
        plugin.notify_format = apprise.NotifyFormat.TEXT
    return functools.partial(_by_plugin, plugin)


def _by_plugin(plugin: NotifyBase, message: Message) -> None:
    import apprise

    as_text = plugin.notify_format == apprise.NotifyFormat.TEXT
    sender = apprise.Apprise()
    sender.add(plugin)
    # apprise writes `# ` before the title of a plain Matrix message, which Matrix does not render.
    has_title = not (as_text and plugin.secure_protocol == "matrixs")
    plain = message.plain if has_title else f"{message.title}\n\n{message.plain}"
    with _Refusals() as refusals:
        sent = sender.notify(
            title=message.title if has_title else "",
            body=plain if as_text else message.markdown,
            body_format=apprise.NotifyFormat.TEXT if as_text else apprise.NotifyFormat.MARKDOWN,
            interpret_escapes=False,
        )
    if not sent:
        raise ClusterError(Reason.UNREACHABLE, clean(refusals.last or "the service did not take the message"))


class _Refusals(logging.Handler):
    """Why apprise could not send: it answers with False, and logs the cause."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""
        self._thread = threading.get_ident()
        self._logger = logging.getLogger("apprise")

    def __enter__(self) -> _Refusals:
        self._logger.setLevel(logging.WARNING)
        self._logger.propagate = False
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what was logged on this thread; others send at the same time."""
        if record.thread == self._thread:
            self.last = record.getMessage()


def _post(settings: NotifySettings, url: str, message: Message) -> None:
    """Send the report itself, signed as GitHub signs its webhooks: HMAC with SHA-256 over the body."""
    address = split_login(url)
    document = {"kind": "Message", "version": 1, "title": message.title, "text": message.plain}
    body = json.dumps({**document, "report": message.document}).encode()
    headers = {"Content-Type": "application/json", "User-Agent": f"import-images/{VERSION}"}
    if address.username:
        headers |= urllib3.make_headers(basic_auth=f"{address.username}:{address.password or ''}")
    if settings.key:
        headers[SIGNATURE_HEADER] = "sha256=" + hmac.new(settings.key.encode(), body, hashlib.sha256).hexdigest()
    if is_overheard(address.url):
        log.warning("NO TLS to a webhook of NOTIFY: anyone on the way can read the report; use https")
    with urllib3.PoolManager(retries=False) as connections:
        try:
            response = connections.request(
                "POST",
                address.url,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
                preload_content=False,
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise ClusterError(Reason.UNREACHABLE, clean(f"not sent: {error}")) from error
        response.close()
    if not 200 <= response.status < 300:
        raise ClusterError(Reason.API_ERROR, f"HTTP {response.status}", code=response.status)
