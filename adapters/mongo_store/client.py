"""The client, with what the store's guarantees ask of it."""

from __future__ import annotations

from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.monitoring import ConnectionPoolListener
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from .options import MongoOptions
from .values import CODEC

Document = dict[str, Any]
Client = AsyncMongoClient[Document]
Database = AsyncDatabase[Document]

_NAME = "holdfast"
# How often each server is asked how it does while nobody waits for one, in seconds.
_HEARTBEAT = 2.0


def make_client(options: MongoOptions, *listeners: ConnectionPoolListener) -> Client:
    """Connects to nothing yet. Raises pymongo.errors.ConfigurationError for a URL that cannot be read.

    The driver repeats nothing, so that an error tells of one try. It monitors the servers by polling: by streaming it
    would not look for another primary at once when a call has found the old one gone.
    """
    milliseconds = max(1, round(options.timeout * 1000))
    return AsyncMongoClient(
        options.url,
        appname="holdfast",
        connect=False,
        maxPoolSize=options.pool_size,
        retryWrites=False,
        retryReads=False,
        serverSelectionTimeoutMS=milliseconds,
        connectTimeoutMS=milliseconds,
        serverMonitoringMode="poll",
        heartbeatFrequencyMS=round(_HEARTBEAT * 1000),
        event_listeners=listeners,
    )


def database(client: Client) -> Database:
    """What is read was taken by a majority, as what is written: nothing that was seen is rolled back."""
    return client.get_default_database(_NAME).with_options(
        codec_options=CODEC,
        read_preference=ReadPreference.PRIMARY,
        write_concern=WriteConcern(w="majority", j=True),
        read_concern=ReadConcern("majority"),
    )
