"""Predict servers that nobody here wrote, before they are measured at the loads predicted.

    python benchmarks/foreign/run.py [--server NAME] [--workload NAME] [--minutes M] [-o FOLDER]

For each workload: a server of its own, pinned to a core; runs of a few clients; `lhsim calibrate`
on their logs; predictions of more clients, written to a file whose SHA-256 is printed; then those
runs, twice each; the score. It says of each figure whether it lies inside its 90 % interval, and of
each interval how wide it is beside the two live runs. What cannot be started is skipped, with the
reason.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from attrs import frozen
from servers import Server, UnavailableError, running
from workloads import WORKLOADS, Workload

HERE = Path(__file__).parent
CLIENTS_CORE = 1
LEAD = 0.15  # of a run, that does not count
SHORTEST, LONGEST = 5.0, 60.0  # of a run [s]
REPEATS = 2  # of a load that is predicted
FIGURES = (
    "messages_per_second",
    "p50_latency_ms",
    "p95_latency_ms",
    "p99_latency_ms",
    "utilization",
)


@frozen
class Measured:
    """The figures of a live run, by their names in the results of lhsim."""

    log: Path
    seconds: float
    cpu_seconds: float
    figures: Mapping[str, float]


def main() -> None:
    """Run what the command line asks for."""
    asked = _arguments()
    chosen = [
        one
        for one in WORKLOADS
        if asked.server in (None, one.server) and asked.workload in (None, one.name)
    ]
    runs = sum(len(one.calibrated) + REPEATS * len(one.held_out) for one in chosen)
    seconds = min(LONGEST, max(SHORTEST, 60 * asked.minutes / max(runs, 1) - 1.5))
    scores: list[dict[str, Any]] = []
    for one in chosen:
        folder = asked.output / f"{one.server}-{one.name}"
        try:
            scores += judge(one, folder, seconds)
        except UnavailableError as why:
            print(f"{one.name}: skipped: {why}", flush=True)
        except subprocess.CalledProcessError as failed:
            print(f"{one.name}: no prediction: {(failed.stderr or '').strip()[-300:]}", flush=True)
    (asked.output / "scores.json").write_text(json.dumps(scores, indent=1, default=float))
    summarise(scores)


def judge(workload: Workload, folder: Path, seconds: float) -> list[dict[str, Any]]:
    """Return the scores of a workload: a row for each figure of each load predicted."""
    with running(workload.server, folder / "server") as server:
        calibrated = [measure(workload, server, n, seconds, folder / f"c{n}.csv")
                      for n in workload.calibrated]  # fmt: skip
        predicted = predict(workload, folder, calibrated)
        rows = []
        for clients in workload.held_out:
            live = [measure(workload, server, clients, seconds, folder / f"h{clients}-{k}.csv")
                    for k in range(REPEATS)]  # fmt: skip
            rows += list(score(workload, clients, predicted[clients], live))
        return rows


def measure(
    workload: Workload, server: Server, clients: int, seconds: float, log: Path
) -> Measured:
    """Run clients against a server."""
    command = ["taskset", "-c", str(CLIENTS_CORE), sys.executable, str(HERE / "clients.py"),
               workload.protocol, str(server.port), workload.request, str(clients), str(seconds),
               workload.think, str(log)]  # fmt: skip
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as clients_process:
        assert clients_process.stdout is not None
        clients_process.stdout.readline()  # ready
        before = server.cpu_seconds()
        clients_process.stdout.readline()  # done
        taken = sum(now - before.get(one, 0.0) for one, now in server.cpu_seconds().items())
    if clients_process.returncode:
        raise UnavailableError(f"the clients ended with {clients_process.returncode}")
    return Measured(log, seconds, taken, figures(log, taken))


def figures(log: Path, cpu_seconds: float) -> dict[str, float]:
    """Return what a log says, its lead left out."""
    rows = pd.read_csv(log)
    span = rows["end_s"].max()
    counted = rows[rows["start_s"] >= LEAD * span]
    latency = (counted["end_s"] - counted["start_s"]).to_numpy() * 1e3
    p50, p95, p99 = np.quantile(latency, [0.5, 0.95, 0.99])
    rate = len(counted) / ((1 - LEAD) * span)
    return dict(zip(FIGURES, (rate, p50, p95, p99, cpu_seconds / span), strict=True))


def predict(
    workload: Workload, folder: Path, calibrated: Sequence[Measured]
) -> dict[int, Mapping[str, Any]]:
    """Return the predictions of the loads that are held out, which are on disk by then."""
    sheet = folder / "runs.toml"
    sheet.write_text("\n".join(map(_entry, calibrated)))
    model, levels = folder / "model.toml", ",".join(map(str, workload.held_out))
    _lhsim("calibrate", str(sheet), "-o", str(model), "--name", workload.name)
    text = _lhsim("scaling", "--system", str(model), "--agents", levels, "--format", "json",
                  "--output-dir", str(folder / "predicted"))  # fmt: skip
    (folder / "predictions.json").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    print(f"{workload.name}: predictions.json of {time.strftime('%H:%M:%S')}, SHA-256 {digest}",
          flush=True)  # fmt: skip
    return {row["agents"]: row for row in json.loads(text)}


def _entry(run: Measured) -> str:
    """Return what a run sheet says of a run."""
    return f'[[run]]\nlog = "{run.log.name}"\ncpu_seconds = {run.cpu_seconds:.3f}\ncores = 1\n'


def _lhsim(*arguments: str) -> str:
    command = [sys.executable, "-m", "lhsim.experiments", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def score(
    workload: Workload, clients: int, predicted: Mapping[str, Any], live: Sequence[Measured]
) -> Iterator[dict[str, Any]]:
    """Yield a row for each figure that was predicted, and print it."""
    for name in FIGURES:
        low, high = predicted.get("prediction90", {}).get(name, (math.nan, math.nan))
        values = [run.figures[name] for run in live]
        print(f"{workload.name:<10}{clients:>8}  {name:<22}{_listed(values)}  "
              f"{predicted[name]:>9.4g}{low:>10.4g}{high:>10.4g}", flush=True)  # fmt: skip
        yield {
            "workload": workload.name, "clients": clients, "figure": name, "live": values,
            "predicted": predicted[name], "low": low, "high": high,
            "inside": sum(bool(low <= value <= high) for value in values),
            "width": _width(low, high, values),
            "error": predicted[name] / np.mean(values) - 1,
        }  # fmt: skip


def _listed(values: Sequence[float]) -> str:
    return "".join(f"{value:>9.4g}" for value in values)


def _width(low: float, high: float, live: Sequence[float]) -> float:
    """Return the width of an interval as a logarithm, by that of the live runs."""
    spread = math.log(max(live) / min(live)) if min(live) > 0 else math.nan
    return math.log(high / low) / max(spread, 0.01) if low > 0 else math.nan


def summarise(scores: Sequence[Mapping[str, Any]]) -> None:
    """Print how good the predictions were."""
    if not scores:
        return
    table = pd.DataFrame(scores)
    inside = table["inside"].sum() / (REPEATS * len(table))
    print(f"\n{inside:.0%} of {REPEATS * len(table)} live figures inside their 90 % intervals; "
          f"median width {table['width'].median():.1f} x the live spread")  # fmt: skip
    for name, rows in table.groupby("figure", sort=False):
        print(f"  {name:<22} inside {rows['inside'].sum() / (REPEATS * len(rows)):>4.0%}, "
              f"median error {rows['error'].abs().median():.1%}")  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--server", choices=sorted({one.server for one in WORKLOADS}))
    parser.add_argument("--workload", choices=[one.name for one in WORKLOADS])
    parser.add_argument("--minutes", type=float, default=10.0, help="for all runs together")
    parser.add_argument("-o", "--output", type=Path, default=Path("foreign"))
    asked = parser.parse_args()
    asked.output = asked.output.resolve()
    asked.output.mkdir(parents=True, exist_ok=True)
    return asked


if __name__ == "__main__":
    main()
