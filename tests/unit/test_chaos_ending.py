"""The end of a run leaves nothing open that the checker must know."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

from chaos.ending import conclude
from chaos.history import History
from chaos.workload import Load, Workload
from tests.support.streams import listening

_POLLS = 5


class SlowApi:
    """Holds every write, and settles it when it has been asked for a few times. cancelled: jobs, by request."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []
        self._asked = Counter[str]()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            method, path, *_ = head.split()
            lengths = [line.split()[1] for line in head.lower().splitlines() if line.startswith("content-length")]
            await reader.readexactly(int(*lengths))
            status, told = self._answer(method, path)
            body = json.dumps(told).encode()
            writer.write(f"HTTP/1.1 {status} OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        writer.close()

    def _answer(self, method: str, path: str) -> tuple[int, object]:
        name = path.rpartition("/")[2]
        if method == "PUT":
            return 202, _job(name, "queued")
        if not path.startswith("/v1/jobs/"):
            return 200, {"items": [], "next_cursor": None}
        self._asked[name] += 1
        if method == "DELETE":
            self.cancelled.append(name)
        return 200, _job(name, "succeeded" if self._asked[name] > _POLLS else "queued")


def _job(name: str, state: str) -> object:
    return {"id": name, "state": state, "resource": f"chaos/{name}", "attempts": 0}


async def _head(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return ""


async def test_the_last_replaces_are_never_cancelled(tmp_path: Path) -> None:
    """Nothing else shows the version that a delete has made."""
    api = SlowApi()
    with History(tmp_path / "history.jsonl") as history:
        async with listening(api.serve) as port:
            workload = Workload([f"http://127.0.0.1:{port}"], Load(resources=100), history)
            await conclude(workload, history, within=20.0)
    assert not workload.unsettled
    assert api.cancelled == []
