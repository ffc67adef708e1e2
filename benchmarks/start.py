"""Start and idle: ``paymux serve`` to its first answer, beside its PostgreSQL alone; and what idleness costs.

Always on the embedded server, for that is what starts. Memory of PostgreSQL is proportional: what its
processes share is counted once.
"""

import statistics
import time
from pathlib import Path

import httpx

from benchmarks import ground
from benchmarks.figures import Figure, say
from benchmarks.processes import cpu, memory, proportional, serving, tree
from paymux.storage.embedded import EmbeddedPostgres

RUNS = 5
# Of idleness with one installation that looks at its directory every ten seconds; after it has settled.
SETTLED, IDLE = 5.0, 10.0


def measure(*, quick: bool) -> list[Figure]:
    """Cold and warm starts, then memory and CPU at rest."""
    serve: dict[str, list[float]] = {"cold": [], "warm": []}
    postgres: dict[str, list[float]] = {"cold": [], "warm": []}
    runs = 1 if quick else RUNS
    for number in range(runs):
        with ground.folder() as home:
            for warmth in ("cold", "warm"):
                serve[warmth].append(_serve(home / "paymux"))
                postgres[warmth].append(_postgres(home / "postgres"))
        say(f"  start: {number + 1} of {runs} runs")
    return [
        Figure(
            what=f"start: {warmth}, to the first 200", value=statistics.median(serve[warmth]), unit="s",
            floor=statistics.median(postgres[warmth]), beside="PostgreSQL alone",
        )
        for warmth in ("cold", "warm")
    ] + _idle(IDLE / (10 if quick else 1))  # fmt: skip


def _serve(data_dir: Path) -> float:
    start = time.perf_counter()
    with serving(data_dir.with_suffix(".log"), "--data-dir", str(data_dir)) as served:
        httpx.get(f"{served.url}/_health", trust_env=False).raise_for_status()
        return time.perf_counter() - start


def _postgres(data_dir: Path) -> float:
    start = time.perf_counter()
    with EmbeddedPostgres(data_dir):
        return time.perf_counter() - start


def _idle(seconds: float) -> list[Figure]:
    with ground.folder() as home:
        files = home / "files"
        files.mkdir()
        with serving(home / "serve.log", "--data-dir", str(home / "data")) as served:
            with httpx.Client(base_url=served.url, trust_env=False) as client:
                client.post("/connectors/example", json={"directory": str(files)}).raise_for_status()
            time.sleep(SETTLED)
            ours = [served.pid]
            before = cpu(ours), cpu(tree(served.pid, "postgres"))
            time.sleep(seconds)
            servers = tree(served.pid, "postgres")
            after = cpu(ours), cpu(servers)
            figures = [
                Figure(what="idle: memory of paymux", value=memory(served.pid), unit="MB"),
                Figure(
                    what="idle: memory of PostgreSQL", value=proportional(servers), unit="MB",
                    note=f"{len(servers)} processes",
                ),
            ]  # fmt: skip
    for index, who in enumerate(("paymux", "PostgreSQL")):
        used = 100 * (after[index] - before[index]) / seconds
        figures.append(Figure(what=f"idle: CPU of {who}", value=used, unit="% of a core"))
    return figures
