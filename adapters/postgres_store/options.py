"""What a person may set about the connections to PostgreSQL, and what it becomes in libpq's words."""

from __future__ import annotations

from dataclasses import dataclass, field

from psycopg.conninfo import conninfo_to_dict

from ..tls import TlsFiles

# Every statement of the store finds its rows by an index, so that a plan made once is good for ever; without
# statistics, while the tables are new, the planner would rather read all of a table.
_PLANNER = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """How to reach PostgreSQL, and for how long to wait for it. Times are seconds.

    url:               libpq's, `postgresql://user:password@host:port/database?sslmode=...`; several hosts may be named.
    pool_size:         most connections of one store.
    pool_timeout:      wait for one of them.
    connect_timeout:   wait for a new one.
    statement_timeout: the server gives a statement up after this; nothing of it has happened then.
    lock_timeout:      wait for a lock that somebody else holds on a table; and for records that others hold or change.
    tls:               what the URL does not say itself.
    silence:           a connection whose other side acknowledges nothing for so long is dead.
    """

    url: str = field(repr=False)
    pool_size: int = 8
    pool_timeout: float = 1.0
    connect_timeout: float = 1.0
    statement_timeout: float = 5.0
    lock_timeout: float = 0.5
    silence: float = 10.0
    tls: TlsFiles = field(default_factory=TlsFiles)

    def __post_init__(self) -> None:
        if self.pool_size < 1:
            raise ValueError(f"pool_size must be at least 1, got {self.pool_size}")
        times = (self.pool_timeout, self.connect_timeout, self.statement_timeout, self.lock_timeout, self.silence)
        if min(times) <= 0:
            raise ValueError(f"times must be more than 0, got {self}")
        if self.lock_timeout > self.statement_timeout:
            raise ValueError(f"lock_timeout must not be longer than statement_timeout, got {self}")


def connect_parameters(options: PostgresOptions) -> dict[str, str | int]:
    """What to connect with. Raises psycopg.ProgrammingError for a URL that libpq cannot read."""
    given = conninfo_to_dict(options.url)
    settings = {
        **_PLANNER,
        "statement_timeout": _milliseconds(options.statement_timeout),
        "lock_timeout": _milliseconds(options.lock_timeout),
        "idle_in_transaction_session_timeout": _milliseconds(options.statement_timeout),
    }
    ours = " ".join(f"-c {name}={value}" for name, value in settings.items())
    probe = max(1, round(options.silence / 5))
    return {
        "fallback_application_name": "holdfast",
        "keepalives_idle": probe,
        "keepalives_interval": probe,
        "keepalives_count": 4,
        "tcp_user_timeout": _milliseconds(options.silence),
        **options.tls.libpq(),
        **{name: value for name, value in given.items() if value is not None},
        "options": f"{ours} {given.get('options') or ''}".strip(),
    }


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
