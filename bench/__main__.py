"""Runs every benchmark in turn, or those that are named: `python -m bench [policies] [ledger] [write_path] …`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

NAMES = ("policies", "store", "mongo_store", "ledger", "write_path", "telemetry", "keys")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Runs every benchmark in turn, or those named."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    asked = parser.parse_args().names or NAMES
    if unknown := [name for name in asked if name not in NAMES]:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    for name in asked:
        print(f"\n## {name}\n", flush=True)
        subprocess.run([sys.executable, "-m", f"bench.{name}"], check=True, cwd=Path(__file__).parent.parent)


if __name__ == "__main__":
    main()
