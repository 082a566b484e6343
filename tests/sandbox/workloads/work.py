"""What a controller has to look at, and when.

Source of behaviour: k8s.io/client-go util/workqueue and tools/cache.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from tests.sandbox.resources import Kind
from tests.sandbox.store import Event, Store, Watch

Key = TypeVar("Key", bound=Hashable)

# How many keys are looked at before requests get their turn.
_AT_ONCE = 20


class _Listener(Watch):
    """A watch that calls instead of queueing, so that a change that concerns nobody costs next to nothing."""

    def __init__(self, store: Store, kind: Kind, call: Callable[[Event], None]) -> None:
        self._call = call
        super().__init__(store.table(kind), "")

    def offer(self, event: Event) -> None:
        self._call(event)


class Work(Generic[Key]):
    """Keys that wait, each once, and those that wait for a time."""

    def __init__(self) -> None:
        self._waiting: dict[Key, None] = {}
        self._later: dict[Key, asyncio.TimerHandle] = {}
        self._awake = asyncio.Event()

    def add(self, key: Key) -> None:
        self._waiting[key] = None
        self._awake.set()

    def add_later(self, key: Key, seconds: float) -> None:
        """Wait for that long; what the key waited for before is forgotten."""
        self.forget(key)
        self._later[key] = asyncio.get_running_loop().call_later(seconds, self._due, key)

    def add_within(self, key: Key, seconds: float) -> None:
        """Wait for that long at most: a key that waits for a time already goes on doing so."""
        if key not in self._later:
            self.add_later(key, seconds)

    def _due(self, key: Key) -> None:
        del self._later[key]
        self.add(key)

    def forget(self, key: Key) -> None:
        """Wait no longer for a time."""
        timer = self._later.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def run(
        self, store: Store, kinds: Iterable[Kind], see: Callable[[Event], None], act: Callable[[Key], None]
    ) -> None:
        """Let `see` see every change of some kinds, and `act` on the keys as they come, for ever."""
        watches = [_Listener(store, kind, see) for kind in kinds]
        try:
            while True:
                await self._awake.wait()
                for key in list(self._waiting)[:_AT_ONCE]:
                    del self._waiting[key]
                    try:
                        act(key)
                    except Exception:
                        # An object that nobody checked, or a mistake of the sandbox; the others go on.
                        traceback.print_exc()
                if not self._waiting:
                    self._awake.clear()
                await asyncio.sleep(0)
        finally:
            for watch in watches:
                watch.close()
            for key in list(self._later):
                self.forget(key)
