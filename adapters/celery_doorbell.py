"""The doorbell as a Celery message. One thread sends, so that no broker can ever hold up an event loop.

A publish can hang for seconds on a frozen broker and can succeed although it raised, so nobody who has a client
waiting waits for it: `offer` returns at once. Keys that arrive while a message is on its way go together in the next.
What cannot be sent is dropped and told as an event; the sweeper rings again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from celery import Celery
from kombu.exceptions import OperationalError

from holdfast.breaker import BreakerOptions, CircuitBreaker
from holdfast.errors import HoldfastError, OutcomeUnknown, Unavailable
from holdfast.events import Event, Listener, emit
from holdfast.operations.model import Resource

T = TypeVar("T")

log = logging.getLogger(__name__)

SENDING = BreakerOptions(window_size=2, minimum_calls=2, failure_rate=1.0, open_duration=1.0)


@dataclass(frozen=True, slots=True)
class DoorbellOptions:
    """How doorbells are gathered into messages.

    keys:     most resource keys of one message.
    capacity: keys that may wait to be sent; more are lost, as a doorbell may be.
    enough:   messages in the queue beyond which no other is needed: whoever takes one goes on with all that is due.
    patience: seconds that `ring` waits to know whether its keys were sent.
    """

    keys: int = 500
    capacity: int = 100_000
    enough: int = 100
    patience: float = 3.0

    def __post_init__(self) -> None:
        if min(self.keys, self.capacity, self.enough) < 1 or self.patience <= 0:
            raise ValueError(f"keys, capacity and enough must be at least 1, patience more than 0, got {self}")


class CeleryDoorbell:
    """Rings through `app`, with the task's name and the connection that a sender needs.

    The listener hears of `doorbell.rung` and `doorbell.lost`, with the number of `keys`, in the sending thread.
    """

    def __init__(
        self,
        app: Celery,
        task: str,
        connection: dict[str, Any],
        *,
        options: DoorbellOptions | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.breaker = CircuitBreaker("broker", options=SENDING, listener=listener)
        self._sender = _Sender(app, task, connection)
        self._options = options or DoorbellOptions()
        self._listener = listener
        self._changed = threading.Condition()
        self._keys: dict[str, None] = {}
        self._callers: list[Future[None]] = []
        self._thread: threading.Thread | None = None
        self._closing = False

    def offer(self, resources: Iterable[Resource]) -> None:
        """Have these sent soon. Never waits and never fails: what finds no room is lost, as a doorbell may be."""
        lost = self._add(resources, None)
        if lost:
            self._tell("doorbell.lost", lost)

    async def ring(self, resources: Sequence[Resource]) -> None:
        """Return once these are sent. Raises Unavailable, OutcomeUnknown or CircuitOpen."""
        caller: Future[None] = Future()
        if self._add(resources, caller):
            raise Unavailable(f"{self._options.capacity} keys wait to be sent already")
        try:
            async with asyncio.timeout(self._options.patience):  # Python 3.11's wait_for may forget a cancellation
                await asyncio.wrap_future(caller)
        except TimeoutError as error:
            raise OutcomeUnknown(f"the broker did not answer in {self._options.patience} s") from error

    async def ping(self) -> None:
        """Return if the broker answers now; sends nothing. Raises as `ring` does."""
        await self.ring(())

    async def close(self) -> None:
        """Send what waits, for a bounded time, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, self._options.patience)

    def _add(self, resources: Iterable[Resource], caller: Future[None] | None) -> int:
        """Returns how many found no room; a caller's come all or not at all."""
        with self._changed:
            new = [key for key in map(str, resources) if key not in self._keys]
            room = self._options.capacity - len(self._keys)
            if caller is not None and len(new) > room:
                return len(new)
            self._keys.update(dict.fromkeys(new[:room]))
            if caller is not None:
                self._callers.append(caller)
            self._start()
            self._changed.notify()
        return max(0, len(new) - room)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="holdfast-doorbell", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            keys, callers = taken
            try:
                # A context of its own: instrumentation may leave its span current after a failed publish.
                copy_context().run(self._send, keys)
            except Exception as error:
                if not isinstance(error, HoldfastError):
                    log.exception("the doorbell is broken")
                self._tell("doorbell.lost", len(keys))
                _answer(callers, error)
            else:
                _answer(callers, None)
        self._sender.forget()

    def _take(self) -> tuple[list[str], list[Future[None]]] | None:
        """All that waits, once something does; None when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._keys or self._callers or self._closing)
            if not (self._keys or self._callers):
                return None
            taken = list(self._keys), self._callers
            self._keys, self._callers = {}, []
            return taken

    def _send(self, keys: list[str]) -> None:
        if self.breaker.call(self._sender.waiting) >= self._options.enough:
            return
        remaining = iter(keys)
        while chunk := list(islice(remaining, self._options.keys)):
            self.breaker.call(self._sender.send, chunk)
            self._tell("doorbell.rung", len(chunk))

    def _tell(self, name: str, keys: int) -> None:
        if keys:
            emit(self._listener, Event(name, "doorbell", {"keys": keys}))


def _answer(callers: list[Future[None]], error: Exception | None) -> None:
    for caller in callers:
        if not caller.set_running_or_notify_cancel():
            continue
        if error is None:
            caller.set_result(None)
        else:
            caller.set_exception(error)


class _Sender:
    """One connection, made when it is needed and again after every trouble. Belongs to one thread."""

    def __init__(self, app: Celery, task: str, connection: dict[str, Any]) -> None:
        self._app = app
        self._task = task
        self._connection = app.connection_for_write(**connection)
        self._troubles = (
            *self._connection.connection_errors,
            *self._connection.channel_errors,
            OperationalError,
        )
        self._channel: Any = None

    def send(self, keys: list[str]) -> None:
        """Publish one message. Raises Unavailable or OutcomeUnknown."""
        self._call(lambda channel: self._publish(channel, keys))

    def waiting(self) -> int:
        """Messages in the queue."""
        queue = self._app.amqp.queues[self._app.conf.task_default_queue]
        declared = self._call(lambda channel: queue(channel).queue_declare())
        return int(declared.message_count)

    def forget(self) -> None:
        """Drop the connection without a farewell, for which a frozen broker would keep us waiting."""
        self._channel = None
        with contextlib.suppress(Exception):
            self._connection.collect(socket_timeout=0.1)

    def _call(self, work: Callable[[Any], T]) -> T:
        """Tries again once where the connection was an old one, which may have died since it was used last."""
        old = self._channel is not None
        if not old:
            self._open()
        try:
            return work(self._channel)
        except self._troubles as error:
            self.forget()
            if not old:
                raise OutcomeUnknown(f"the broker did not answer: {_cause(error)}") from error
        return self._call(work)

    def _open(self) -> None:
        try:
            self._connection.ensure_connection(max_retries=0)
            self._channel = self._connection.channel()
        except self._troubles as error:
            self.forget()
            raise Unavailable(f"the broker cannot be reached: {_cause(error)}") from error

    def _publish(self, channel: Any, keys: list[str]) -> None:
        producer = self._app.amqp.Producer(channel, auto_declare=False)
        self._app.send_task(
            self._task,
            (keys,),
            producer=producer,
            argsrepr=f"{len(keys)} keys",
            ignore_result=True,
            add_to_parent=False,
        )


def _cause(error: BaseException) -> str:
    """kombu's own errors say less than what they were made from."""
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {cause}"
