"""A private RabbitMQ, where the machine has one: Debian's package, its data in a temporary folder, on loopback."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from .processes import Server, free_port, missing, wait_until

# Debian's own command in /usr/sbin changes the user and the folders.
_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@contextlib.contextmanager
def running_rabbitmq() -> Iterator[Server]:
    """A broker of the test's own, with the user `guest`. Skips the test where there is none."""
    if not _SERVER.exists() or shutil.which("epmd") is None:
        missing("RabbitMQ (Debian's package rabbitmq-server)")
    with tempfile.TemporaryDirectory(prefix="holdfast-rabbitmq-", ignore_cleanup_errors=True) as name:
        folder, names = Path(name), free_port()
        with _name_server(names):
            server = _server(folder, names)
            server.start()
            try:
                yield server
            finally:
                server.kill()


@contextlib.contextmanager
def _name_server(port: int) -> Iterator[None]:
    """Erlang's, which would otherwise be started in the background and stay there."""
    process = subprocess.Popen(["epmd", "-port", str(port), "-address", "127.0.0.1"])
    try:
        wait_until(lambda: _listens(port), "Erlang's name server listens")  # else the broker starts one of its own
        yield
    finally:
        process.kill()
        process.wait()


def _server(folder: Path, names: int) -> Server:
    port = free_port()
    (folder / "plugins").write_text("[].")
    environment = _environment(folder, port, names)
    return Server(
        "rabbitmq",
        f"amqp://guest:guest@127.0.0.1:{port}//",
        ["env", *(f"{name}={value}" for name, value in environment.items()), str(_SERVER)],
        folder=folder,
        answers=_answers,
    )


def _environment(folder: Path, port: int, names: int) -> Mapping[str, object]:
    return {
        "HOME": folder,
        "ERL_EPMD_PORT": names,
        "RABBITMQ_BASE": folder,
        "RABBITMQ_NODENAME": f"holdfast{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": port,
        "RABBITMQ_DIST_PORT": free_port(),
        "RABBITMQ_MNESIA_BASE": folder / "data",
        "RABBITMQ_LOG_BASE": folder / "log",
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": folder / "none",
        "RABBITMQ_ENABLED_PLUGINS_FILE": folder / "plugins",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        return True
    return False


def _answers(url: str) -> bool:
    """It speaks AMQP only once it has booted."""
    at = urlsplit(url)
    try:
        with socket.create_connection((str(at.hostname), int(at.port or 0)), timeout=2) as connection:
            connection.sendall(b"AMQP\0\0\x09\x01")
            return bool(connection.recv(1))
    except OSError:
        return False
