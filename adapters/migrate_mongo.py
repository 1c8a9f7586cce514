"""What `python -m adapters.migrate` does where records live in MongoDB: makes the indexes that are not there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from pymongo.errors import ConfigurationError, InvalidURI

from holdfast.errors import Transient

from .mongo_store import CommandFailed, migrate
from .tls import TlsFiles

VARIABLE = "HOLDFAST_MONGO_URL"
EXAMPLE = "mongodb://holdfast:secret@localhost:27017/holdfast"


def run(wait: float, tls: TlsFiles, say: Callable[[str], object]) -> int:
    """The exit code: 0 done, 1 it could not be done, 2 wrong settings."""
    url = os.environ.get(VARIABLE, "")
    if not url:
        say(f"{VARIABLE} is not set; for example {VARIABLE}={EXAMPLE}")
        return 2
    try:
        name = asyncio.run(migrate(tls.mongo(url), wait=wait, tell=say))
    except OSError as error:
        say(f"{VARIABLE} or HOLDFAST_TLS_CA_FILE names a file that cannot be read: {error}")
        return 2
    except (ConfigurationError, InvalidURI, ValueError):
        say(f"{VARIABLE} is not a URL that MongoDB's driver understands; for example {VARIABLE}={EXAMPLE}")
        return 2
    except (Transient, CommandFailed) as error:
        say(str(error))
        return 1
    say(f"the indexes of the database {name} are there")
    return 0
