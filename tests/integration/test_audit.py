"""`make audit`: it fails on what it finds, and says what it could not look for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def audit() -> ModuleType:
    """The script, without its being run."""
    spec = spec_from_loader("audit", SourceFileLoader("audit", str(ROOT / ".ci/audit")))
    assert spec is not None
    assert spec.loader is not None
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


@contextmanager
def database_of_vulnerabilities(name: str) -> Iterator[tuple[str, list[str]]]:
    """One that speaks as OSV does, and knows of one in every version of this package: its URL and who was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            package = json.loads(self.rfile.read(int(self.headers["content-length"])))["package"]["name"]
            asked.append(package)
            body = json.dumps({"vulns": [vulnerability(name)]} if package == name else {}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def vulnerability(name: str) -> dict[str, Any]:
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]
    affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": ranges, "versions": []}]
    return {"id": "TEST-2026-1", "summary": "bad", "details": "bad", "affected": affected, "aliases": []}


def test_a_package_with_a_known_vulnerability_is_named_and_fails(
    audit: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with database_of_vulnerabilities("msgspec") as (url, asked):
        assert audit.vulnerabilities(tmp_path, ["--osv-url", url]) == 1
    assert "TEST-2026-1" in capsys.readouterr().out
    assert {"celery", "psycopg", "pytest", "uvicorn"} <= set(asked)
    assert "holdfast" not in asked


def test_packages_without_any_pass(audit: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with database_of_vulnerabilities("no-such-package") as (url, _):
        assert audit.vulnerabilities(tmp_path, ["--osv-url", url]) == 0
    assert "no known vulnerability" in capsys.readouterr().out


def test_without_a_network_it_says_so_and_does_not_fail(
    audit: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.vulnerabilities(tmp_path, ["--osv-url", "http://127.0.0.1:1/v1/query"]) == 0
    assert "NOT LOOKED FOR" in capsys.readouterr().out


def test_a_secret_that_nobody_has_looked_at_fails(
    audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    shutil.copy(ROOT / ".secrets.baseline", repository)
    (repository / "fine.py").write_text('name = "holdfast"\n')
    subprocess.run(["git", "init", "-q", "."], cwd=repository, check=True)
    subprocess.run(["git", "add", "."], cwd=repository, check=True)
    monkeypatch.setattr(audit, "ROOT", repository)
    assert audit.secrets(tmp_path) == 0
    bad = 'url = "postgresql://holdfast:Tr0ub4dor3@db/holdfast"'  # pragma: allowlist secret
    (repository / "bad.py").write_text(f"{bad}\n")
    subprocess.run(["git", "add", "."], cwd=repository, check=True)
    assert audit.secrets(tmp_path) == 1
    assert "bad.py:1" in capsys.readouterr().out
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    assert audit.secrets(tmp_path) == 0
    assert "NOT LOOKED FOR" in capsys.readouterr().out
