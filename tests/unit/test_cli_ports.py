"""How a stack chooses its ports."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cli.errors import StackError
from cli.stack.ports import Ports, is_free


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ports.json"


def listening() -> socket.socket:
    server = socket.create_server(("127.0.0.1", 0))
    assert not is_free(server.getsockname()[1])
    return server


def test_a_free_port_is_the_same_at_the_next_start(path: Path) -> None:
    first = Ports(path, {})
    taken = [first.take(name) for name in ("postgres", "ledger", "cache")]
    assert len(set(taken)) == 3
    second = Ports(path, {})
    assert [second.take(name) for name in ("cache", "ledger", "postgres")] == taken[::-1]


def test_a_port_that_somebody_else_has_taken_since_is_given_up(path: Path) -> None:
    port = Ports(path, {}).take("postgres")
    with socket.create_server(("127.0.0.1", port)):
        other = Ports(path, {}).take("postgres")
    assert other != port
    assert Ports(path, {}).take("postgres") == other


def test_free_ports_are_not_among_those_of_outgoing_connections(path: Path) -> None:
    ports = Ports(path, {})
    assert all(20_000 <= ports.take(f"server{number}") < 30_000 for number in range(20))


def test_a_port_in_the_environment_wins(path: Path) -> None:
    ports = Ports(path, {"HOLDFAST_API_PORT": "28123", "HOLDFAST_CACHE_PORT": ""})
    assert ports.take("api", default=28124) == 28123
    assert ports.take("cache", default=28124) == 28124


def test_zero_in_the_environment_means_any_free_one(path: Path) -> None:
    environ = {"HOLDFAST_API_PORT": "0"}
    port = Ports(path, environ).take("api", default=8000)
    assert port >= 20_000
    assert Ports(path, environ).take("api", default=8000) == port


def test_a_wanted_port_that_is_taken_is_refused_with_the_variable_to_change(path: Path) -> None:
    with listening() as server:
        port = server.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port} is taken; choose another for api with HOLDFAST_API_PORT"):
            Ports(path, {}).take("api", default=port)


@pytest.mark.parametrize("text", ["http", "-1", "65536", "80.5", "٣"])
def test_what_is_no_port_is_refused_with_an_example(path: Path, text: str) -> None:
    with pytest.raises(StackError, match=r"HOLDFAST_API_PORT must be a port .* for example 8001; it is"):
        Ports(path, {"HOLDFAST_API_PORT": text}).take("api")
