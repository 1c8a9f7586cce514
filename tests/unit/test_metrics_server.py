"""The small server of programs that serve nothing else."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Iterator

import httpx
import pytest

from adapters.metrics import CannotServe, MetricsServer


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    server = MetricsServer("127.0.0.1", 0, lambda: b"things 3\n")
    yield server
    server.close()


def test_it_serves_what_it_is_given_as_prometheus_takes_it(server: MetricsServer) -> None:
    answer = httpx.get(f"http://127.0.0.1:{server.port}/metrics?x=1")
    assert (answer.status_code, answer.text) == (200, "things 3\n")
    assert answer.headers["content-type"].startswith("text/plain; version=")


def test_there_is_nothing_else(server: MetricsServer) -> None:
    assert httpx.get(f"http://127.0.0.1:{server.port}/").status_code == 404


def test_an_address_that_cannot_be_had_is_named_with_its_settings(server: MetricsServer) -> None:
    with pytest.raises(CannotServe, match=rf"127.0.0.1 port {server.port}: .*HOLDFAST_METRICS_PORT"):
        MetricsServer("127.0.0.1", server.port, bytes)


def test_a_child_of_the_process_does_not_keep_the_port() -> None:
    server = MetricsServer("127.0.0.1", 0, bytes)
    hears, tells = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # this process has threads, as a worker has
        child = os.fork()
    if not child:
        os.close(tells)
        os.read(hears, 1)
        os._exit(0)
    server.close()
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))
    finally:
        os.close(tells)
        os.close(hears)
        os.waitpid(child, 0)


def test_a_failing_scrape_does_not_end_it() -> None:
    answers: list[bytes] = []
    server = MetricsServer("127.0.0.1", 0, lambda: answers.pop())
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://127.0.0.1:{server.port}/metrics")
    answers.append(b"back 1\n")
    assert httpx.get(f"http://127.0.0.1:{server.port}/metrics").text == "back 1\n"
    server.close()
