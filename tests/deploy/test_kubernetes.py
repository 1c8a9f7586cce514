"""The Kubernetes manifests: rendered as kubectl would, held to the schemas of the API, and true to the program."""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from adapters.settings.variables import variables
from tests.support.processes import missing

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import kubernetes_validate  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kubernetes"
OURS = {"holdfast-api": "api", "holdfast-worker": "worker", "holdfast-sweeper": "worker.sweeper"}

Manifest = dict[str, Any]


@cache
def rendered(name: str) -> list[Manifest]:
    """All manifests of a kustomization."""
    command = (
        [shutil.which("kustomize"), "build"] if shutil.which("kustomize") else [shutil.which("kubectl"), "kustomize"]
    )
    if command[0] is None:
        missing("kustomize (make tools) or kubectl")
    done = subprocess.run(
        [str(part) for part in [*command, FOLDER / name]], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def every(kind: str, name: str = "example") -> dict[str, Manifest]:
    return {each["metadata"]["name"]: each for each in rendered(name) if each["kind"] == kind}


def container(name: str) -> Manifest:
    [found] = every("Deployment")[name]["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", ["base", "example", "migrate"])
def test_all_manifests_are_as_the_api_of_kubernetes_wants_them(name: str) -> None:
    known = [each for each in rendered(name) if each["kind"] != "ScaledObject"]
    assert known
    for manifest in known:
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_the_scaled_object_is_as_keda_wants_it() -> None:
    definition = yaml.safe_load((Path(__file__).with_name("keda.sh_scaledobjects.yaml")).read_text())
    [version] = [each for each in definition["spec"]["versions"] if each["name"] == "v1alpha1"]
    [scaled] = every("ScaledObject").values()
    jsonschema.Draft202012Validator(_strict(version["schema"]["openAPIV3Schema"])).validate(scaled)


def _strict(schema: Any) -> Any:
    """The same, where fields that are not named are errors."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _strict(value) for key, value in schema.items()}
    return (
        {**inner, "additionalProperties": False} if inner.get("properties") and inner.get("type") == "object" else inner
    )


def test_it_grows_with_the_workers_and_by_a_metric_that_there_is() -> None:
    [scaled] = every("ScaledObject").values()
    target = scaled["spec"]["scaleTargetRef"]["name"]
    assert "replicas" not in every("Deployment")[target]["spec"]
    used = set(re.findall(r"holdfast_\w+", scaled["spec"]["triggers"][0]["metadata"]["query"]))
    told = (ROOT / "docs/reference/metrics.md").read_text()
    assert used == {name for name in used if f"`{name}`" in told}


@pytest.mark.parametrize(("name", "module"), OURS.items())
def test_each_process_is_confined_and_asks_for_what_it_needs(name: str, module: str) -> None:
    found = container(name)
    assert found["command"] == ["python", "-m", module]
    assert found["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} == set(found["resources"]["requests"])
    pod = every("Deployment")[name]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert pod["terminationGracePeriodSeconds"] >= float(variables()["HOLDFAST_SHUTDOWN_GRACE"].default) + 15


def test_the_api_is_asked_at_the_paths_that_say_so() -> None:
    found = container("holdfast-api")
    assert found["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert found["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize("name", ["holdfast-worker", "holdfast-sweeper"])
def test_worker_and_sweeper_are_ready_by_their_file(name: str) -> None:
    [settings] = every("ConfigMap").values()
    assert container(name)["readinessProbe"]["exec"]["command"] == [
        "test",
        "-f",
        settings["data"]["HOLDFAST_READY_FILE"],
    ]


@pytest.mark.parametrize("name", ["base", "example"])
def test_what_the_settings_set_is_a_setting(name: str) -> None:
    [settings] = every("ConfigMap", name).values()
    assert {each for each in settings["data"] if each.startswith("HOLDFAST_")} <= set(variables())


@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "Service"])
def test_what_selects_pods_finds_those_of_one_deployment(kind: str) -> None:
    pods = {name: each["spec"]["template"]["metadata"]["labels"] for name, each in every("Deployment").items()}
    assert every(kind)
    for name, each in every(kind).items():
        selector = each["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        assert [pod for pod, labels in pods.items() if wanted.items() <= labels.items()] == [name]


def test_every_process_of_ours_has_a_budget_for_disruptions() -> None:
    assert set(every("PodDisruptionBudget")) == set(OURS)


def test_the_network_lets_in_nobody_but_clients_and_those_who_scrape() -> None:
    policies = every("NetworkPolicy", "base")
    labels = every("Deployment", "base")["holdfast-worker"]["spec"]["template"]["metadata"]["labels"]
    applying = [
        each["spec"]
        for each in policies.values()
        if each["spec"]["podSelector"].get("matchLabels", {}).items() <= labels.items()
    ]
    [policy] = applying
    assert policy["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "holdfast"
    assert {"Ingress", "Egress"} == set(policy["policyTypes"])
    assert [port["port"] for rule in policy["ingress"] for port in rule["ports"]] == [9464]
