"""``python -m benchmarks [name …] [--quick]``: measure, then print one table."""

import argparse
import sys
import time

from benchmarks import api, events, files, idle, money, pages, start, tasks
from benchmarks.figures import Figure, machine, say, table

MEASUREMENTS = {
    "pages": pages.measure,
    "files": files.measure,
    "tasks": tasks.measure,
    "money": money.measure,
    "api": api.measure,
    "events": events.measure,
    "start": start.measure,
    "idle": idle.measure,
}


def main() -> None:
    """Run what was asked for, or everything. A missed target is shown and fails nothing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"of {', '.join(MEASUREMENTS)}; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the size: trust the ratios less")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(MEASUREMENTS):
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}")
    figures: list[Figure] = []
    for name in asked.names or MEASUREMENTS:
        say(f"{name} …")
        begun = time.monotonic()
        figures += MEASUREMENTS[name](quick=asked.quick)
        say(f"  {name}: took {time.monotonic() - begun:.0f} s")
    print(f"{machine()}{', quick' if asked.quick else ''}\n\n{table(figures)}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
