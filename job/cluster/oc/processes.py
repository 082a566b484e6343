"""The `oc` processes that openshift-client starts: how many at a time, for how long, and how they end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import openshift_client

from job.cluster.oc.kubeconfig import TokenFile
from job.domain.errors import ClusterError
from job.domain.model import Reason
from job.domain.text import clean

# Upper bound whatever CONCURRENCY is: each is a process of some 50 MB on a person's own machine.
PROCESSES = 4
# openshift-client checks its processes at least once a second.
CLOSING_SECONDS = 3.0
# A terminal sends Ctrl-C to this program and to every process it started.
_ENDED_BY_TERMINAL = (-signal.SIGHUP, -signal.SIGINT, -signal.SIGTERM)


class Done(NamedTuple):
    """A process that has ended. Its input is left out, so that no message can repeat it."""

    status: int
    out: str
    err: str
    too_late: bool
    begun: bool


class Processes:
    """Runs the program by openshift-client, in threads of its own, since its contexts belong to threads."""

    def __init__(
        self,
        program: str,
        host: str | None,
        token_file: TokenFile | None,
        *,
        verify_tls: bool,
        options: Sequence[str] = (),
    ) -> None:
        self._program = program
        self._options = list(options)
        self._host = host
        self._token_file = token_file
        self._verify_tls = verify_tls
        self._threads = ThreadPoolExecutor(PROCESSES, "oc")
        self._entered = threading.local()
        self._lock = threading.Lock()
        self._closed = False
        self._contexts: list[Any] = []
        self._limits: set[Any] = set()
        self._under_way: set[Future[Done]] = set()

    def run(self, verb: str, arguments: list[str], stdin: str | None, seconds: float) -> Done:
        """Run it to its end, or for at most `seconds`; no message repeats its input.

        Raises:
            ClusterError: it could not be run, or `close` was called.
            ImportError: paramiko, which a bastion host needs, is not installed.
        """
        with self._lock:
            if self._closed:
                raise ClusterError(Reason.ABORTED, "stopped")
            future = self._threads.submit(self._run, verb, [*arguments, *self._options], stdin, seconds)
            self._under_way.add(future)
        future.add_done_callback(self._ended)
        try:
            done = future.result()
        except CancelledError as error:
            raise ClusterError(Reason.ABORTED, "stopped before the request was sent") from error
        except (ClusterError, ImportError):
            raise
        except Exception as error:  # SSH may raise anything; its messages hold nothing of the request.
            text = clean(f"{Path(self._program).name} could not be run: {error}")
            raise ClusterError(Reason.UNREACHABLE, text, answered=not openshift_client.DEFAULT_SSH_HOSTNAME) from error
        # A process that openshift-client kills has the status of a SIGHUP.
        if self._closed if done.too_late else done.status in _ENDED_BY_TERMINAL:
            raise ClusterError(Reason.ABORTED, "stopped before the API answered", answered=not done.begun)
        return done

    def close(self) -> None:
        """End all processes and connections. openshift-client kills processes whose time is up."""
        with self._lock:
            self._closed = True
            pending = set(self._under_way)
            for limit in self._limits:
                limit.set_timeout(1e-6)
        self._threads.shutdown(wait=False, cancel_futures=True)
        # `wait` is never notified of cancelled futures.
        wait([future for future in pending if not future.cancelled()], CLOSING_SECONDS)
        for context in self._contexts:
            context.close_ssh()
        if self._token_file is not None:
            self._token_file.remove()

    def _ended(self, future: Future[Done]) -> None:
        with self._lock:
            self._under_way.discard(future)

    def _run(self, verb: str, arguments: list[str], stdin: str | None, seconds: float) -> Done:
        self._enter()
        with openshift_client.timeout(seconds) as limit:
            with self._lock:
                self._limits.add(limit)
                if self._closed:
                    limit.set_timeout(1e-6)
            try:
                # Never `auto_raise`: its exceptions repeat the whole request.
                result = openshift_client.invoke(
                    verb, cmd_args=arguments, stdin_str=stdin, no_namespace=True, auto_raise=False
                )
            finally:
                with self._lock:
                    self._limits.discard(limit)
        [action] = result.actions()
        return Done(action.status, action.out, action.err, action.timeout, action.elapsed_time >= 0)

    def _enter(self) -> None:
        """Set this thread's context once; it keeps the connection to a bastion host."""
        if getattr(self._entered, "done", False):
            return
        kubeconfig = str(self._token_file.path) if self._token_file else None
        with contextlib.ExitStack() as stack:
            for context in (
                openshift_client.client_host(),
                openshift_client.client_path(self._program),
                openshift_client.api_server(self._host, kubeconfig_path=kubeconfig),
                openshift_client.tls_verify(enable=self._verify_tls),
            ):
                stack.enter_context(context)
                self._contexts.append(context)
            # The contexts stay entered until the thread ends.
            self._entered.done = stack.pop_all()
