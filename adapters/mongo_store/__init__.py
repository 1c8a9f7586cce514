"""Records in MongoDB, 5.0 or later, a replica set: pymongo's own async client, no transactions.

A record and the operations that were applied to it are one document, so that one write changes both or none.
store -> database -> client -> options; store -> batch -> database -> documents -> values. What an error means is in
errors alone, the indexes without which nothing is written in schema.
"""

from .errors import CommandFailed
from .options import MongoOptions
from .schema import migrate
from .store import MongoStore

__all__ = ["CommandFailed", "MongoOptions", "MongoStore", "migrate"]
