"""`holdfast stack up`: one supervisor from its first process to its last."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shlex
import signal
import sys
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

from cli.errors import StackError

from . import control, members
from .layout import Layout
from .output import Output
from .plan import plan
from .supervisor import Supervisor

_GREETING = """
Holdfast is ready.

  API     {api}     (its description: {api}/docs)
  data    {directory}     (kept; `make clean` removes it)
  stop    Ctrl-C

Try it:

  curl -i -X PUT {api}/v1/records/notes/1 -H 'content-type: application/json' -d '{{"text": "hello"}}'
  curl -i {api}/v1/records/notes/1
  curl -s {api}/health

Then, from another terminal, take the database away, try the first two again, and bring it back:

  {program} stack kill {store}{elsewhere}
  {program} stack start {store}{elsewhere}
"""


def up(layout: Layout, environ: Mapping[str, str], *, logs: bool) -> None:
    """Run a stack until it is asked to end; raises StackError when it does not come up."""
    layout.create()
    with _alone(layout):
        asyncio.run(_run(layout, environ, logs=logs))


@contextlib.contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Hold the directory's lock, which goes with this process, however that ends."""
    with (layout.run / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise StackError(f"a stack runs in {layout.root} already (pid {lock.read().strip()})") from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


async def _run(layout: Layout, environ: Mapping[str, str], *, logs: bool) -> None:
    output = Output(layout.log)
    stop = _Stop()
    try:
        await _end_leftovers(layout, output)
        supervisor = Supervisor(plan(layout, environ), layout, output)
        server = await control.serve(layout.run, lambda request: _obey(supervisor, request))
        try:
            if await stop.unless(supervisor.start()):
                _greet(output, supervisor, layout)
                output.shows_logs = logs
                await stop.wait()
        finally:
            server.close()
            await _end(supervisor, output, stop)
    finally:
        await output.close()


async def _end_leftovers(layout: Layout, output: Output) -> None:
    """End what a supervisor that was killed has left behind."""
    layout.state.unlink(missing_ok=True)
    for token in layout.run.glob("*.members"):
        if count := await members.end(token):
            output.event(token.stem, f"ended {count} left over by an earlier run")


async def _end(supervisor: Supervisor, output: Output, stop: _Stop) -> None:
    output.shows_logs = False
    output.note("ending (once more: at once)")
    stop.forget()
    if not await stop.unless(supervisor.stop()):
        await supervisor.kill()
    output.note("ended")


async def _obey(supervisor: Supervisor, request: dict[str, Any]) -> dict[str, Any]:
    """Answer with all rows of `ps`, or do the command and answer with the row of its process."""
    if request["command"] == "ps":
        return {"pid": os.getpid(), "ready": supervisor.complete, "processes": supervisor.status()}
    process = supervisor.find(request["name"])
    commands = {
        "start": process.start,
        "stop": process.stop,
        "kill": process.kill,
        "freeze": process.freeze,
        "thaw": process.thaw,
    }
    await commands[request["command"]]()
    return {"process": {"name": request["name"], "pid": process.pid, "state": process.state}}


def _greet(output: Output, supervisor: Supervisor, layout: Layout) -> None:
    api = supervisor.url("api")
    elsewhere = "" if layout.root == Path("var").resolve() else f" --dir {shlex.quote(str(layout.root))}"
    program = shlex.quote(sys.argv[0]) if Path(sys.argv[0]).name == "holdfast" else "python -m cli"
    output.note(
        _GREETING.format(api=api, directory=layout.root, store=supervisor.store, program=program, elsewhere=elsewhere)
    )


class _Stop:
    """The wish to end: Ctrl-C, TERM, or the terminal closed. Made inside the running loop."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)  # nohup ignores it
        for sig in (signal.SIGINT, signal.SIGTERM, *hangup):
            asyncio.get_running_loop().add_signal_handler(sig, self._asked.set)

    async def wait(self) -> None:
        await self._asked.wait()

    def forget(self) -> None:
        """Wait for a new wish."""
        self._asked.clear()

    async def unless(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do the work; drop it and say False when asked to end before it is done."""
        doing, asked = asyncio.create_task(work), asyncio.create_task(self._asked.wait())
        await asyncio.wait([doing, asked], return_when=asyncio.FIRST_COMPLETED)
        for task in (doing, asked):
            task.cancel()
        await asyncio.wait([doing, asked])
        return not doing.cancelled() and doing.result() is None
