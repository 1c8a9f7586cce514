"""The compose file, as far as it can be known without an engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from adapters.settings.variables import variables

ROOT = Path(__file__).parents[2]
TOOL = str(Path(sys.executable).with_name("docker-compose"))
OURS = ("api", "worker", "sweeper")
SECRETS = re.findall(r"^#(\w+_PASSWORD)=$", (ROOT / "deploy/compose/example.env").read_text(), re.MULTILINE)


def config(*arguments: str, profiles: str = "*", **environment: str) -> subprocess.CompletedProcess[str]:
    """What docker compose makes of the file; no .env is read."""
    own = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "COMPOSE_PROFILES": profiles}
    return subprocess.run(
        [TOOL, "-f", ROOT / "docker-compose.yml", "--env-file", os.devnull, "config", *arguments],
        env=own | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def passwords() -> dict[str, str]:
    return dict.fromkeys(SECRETS, "hush")


@cache
def services(**environment: str) -> dict[str, dict[str, Any]]:
    done = config("--format=json", **(passwords() | environment))
    assert not done.returncode, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)["services"]
    return found


def test_every_combination_of_profiles_is_valid() -> None:
    """What can be wrong is a service that needs one of another profile, and that shows with its own profile alone."""
    known = sorted({profile for service in services().values() for profile in service.get("profiles", ())})
    assert known == ["chaos", "keys", "loadtest", "mongo", "observability", "rabbitmq"]
    with ThreadPoolExecutor(4) as pool:
        done = list(
            pool.map(lambda chosen: config("-q", profiles=chosen, **passwords()), ["", *known, ",".join(known)])
        )
    assert [each.stderr for each in done if each.returncode] == []


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_that_is_not_set_is_named_with_what_to_do(name: str) -> None:
    done = config("-q", **{each: "" if each == name else "hush" for each in SECRETS})
    assert done.returncode
    assert f"required variable {name} is missing a value: run make env" in done.stderr


def test_every_variable_of_the_file_is_in_the_example() -> None:
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    example = set(re.findall(r"^#(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert used <= example


def test_every_image_is_pinned_to_one_version() -> None:
    ours = {service["image"] for service in services().values() if "build" in service}
    pinned = re.compile(r"[\w./-]+:v?\d+\.\d+(\.\d+)?(-\w+)?")
    assert [
        each["image"]
        for each in services().values()
        if each["image"] not in ours and not pinned.fullmatch(each["image"])
    ] == []


@pytest.mark.parametrize("service", OURS)
def test_a_setting_of_the_shell_reaches_every_process_of_ours(service: str) -> None:
    given = services(HOLDFAST_STORE_TIMEOUT="2.5", HOLDFAST_STORE="mongo")[service]["environment"]
    assert given["HOLDFAST_STORE_TIMEOUT"] == "2.5"
    assert given["HOLDFAST_STORE"] == "mongo"
    assert "HOLDFAST_CACHE_TIMEOUT" not in given


@pytest.mark.parametrize("service", OURS)
def test_one_setting_leads_everything_through_toxiproxy(service: str) -> None:
    proxies = json.loads((ROOT / "deploy/toxiproxy/proxies.json").read_text())
    ports = {each["name"]: each["listen"].rpartition(":")[2] for each in proxies}
    given = services(DEPENDENCIES_VIA="toxiproxy")[service]["environment"]
    for name in ("postgres", "mongo", "ledger", "cache", "broker"):
        assert f"toxiproxy:{ports[name]}" in given[f"HOLDFAST_{name.upper()}_URL"]


def test_each_proxy_leads_to_a_service_of_the_file() -> None:
    proxies = json.loads((ROOT / "deploy/toxiproxy/proxies.json").read_text())
    assert {each["upstream"].partition(":")[0] for each in proxies} <= set(services())


def test_nobody_has_more_rights_than_needed() -> None:
    for name, service in services().items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"]), name
        assert service["logging"]["options"]["max-size"], name
    writable = [name for name, service in services().items() if not service.get("read_only")]
    assert writable == ["rabbitmq"]


def test_only_this_machine_reaches_what_is_published() -> None:
    published = {port["host_ip"] for service in services().values() for port in service.get("ports", ())}
    assert published == {"127.0.0.1"}


@pytest.mark.parametrize("service", OURS)
def test_a_process_has_more_time_to_end_than_it_takes(service: str) -> None:
    grace = float(variables()["HOLDFAST_SHUTDOWN_GRACE"].default)
    seconds = float(services()[service]["stop_grace_period"].removesuffix("s"))
    assert seconds >= grace + 15


def test_an_env_file_is_made_with_passwords_of_its_own_and_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "deploy/compose").mkdir(parents=True)
    script = shutil.copy(ROOT / "deploy/compose/make-env", tmp_path / "deploy/compose")
    shutil.copy(ROOT / ".env.example", tmp_path)
    subprocess.run([script], check=True, capture_output=True)
    written = (tmp_path / ".env").read_text()
    values = re.findall(r"^(\w+_PASSWORD)=([0-9a-f]{48})$", written, re.MULTILINE)
    assert sorted(name for name, _ in values) == sorted(SECRETS)
    assert len({value for _, value in values}) == len(SECRETS)
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    subprocess.run([script], check=True, capture_output=True)
    assert (tmp_path / ".env").read_text() == written
