"""The one task: replay the mailboxes whose keys a doorbell names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from celery import Celery

from adapters.celery_app import TASK
from holdfast.operations.model import Resource

log = logging.getLogger(__name__)


def register(app: Celery, replay: Callable[[Sequence[Resource]], int]) -> None:
    """Have `app` do the task by `replay`."""

    @app.task(name=TASK, ignore_result=True, shared=False)  # type: ignore[untyped-decorator]
    def holdfast_replay(keys: object = (), *_: object, **__: object) -> None:
        settled = replay(list(resources_of(keys)))
        if settled:
            log.info("operations replayed: %d", settled)


def resources_of(keys: object) -> Iterator[Resource]:
    """The resources that a message names. What is not a key is logged and dropped: nothing depends on a message."""
    if not isinstance(keys, list):
        log.warning("a doorbell without a list of keys, but %s", type(keys).__name__)
        return
    for key in keys:
        resource = Resource.parse(key) if isinstance(key, str) else None
        if resource is None or not (resource.collection and resource.id):
            log.warning("not a resource key in a doorbell: %.100r", key)
        else:
            yield resource
