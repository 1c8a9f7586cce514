"""An API that acknowledges every write and, where LIE is set, loses some, does some twice and never settles some."""

from __future__ import annotations

import os
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse


class Records:
    """Of four records, if they lie, one has its first write held for ever, one loses all and one has all done twice."""

    def __init__(self, *, lie: bool) -> None:
        self._lie = lie
        self._turns: dict[str, int] = {}
        self._records: dict[str, dict[str, Any]] = {}

    def write(self, id_: str, data: dict[str, Any]) -> JSONResponse:
        new = id_ not in self._turns
        turn = self._turns.setdefault(id_, len(self._turns) % 4 if self._lie else 3)
        version = self._records.get(id_, {"version": 0})["version"] + 1
        if turn == 0 and new:
            return JSONResponse({"id": str(uuid4()), "resource": f"load/{id_}"}, 202)
        if turn != 1:
            self._records[id_] = {"id": id_, "version": version + (turn == 2), "data": data}
        return JSONResponse({"id": id_, "version": version, "data": data}, 201 if version == 1 else 200)

    def merge(self, id_: str, data: dict[str, Any]) -> JSONResponse:
        return self.write(id_, {**self._records.get(id_, {"data": {}})["data"], **data})

    def delete(self, id_: str) -> JSONResponse:
        self._records.pop(id_, None)
        return JSONResponse({})

    def read(self, id_: str) -> JSONResponse:
        found = self._records.get(id_)
        return JSONResponse(found or {}, 200 if found else 404)


def app() -> FastAPI:
    records = Records(lie=bool(os.environ.get("LIE")))
    api = FastAPI()

    async def answer(request: Request) -> JSONResponse:
        id_ = request.path_params.get("id", uuid4().hex)
        match request.method:
            case "GET":
                return records.read(id_)
            case "DELETE":
                return records.delete(id_)
            case "PATCH":
                return records.merge(id_, await request.json())
        return records.write(id_, await request.json())

    async def job(request: Request) -> JSONResponse:
        return JSONResponse({"id": request.path_params["id"], "state": "queued", "settled_at": None})

    api.add_route("/livez", alive)
    api.add_route("/v1/records/{collection}", answer, ["POST"])
    api.add_route("/v1/records/{collection}/{id}", answer, ["GET", "PUT", "PATCH", "DELETE"])
    api.add_route("/v1/jobs/{id}", job)
    return api


async def alive(_: Request) -> JSONResponse:
    return JSONResponse({})
