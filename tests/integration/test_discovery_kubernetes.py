"""Discovery by Kubernetes' EndpointSlices, against a server that speaks its list and watch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.discovery_kubernetes import Cluster, KubernetesService, kubernetes
from holdfast.backoff import constant
from holdfast.errors import Unavailable
from holdfast.failover import AuthFailed, Discovery, EndpointPool, HealthStatus, Invalid, Throttled
from holdfast.ratelimit import Rate
from holdfast.testing.clock import FakeClock
from tests.support.asgi import serving
from tests.support.certificates import self_signed
from tests.support.kubernetes import LABEL, Kubernetes, endpoint, endpoint_slice
from tests.support.polling import until

FAST = Rate(1000, burst=100)
NOWHERE = Path("/nonexistent")


class Stage:
    """A pool that follows the Service `web` of a local cluster."""

    def __init__(self, port: int) -> None:
        self.server = Kubernetes()
        self.port = port
        self.pool = EndpointPool("web")
        self.events: list[str] = []

    def service(self, account: Path = NOWHERE, **options: Any) -> KubernetesService:
        cluster = Cluster(f"http://127.0.0.1:{self.port}", account)
        defaults: dict[str, Any] = {"namespace": "shop", "cluster": cluster, "rate": FAST}
        return KubernetesService("web", **(defaults | options))

    def discovery(self, **options: Any) -> Discovery:
        source = kubernetes(self.service(**options))
        return Discovery(
            self.pool, source, backoff=constant(0.02), listener=lambda event: self.events.append(event.name)
        )

    def ids(self) -> list[str]:
        return [each.id for each in self.pool.list()]

    async def read(self, **options: Any) -> list[str]:
        """The ids of the first snapshot."""
        source = kubernetes(self.service(**options))()
        snapshot = await anext(source)
        await source.aclose()
        return [each.id for each in snapshot]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage(0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await stage.server(scope, receive, send)

    async with serving(app) as port:
        stage.port = port
        yield stage


async def test_endpoints_come_with_address_readiness_and_place(stage: Stage) -> None:
    reference = {"kind": "Pod", "name": "web-1"}
    ending = {"ready": False, "serving": True, "terminating": True}
    ended = {"ready": False, "serving": False, "terminating": True}
    stage.server.put(
        endpoint_slice(
            "web-a",
            endpoint("10.0.0.1", zone="z1", nodeName="n1", targetRef=reference, hostname="h1"),
            endpoint("10.0.0.2", conditions={"ready": False}),
            endpoint("10.0.0.3", conditions=ending),
            endpoint("10.0.0.4", conditions=ended),
            endpoint("10.0.0.5", conditions={}),
        )
    )
    async with stage.discovery() as discovery:
        await discovery.ready()
        first = stage.pool.get("10.0.0.1:8080")
        statuses = [stage.pool.status(f"10.0.0.{n}:8080") for n in range(1, 6)]
    assert (first.url, first.metadata) == (
        "http://10.0.0.1:8080",
        {"zone": "z1", "node": "n1", "pod": "web-1", "hostname": "h1"},
    )
    healthy, degraded, unhealthy = HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.UNHEALTHY
    assert statuses == [healthy, unhealthy, degraded, unhealthy, healthy]
    assert stage.server.path == "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
    assert stage.server.lists == [{"labelSelector": f"{LABEL}=web", "limit": "500"}]


async def test_changes_are_told_by_the_watch_and_nothing_is_listed_again(stage: Stage) -> None:
    stage.server.put(endpoint_slice("web-a", endpoint("10.0.0.1")))
    async with stage.discovery():
        await until(lambda: stage.ids() == ["10.0.0.1:8080"])
        stage.server.put(endpoint_slice("web-b", endpoint("10.0.0.2")))
        await until(lambda: stage.ids() == ["10.0.0.1:8080", "10.0.0.2:8080"])
        stage.server.put(endpoint_slice("web-b", endpoint("10.0.0.3")))
        await until(lambda: stage.ids() == ["10.0.0.1:8080", "10.0.0.3:8080"])
        stage.server.delete("web-a")
        await until(lambda: stage.ids() == ["10.0.0.3:8080"])
    assert (len(stage.server.lists), len(stage.server.watches)) == (1, 1)
    wanted = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": "240", "resourceVersion": "101"}
    assert stage.server.watches[0] == {"labelSelector": f"{LABEL}=web"} | wanted


async def test_a_watch_that_ends_goes_on_where_it_was(stage: Stage) -> None:
    stage.server.put(endpoint_slice("web-a", endpoint("10.0.0.1")))
    async with stage.discovery():
        await until(lambda: stage.server.watching)
        stage.server.put(endpoint_slice("web-b", endpoint("10.0.0.2")))
        await until(lambda: len(stage.ids()) == 2)
        stage.server.end_watches()
        await until(lambda: len(stage.server.watches) == 2)
        stage.server.delete("web-a")
        await until(lambda: stage.ids() == ["10.0.0.2:8080"])
    assert stage.server.watches[1]["resourceVersion"] == "102"
    assert len(stage.server.lists) == 1


async def test_a_bookmark_moves_on_the_version_to_go_on_from(stage: Stage) -> None:
    stage.server.put(endpoint_slice("web-a", endpoint("10.0.0.1")))
    async with stage.discovery():
        await until(lambda: stage.server.watching)
        stage.server.bookmark()
        stage.server.forget()
        stage.server.end_watches()
        await until(lambda: len(stage.server.watches) == 2)
        stage.server.put(endpoint_slice("web-b", endpoint("10.0.0.2")))
        await until(lambda: len(stage.ids()) == 2)
    assert stage.server.watches[1]["resourceVersion"] == "152"
    assert len(stage.server.lists) == 1


@pytest.mark.parametrize("how", ["status", "event"])
async def test_when_the_version_is_gone_all_is_listed_again(stage: Stage, how: str) -> None:
    stage.server.put(endpoint_slice("web-a", endpoint("10.0.0.1")))
    async with stage.discovery():
        await until(lambda: stage.server.watching)
        if how == "event":
            stage.server.fail(410)
        else:
            stage.server.end_watches()
            stage.server.slices.clear()
            stage.server.slices["web-z"] = endpoint_slice("web-z", endpoint("10.0.0.9"))
            stage.server.version += 1
            stage.server.forget()
            await until(lambda: stage.ids() == ["10.0.0.9:8080"])
        await until(lambda: len(stage.server.lists) == 2)
        await until(lambda: stage.server.watching)
    assert "discovery.failed" not in stage.events
    assert int(stage.server.watches[-1]["resourceVersion"]) == stage.server.version


async def test_a_watch_that_fails_is_an_outage_and_what_is_known_stays(stage: Stage) -> None:
    stage.server.put(endpoint_slice("web-a", endpoint("10.0.0.1")))
    async with stage.discovery():
        await until(lambda: stage.server.watching)
        stage.server.fail(500)
        await until(lambda: "discovery.recovered" in stage.events)
        assert stage.ids() == ["10.0.0.1:8080"]
    assert stage.events[:2] == ["discovery.updated", "discovery.failed"]


async def test_a_long_list_comes_in_pages(stage: Stage) -> None:
    stage.server.page = 2
    for number in range(5):
        stage.server.put(endpoint_slice(f"web-{number}", endpoint(f"10.0.0.{number}")))
    assert await stage.read() == [f"10.0.0.{number}:8080" for number in range(5)]
    assert [request.get("continue") for request in stage.server.lists] == [None, "2", "4"]


async def test_an_endpoint_in_two_slices_is_there_once_and_at_its_best(stage: Stage) -> None:
    stage.server.put(endpoint_slice("web-a", endpoint("10.0.0.1", conditions={"ready": False})))
    stage.server.put(endpoint_slice("web-b", endpoint("10.0.0.1"), endpoint("10.0.0.2")))
    stage.server.put(endpoint_slice("web-c", endpoint("10.0.0.2", conditions={"ready": False})))
    async with stage.discovery() as discovery:
        await discovery.ready()
        assert stage.ids() == ["10.0.0.1:8080", "10.0.0.2:8080"]
        assert {stage.pool.status(name) for name in stage.ids()} == {HealthStatus.HEALTHY}


async def test_the_port_is_chosen_by_name_or_number_and_a_slice_without_it_is_left_out(stage: Stage) -> None:
    ports = [{"name": "http", "port": 8080}, {"name": "metrics", "port": 9090}]
    stage.server.put(endpoint_slice("web-a", endpoint("10.0.0.1"), ports=ports))
    stage.server.put(endpoint_slice("web-b", endpoint("10.0.0.2"), ports=None))
    assert await stage.read() == ["10.0.0.1:8080"]
    assert await stage.read(port="metrics") == ["10.0.0.1:9090"]
    assert await stage.read(port="grpc") == []
    assert await stage.read(port=1234) == ["10.0.0.1:1234", "10.0.0.2:1234"]


async def test_of_two_families_one_may_be_chosen(stage: Stage) -> None:
    stage.server.put(endpoint_slice("web-a", endpoint("10.0.0.1")))
    stage.server.put(endpoint_slice("web-b", endpoint("fd00::1"), addressType="IPv6"))
    assert await stage.read() == ["10.0.0.1:8080", "[fd00::1]:8080"]
    assert await stage.read(family="IPv6") == ["[fd00::1]:8080"]


async def test_an_endpoint_that_makes_no_sense_is_left_out(stage: Stage) -> None:
    stage.server.put(endpoint_slice("web-a", {"addresses": []}, {}, endpoint("10.0.0.1"), endpoint("a b")))
    stage.server.put(endpoint_slice("web-b", endpoints=None))
    assert await stage.read() == ["10.0.0.1:8080"]


async def test_the_account_of_the_pod_is_used_and_a_new_token_at_once(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "namespace").write_text("shop\n")
    async with stage.discovery(account=tmp_path, namespace=""):
        await until(lambda: stage.server.watching)
        (tmp_path / "token").write_text("second\n")
        stage.server.end_watches()
        await until(lambda: len(stage.server.watches) == 2)
    assert stage.server.tokens == ["Bearer first", "Bearer first", "Bearer second"]
    assert stage.server.path == "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"


@pytest.mark.parametrize(
    ("code", "error"),
    [(401, AuthFailed), (403, AuthFailed), (404, Invalid), (429, Throttled), (500, Unavailable)],
)
async def test_refusals_are_typed(stage: Stage, code: int, error: type[Exception]) -> None:
    stage.server.fault = code
    with pytest.raises(error, match=str(code)):
        await stage.read()


async def test_watches_that_keep_ending_are_not_begun_without_end(stage: Stage) -> None:
    clock = FakeClock()
    source = kubernetes(stage.service(rate=Rate(1, period=5.0, burst=2)), clock=clock)
    async with Discovery(stage.pool, source):
        for watches in (1, 2):
            await until(partial(stage.server.watched, watches))
            stage.server.end_watches()
        await until(lambda: clock.waiting)
        assert len(stage.server.watches) == 2
        clock.advance(5.0)
        await until(lambda: len(stage.server.watches) == 3)


async def test_stopped_it_hangs_up(stage: Stage) -> None:
    async with stage.discovery():
        await until(lambda: stage.server.watching)
    await until(lambda: not stage.server.watching)


async def test_the_authority_of_the_cluster_is_believed_and_no_other(tmp_path: Path, stage: Stage) -> None:
    key, authority = self_signed(tmp_path)
    stage.server.put(endpoint_slice("web-a", endpoint("10.0.0.1")))
    async with serving(stage.server, ssl_keyfile=str(key), ssl_certfile=str(authority)) as port:
        trusting = Cluster(f"https://127.0.0.1:{port}", tmp_path)
        assert await stage.read(cluster=trusting) == ["10.0.0.1:8080"]
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await stage.read(cluster=Cluster(f"https://127.0.0.1:{port}", NOWHERE))


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [("10.96.0.1", "443", "https://10.96.0.1:443"), ("fd00::1", "6443", "https://[fd00::1]:6443")],
)
def test_in_a_pod_the_cluster_is_found(host: str, port: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    assert Cluster().address() == url


def test_outside_of_a_pod_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(Invalid, match="KUBERNETES_SERVICE_HOST is not set"):
        Cluster().address()
    with pytest.raises(Invalid, match="name the namespace"):
        Cluster("http://x", NOWHERE).namespace()


@pytest.mark.parametrize("wrong", [{"name": ""}, {"family": "IPv5"}, {"watch": 0.5}, {"watch": 3601}])
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        KubernetesService(**({"name": "web"} | wrong))
