"""A recorded run simulated: the same messages at the same times, and the same figures of it."""

from __future__ import annotations

from os import PathLike
from typing import Any

import attrs
import numpy as np
import pandas as pd
from attrs import evolve

from lhsim import checks
from lhsim.distributions.base import ZERO
from lhsim.errors import InputError
from lhsim.library import as_system
from lhsim.models import PollingServer, PushServer, System
from lhsim.models.push import OF_CONNECTIONS
from lhsim.recording import Machine, Manifest, Recording, check_modelled, messages_of
from lhsim.simulation import Result, simulate

# Of no use to a short poll; or the agents' own then, who sleep for a constant time.
OF_HELD = ("timeout", "wake_on_write", "wake", "jitter", "first_sleep", "growth")


def replay(
    system: System | str | PathLike[str], manifest: Manifest, seed: int | None = None
) -> Recording:
    """Simulate a system under the workload of a run, with all agents connected before.

    Where the speed of the processor is known of both, it is as fast as in the run, and slow when it
    was slow then.

    Parameters
    ----------
    system
        Or its name or file. Of the architecture of the run; its workload is not used.
    manifest
        Of the run.
    seed
        Of the simulation; None: that of the run, whose messages then have the same times.

    Raises
    ------
    InputError
        When the architectures differ, or there is no model of that of the run.
    """
    system = as_system(system)
    checks.instance(manifest, "manifest", Manifest, "the manifest of a recording")
    check_modelled(manifest)
    if system.architecture != manifest.architecture:
        problem = f"is a {system.architecture} server"
        allowed = f"one of the run's architecture, {manifest.architecture}"
        raise InputError(problem, source=system.name, allowed=allowed)
    system = _delivering_as(system, manifest)
    system = _at_pace(system, manifest.machine)
    system = evolve(system, cpu=evolve(system.cpu, connect=ZERO), calibration=None)
    result = simulate(
        system,
        agents=manifest.agents,
        duration=manifest.end,
        warmup=manifest.warmup,
        drain=manifest.drain,
        seed=manifest.seed if seed is None else seed,
        keep_messages=True,
    )
    return recorded(system, result, manifest)


def _delivering_as(system: System, manifest: Manifest) -> System:
    """Return a system with the workload of a run, which delivers in its way.

    The way changes only where that of the run is another than the usual one. Costs stay what they
    are: so a system that was calibrated on the usual way predicts the others.
    """
    polling, push = system.polling, system.push
    if push is not None and manifest.webhook is not None:
        usual = _usual(PushServer, *OF_CONNECTIONS, "elicitation")
        push = evolve(push, webhook=manifest.webhook, **usual)
    if polling is not None and manifest.has_queue and "polling.visibility" in manifest.server:
        polling = evolve(polling, visibility=manifest.server["polling.visibility"])
    if polling is not None and manifest.short_poll:
        interval = manifest.server.get("polling.interval", polling.interval)
        polling = evolve(polling, hold=False, interval=interval, **_usual(PollingServer, *OF_HELD))
    return evolve(system, workload=manifest.workload, polling=polling, push=push)


def _usual(server: type[PollingServer | PushServer], *names: str) -> dict[str, Any]:
    """Return settings of a server by their names, as they are where nothing is said of them."""
    usual = attrs.fields_dict(server)
    return {name: usual[name].default for name in names}


def _at_pace(system: System, machine: Machine) -> System:
    """Return a system on the processor of a run; as it is where the pace of one is not known."""
    own = system.calibration.pace if system.calibration is not None else None
    if own is None or machine.pace is None:
        return system
    assert system.calibration is not None
    follows = system.calibration.follows
    cpu = evolve(system.cpu.slower((machine.pace / own) ** follows), slowdowns=None)
    spells = (evolve(spell, factor=spell.factor**follows) for spell in machine.slowdowns)
    return evolve(system, cpu=cpu, faults=(*system.faults, *spells))


def recorded(system: System, result: Result, manifest: Manifest) -> Recording:
    """Return a simulated run as if it had been measured.

    The sender has its answer when it has come down the network. A simulation does not follow that
    way, so its times are drawn here.
    """
    table = result.messages
    assert table is not None, "the messages of the run were kept"
    generator = np.random.Generator(np.random.Philox(result.seed))
    way_down = system.network.down.quantile(generator.random(len(table)))
    whose = (table[name] for name in ("sender", "number", "target"))
    created, answered = table["created"], table["acknowledged"] + way_down
    messages = messages_of(*whose, created, created, answered, table["delivered"])
    return Recording(manifest, messages, _counters(system, result))


def _counters(system: System, result: Result) -> pd.DataFrame:
    """Return what the server would have counted at the ends of the window."""
    metrics, length = result.metrics, result.horizon - result.warmup
    totals = {
        "cpu_s": metrics.cpu_utilization_percent / 100 * system.processors * length,
        "polls": metrics.polling_cycles_total,
        "wasted_polls": metrics.wasted_poll_cycles,
        "deliveries": metrics.messages_per_second * length,
    }
    ends = [result.warmup, result.horizon]
    return pd.DataFrame({"time_s": ends} | {name: [0.0, total] for name, total in totals.items()})
