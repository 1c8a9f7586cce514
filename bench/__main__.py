"""Runs every benchmark in turn, or those that are named: `python -m bench [policies] [ledger] [write_path] …`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = ("policies", "store", "mongo_store", "ledger", "write_path", "telemetry", "keys")


def main() -> None:
    asked = sys.argv[1:] or NAMES
    unknown = [name for name in asked if name not in NAMES]
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    for name in asked:
        print(f"\n## {name}\n", flush=True)
        subprocess.run([sys.executable, "-m", f"bench.{name}"], check=True, cwd=Path(__file__).parent.parent)


if __name__ == "__main__":
    main()
