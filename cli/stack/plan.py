"""What a stack runs: decided once, from its directory and the environment."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cli.errors import StackError

from . import mongo, postgres, probes, valkey
from .layout import Layout
from .ports import Ports
from .postgres import Postgres
from .spec import Spec

# What may be the store; whichever is, `store` is another name for it.
STORES = ("postgres", "mongo")
STORE = "store"
_PROGRAMS = ("api", "worker", "sweeper")
_OTHERS = ("ledger", "cache", "broker")
NAMES = (*_PROGRAMS, *STORES, *_OTHERS)
_API_PORT = 8000
_ONE_ONLY = "HOLDFAST_STACK_"
# These serve nothing but their metrics.
_MEASURED = ("worker", "sweeper")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run and where it answers.

    store:    the name of the store's server.
    names:    all of this stack.
    check:    says what is wrong with the settings, before anything runs.
    database: the PostgreSQL among the servers, to be created where it is new.
    urls:     of every name that has one, run by us or not.
    hosts:    the process behind each name that we run; the broker and the ledger share one.
    """

    store: str
    names: tuple[str, ...]
    check: Spec
    database: Postgres | None
    servers: tuple[Spec, ...]
    migrate: Spec
    programs: tuple[Spec, ...]
    urls: Mapping[str, str]
    hosts: Mapping[str, str]


class _Server(NamedTuple):
    spec: Spec
    urls: Mapping[str, str]


def plan(layout: Layout, environ: Mapping[str, str]) -> Plan:
    """A URL in the environment stands for its server, which is then not run.

    Raises StackError for a port that is taken or wrong, for a store that is none, and where a server cannot be run.
    """
    store = _store(environ)
    ports = Ports(layout.ports, environ)
    api_port = ports.take("api", default=_API_PORT)
    given = {name: url for name in (store, *_OTHERS) if (url := environ.get(_variable(name)))}
    database = None
    if store == "postgres" and store not in given:
        database = Postgres.here(layout.data("postgres"), ports.take("postgres"))
    servers = _servers(database, store, layout, ports, given)
    urls = {name: url for server in servers for name, url in server.urls.items()} | given
    metrics = {name: ports.take(name) for name in _MEASURED}
    programs = _programs(layout, api_port, metrics, _environment(environ, store, urls, api_port))
    hosts = {name: server.spec.name for server in servers for name in server.urls}
    return Plan(
        store=store,
        names=(*_PROGRAMS, store, *_OTHERS),
        check=programs.pop("settings"),
        database=database,
        servers=tuple(server.spec for server in servers),
        migrate=programs.pop("migrate"),
        programs=tuple(programs.values()),
        urls=urls | {name: f"http://127.0.0.1:{port}" for name, port in {"api": api_port, **metrics}.items()},
        hosts=hosts | {name: name for name in programs},
    )


def _store(environ: Mapping[str, str]) -> str:
    store = environ.get("HOLDFAST_STORE") or STORES[0]
    if store not in STORES:
        raise StackError(f"HOLDFAST_STORE must be {' or '.join(STORES)} for a stack; it is {store!r}")
    return store


def _servers(
    database: Postgres | None, store: str, layout: Layout, ports: Ports, given: Mapping[str, str]
) -> list[_Server]:
    servers = list[_Server]()
    if database:
        servers.append(_Server(database.server(), {store: postgres.url(database.port)}))
    elif store not in given:
        port = ports.take(store)
        servers.append(_Server(mongo.server(layout.data(store), port), {store: mongo.url(port)}))
    if shared := [name for name in ("ledger", "broker") if name not in given]:
        port = ports.take("ledger")
        urls = {name: valkey.url(port, ("ledger", "broker").index(name)) for name in shared}
        servers.append(_Server(valkey.durable(shared[0], layout.data("ledger"), port), urls))
    if "cache" not in given:
        port = ports.take("cache")
        servers.append(_Server(valkey.evicting("cache", layout.run, port), {"cache": valkey.url(port, 0)}))
    return servers


def _environment(environ: Mapping[str, str], store: str, urls: Mapping[str, str], api_port: int) -> dict[str, str]:
    return {
        "HOLDFAST_API_HOST": "127.0.0.1",
        "HOLDFAST_LOG_FORMAT": "text",
        **environ,
        **{_variable(name): url for name, url in urls.items()},
        "HOLDFAST_STORE": store,
        "HOLDFAST_API_PORT": str(api_port),
        "PYTHONUNBUFFERED": "1",
    }


def _programs(layout: Layout, api_port: int, metrics: Mapping[str, int], env: Mapping[str, str]) -> dict[str, Spec]:
    programs = (
        Spec("settings", _python("adapters.settings"), _of("api", env), ready=probes.at_once),
        Spec("migrate", _python("adapters.migrate", "--wait", "15"), _of("migrate", env), ready=probes.at_once),
        Spec("api", _python("api"), _of("api", env), ready=probes.http(api_port, "/readyz")),
        _signalling("worker", _python("worker"), _of("worker", env), metrics, layout),
        _signalling("sweeper", _python("worker.sweeper"), _of("sweeper", env), metrics, layout),
    )
    return {program.name: program for program in programs}


def _of(program: str, env: Mapping[str, str]) -> dict[str, str]:
    """The environment of one program, where HOLDFAST_STACK_<PROGRAM>_<SETTING> counts before HOLDFAST_<SETTING>."""
    mine = f"{_ONE_ONLY}{program.upper()}_"
    shared = {name: value for name, value in env.items() if not name.startswith(_ONE_ONLY)}
    own = {f"HOLDFAST_{name.removeprefix(mine)}": value for name, value in env.items() if name.startswith(mine)}
    return shared | own


def _signalling(name: str, argv: list[str], env: Mapping[str, str], metrics: Mapping[str, int], layout: Layout) -> Spec:
    """A program which says by a file that it is ready, and serves its metrics."""
    ready = layout.ready(name)
    env = {
        **env,
        "HOLDFAST_READY_FILE": str(ready),
        "HOLDFAST_METRICS_HOST": "127.0.0.1",
        "HOLDFAST_METRICS_PORT": str(metrics[name]),
    }
    return Spec(name, argv, env, ready=probes.exists(ready), prepare=lambda: ready.unlink(missing_ok=True))


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _variable(name: str) -> str:
    return f"HOLDFAST_{name.upper()}_URL"
