"""What the stack must allow whoever breaks it."""

from __future__ import annotations

from pathlib import Path

from cli.stack.layout import Layout
from cli.stack.plan import plan


def test_one_program_can_be_given_its_own_way_to_a_server(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    layout.create()
    proxy = "redis://127.0.0.1:1/0"
    made = plan(layout, {"HOLDFAST_API_PORT": "0", "HOLDFAST_STACK_WORKER_LEDGER_URL": proxy})
    seen = {program.name: program.env["HOLDFAST_LEDGER_URL"] for program in (made.migrate, *made.programs)}
    assert seen.pop("worker") == proxy
    assert set(seen.values()) == {made.urls["ledger"]}
    assert not any(name.startswith("HOLDFAST_STACK_") for program in made.programs for name in program.env)
