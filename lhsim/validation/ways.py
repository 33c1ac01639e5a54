"""Other ways to deliver, each a change of the ordinary bridge whose model predicts it.

Nothing is calibrated on them. What a way needs beyond the costs of the ordinary bridge are
settings, of the server or of what agents do, and they are the same live and simulated.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen

from lhsim._files import replace
from lhsim.analysis.measures import live_unit
from lhsim.crosscheck.figures import simulated
from lhsim.crosscheck.metrics import QUANTILES, RATES
from lhsim.distributions import Exponential, Lognormal
from lhsim.live.driver import Load
from lhsim.models import System, Webhook, Workload
from lhsim.models.workload import Topology
from lhsim.recording import Manifest, Modelled

RUNS = 10  # simulated, for a prediction
IN_FLIGHT = 100  # posts of a bridge at a time, as by default
PREDICTIONS = "predictions.json"
ENDS = (0.05, 0.95)  # of its interval


@frozen
class Way:
    """How messages are delivered, by which bridge and to which agents."""

    architecture: Modelled  # whose bridge it changes
    options: tuple[str, ...]  # of ``lhsim serve``
    settings: dict[str, float]  # what that bridge says of them
    topology: Topology = "ring"
    think: Exponential | None = None  # of consumers
    webhook: Webhook | None = None  # what targets do

    def workload(self, plain: Workload) -> Workload:
        """Return the workload of agents that would have this one in the ordinary way."""
        return evolve(plain, topology=self.topology, think=self.think or plain.think)

    def load(self, plain: Load) -> Load:
        """Return the load of agents that would put this one on the ordinary bridge."""
        return evolve(plain, workload=self.workload(plain.workload), webhook=self.webhook)

    def manifest(self, load: Load) -> Manifest:
        """Return the manifest that a run of a load will have, as far as it is known before."""
        hook = self.webhook
        posting = None if hook is None else evolve(hook, in_flight=IN_FLIGHT)
        return load.manifest(server=self.settings, webhook=posting)


# A consumer works longer than the visibility timeout on e^-5, 0.7 %, of its messages; of the posts
# 2 % are refused.
WAYS = {
    "short-poll": Way("polling", ("--short-poll",), {"polling.hold": 0.0}),
    "queue": Way(
        "polling",
        ("--queue", "--visibility", "500ms"),
        {"polling.visibility": 0.5},
        topology="queue",
        think=Exponential(0.1),
    ),
    "webhook": Way(
        "push",
        ("--webhook-allow", "http://127.0.0.1:*"),
        {},
        webhook=Webhook(failure=0.02, think=Lognormal(median=0.02, sigma=0.5)),
    ),
}


def predict(
    system: System,
    levels: Sequence[Sequence[Manifest]],
    path: Path,
    seed: int,
    executor: Executor | None = None,
) -> None:
    """Write what a system predicts of runs to come, at some levels, unless it is written already.

    The file is a list of JSON with a row for each level and figure: what the system has in the
    mean, and the interval of 90 % of the runs by samples of its parameters.
    """
    if path.exists():
        return
    rows = [
        row
        for manifests in levels
        for row in _rows(manifests[0], simulated(system, manifests, RUNS, seed, executor))
    ]
    text = json.dumps(rows, indent=2) + "\n"
    replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _rows(manifest: Manifest, found: Any) -> list[dict[str, Any]]:
    rows = []
    for metric in (*RATES, *QUANTILES):
        mean = float(np.mean([run.measures[metric] for run in found.nominal]))
        spread = [run.measures[metric] for run in found.sampled or found.nominal]
        if not np.isnan([mean, *spread]).any():
            low, high = np.quantile(spread, ENDS).tolist()
            rows.append({"agents": manifest.agents, "metric": metric, "predicted": mean,
                         "interval90": [low, high], "unit": live_unit(metric)})  # fmt: skip
    return rows
