"""How a command reaches the supervisor."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from cli.errors import StackError
from cli.stack import control


async def echo(request: dict[str, Any]) -> dict[str, Any]:
    if request.get("name") == "nobody":
        raise StackError("there is no 'nobody'")
    return {"got": request}


async def asked(directory: Path, request: dict[str, Any]) -> dict[str, Any]:
    return await asyncio.to_thread(control.ask, directory, request)


async def test_a_question_gets_its_answer(tmp_path: Path) -> None:
    async with await control.serve(tmp_path, echo):
        assert await asked(tmp_path, {"command": "ps"}) == {"got": {"command": "ps"}}


async def test_a_refusal_is_raised_in_the_words_of_the_supervisor(tmp_path: Path) -> None:
    async with await control.serve(tmp_path, echo):
        with pytest.raises(StackError, match="there is no 'nobody'"):
            await asked(tmp_path, {"command": "stop", "name": "nobody"})


async def test_the_directory_may_have_a_longer_path_than_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    before = Path.cwd()
    async with await control.serve(deep, echo):
        assert await asked(deep, {"command": "ps"}) == {"got": {"command": "ps"}}
    assert Path.cwd() == before


async def test_a_socket_left_by_a_killed_supervisor_is_in_nobodys_way(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "control.sock"))
    with pytest.raises(StackError, match="no stack runs"):
        control.ask(tmp_path, {"command": "ps"})
    async with await control.serve(tmp_path, echo):
        assert "got" in await asked(tmp_path, {"command": "ps"})


def test_without_a_stack_the_command_to_start_one_is_named(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "none"):
        with pytest.raises(StackError, match=r"no stack runs in .*; start one with `holdfast stack up`"):
            control.ask(directory, {"command": "ps"})


async def test_one_who_leaves_without_waiting_harms_nobody(tmp_path: Path) -> None:
    going_on = asyncio.Event()

    async def slow(request: dict[str, Any]) -> dict[str, Any]:
        await going_on.wait()
        return await echo(request)

    async with await control.serve(tmp_path, slow):
        _, writer = await asyncio.open_unix_connection(str(tmp_path / "control.sock"))
        writer.write(json.dumps({"command": "ps"}).encode() + b"\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        going_on.set()
        assert "got" in await asked(tmp_path, {"command": "ps"})


async def test_asking_from_many_threads_leaves_the_working_directory_alone(tmp_path: Path) -> None:
    before = Path.cwd()
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    deep.mkdir(parents=True)
    async with await control.serve(tmp_path, echo), await control.serve(deep, echo):
        questions = [asked(directory, {"command": "ps"}) for directory in (tmp_path, deep) for _ in range(100)]
        answers = await asyncio.gather(*questions)
    assert len(answers) == 200
    assert Path.cwd() == before
