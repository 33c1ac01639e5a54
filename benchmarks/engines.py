"""Model events per second of lhsim's engines, beside plain SimPy, plain C, and its peers.

::

    python benchmarks/engines.py                   # a table, some minutes
    python benchmarks/engines.py --quick --json    # one JSON object, about a minute

What counts is events per second of processor time. A model event is a message created or
delivered, a query or a sleep; a timed event is any delay and any service. All run in turn within
each round, so that a change of the machine's speed meets them all; a ratio is the median over the
rounds of the ratios within one. Each has run before, which compiles it and says how long it has to
simulate for its share of time. README.md beside this file says what each figure means.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import peers
import plain_c
import systems

import lhsim

HERE = Path(__file__).parent
LARGE = 1_000_000  # agents
EARLY, LATE = 2.0, 6.0  # between these times so many are looked at: after all have started [s]
SIZES = (100_000, 500_000)  # agents between which memory is compared
SHORTEST = 10.0  # simulated time of a run, so that the set-up is a small part of each [s]
TRIAL = 1.5  # simulated time of the run that says how fast a contender is [s]
DURATIONS = {"cimba": 100.0}  # whose set-up, taken out, is as long as many short runs [s]
LARGE_ROUNDS = 1  # for a million agents, whose runs are long
QUICK = (3, 0.4)  # rounds, and processor time of one run, about [s]
THOROUGH = (9, 1.5)

Contender: TypeAlias = Callable[[float], tuple[int, float]]  # duration -> events, seconds
Rates: TypeAlias = dict[str, list[float]]  # of each contender, one for each round [events/s]


def program(script: str, *arguments: str | int, python: str | Path = sys.executable) -> Contender:
    """Return a contender that runs in a new process each time, and takes the time itself."""
    command = [str(python), str(HERE / script), *map(str, arguments)]

    def contender(duration: float) -> tuple[int, float]:
        printed = _json_of([*command, str(duration)])
        return printed["events"], printed["seconds"]

    return contender


def compiled(name: str, agents: int, *, timed: bool = False) -> Contender:
    """Return the compiled engine, in this process; it leaves nothing in it that slows the next.

    It counts model events, or else all timed ones.
    """
    system = systems.SYSTEMS[name](agents)
    lhsim.simulate(system, agents=10, duration=1.0, engine="compiled")  # compile

    def contender(duration: float) -> tuple[int, float]:
        begin = time.process_time()
        result = lhsim.simulate(system, agents=agents, duration=duration, engine="compiled")
        seconds = time.process_time() - begin
        return result.engine_events if timed else result.model_events, seconds

    return contender


def steady(contender: Contender) -> Contender:
    """Return what a contender does after all agents have started, whatever the duration."""

    def difference(_duration: float) -> tuple[int, float]:
        (few, short), (many, long) = contender(EARLY), contender(LATE)
        return many - few, long - short

    return difference


def c_program(name: str, agents: int) -> Contender:
    """Return the C program of a system: polling.c of the yardstick's, push.c of the full push."""
    system = systems.SYSTEMS[name](agents)

    def contender(duration: float) -> tuple[int, float]:
        printed = plain_c.run(system, agents, duration)
        return printed["events"], printed["seconds"]

    return contender


def contenders() -> dict[str, Contender]:
    """Return all that are here, by name."""
    few, many = systems.AGENTS, LARGE
    table = {
        "yardstick": program("yardstick.py", few),
        "simpy": program("one_run.py", "yardstick", "simpy", few),
        "compiled": compiled("yardstick", few),
        "polling": compiled("polling", few),
        "polling_options": compiled("polling_options", few),
        "push": compiled("push", few),
        "push_options": compiled("push_options", few),
        "polling_timed": compiled("polling", few, timed=True),
        "push_timed": compiled("push", few, timed=True),
        "compiled_large": steady(compiled("yardstick", many)),
        "polling_large": steady(compiled("polling", many)),
        "push_large": steady(compiled("push", many)),
    }
    if plain_c.has_compiler():
        table |= {
            "c": c_program("yardstick", few),
            "c_push": c_program("push", few),
            "c_large": steady(c_program("yardstick", many)),
        }
    for name, agents in peers.AGENTS.items():
        if peers.installed(name):
            table[name] = program("peers.py", name, agents)
    with suppress(OSError):
        table["cimba"] = program("cimba_yardstick.py", few, python=peers.python_with_cimba())
    return table


def skipped() -> dict[str, str]:
    """Return the peers that are not here, with the reason."""
    found = {name: "not installed" for name in peers.AGENTS if not peers.installed(name)}
    try:
        peers.python_with_cimba()
    except OSError as error:
        found["cimba"] = str(error)
    return found


def simulated_time(contender: Contender, target: float) -> float:
    """Return the duration [s] whose simulation takes about `target` seconds, or `SHORTEST`."""
    duration = TRIAL
    _, seconds = contender(duration)
    while seconds < 0.5 * target:
        duration *= target / seconds
        _, seconds = contender(duration)
    return max(SHORTEST, duration * target / seconds)


def measure(rounds: int, target: float) -> Rates:
    table = contenders()
    durations = {name: LATE for name in table if name.endswith("_large")} | DURATIONS
    durations |= {
        name: simulated_time(contender, target)
        for name, contender in table.items()
        if name not in durations
    }
    rates: Rates = {name: [] for name in table}
    for number in range(rounds):
        for name, contender in table.items():
            if name.endswith("_large") and number >= LARGE_ROUNDS:
                rates[name].append(statistics.median(rates[name]))
            else:
                rates[name].append(rate(contender, durations[name]))
    return rates


def rate(contender: Contender, duration: float) -> float:
    """Return the model events per second of one run."""
    events, seconds = contender(duration)
    return events / seconds


def ratio(rates: Rates, name: str, other: str) -> float | None:
    """Return how much faster one is than the other; None where one of them is not here."""
    if name not in rates or other not in rates:
        return None
    return statistics.median(a / b for a, b in zip(rates[name], rates[other], strict=True))


def bytes_per_agent(name: str) -> float:
    """Return by how much an agent of a system raises the peak of its process [bytes].

    The difference of two sizes leaves out the interpreter and the libraries. A run before them
    compiles, where that has not been done before: the compiler takes more memory than the agents.
    """
    peaks = []
    for agents in (10, *SIZES):
        command = [sys.executable, str(HERE / "one_run.py"), name, "compiled", str(agents)]
        peaks.append(_json_of([*command, str(EARLY)])["peak_bytes"])
    return (peaks[2] - peaks[1]) / (SIZES[1] - SIZES[0])


def _json_of(command: list[str]) -> dict[str, Any]:
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def check_c() -> None:
    """Raise SystemExit unless the C programs find what lhsim does, to the last bit."""
    agents, duration = systems.AGENTS, 5.0
    for system in (systems.yardsticks(), systems.full("push")):
        result = lhsim.simulate(
            system, agents=agents, duration=duration, engine="compiled", warmup=0.0, drain=0.0
        )
        wrong = plain_c.differences(plain_c.run(system, agents, duration), result)
        if wrong:
            raise SystemExit(f"{system.architecture}.c and lhsim differ in: {', '.join(wrong)}")


def figures(rates: Rates, memory: dict[str, float]) -> dict[str, Any]:
    """Return all that is reported, by its key in the JSON object."""
    names = ("polling", "push")
    timed = {name: ratio(rates, f"{name}_timed", "yardstick") for name in names}
    modelled = {name: ratio(rates, name, "yardstick") for name in names}
    growth = {name: ratio(rates, name, f"{name}_large") for name in ("compiled", *names)}
    return {
        "speedup_vs_yardstick": ratio(rates, "compiled", "yardstick"),
        "speedup_vs_simpy": ratio(rates, "compiled", "simpy"),
        "simpy_speedup_vs_yardstick": ratio(rates, "simpy", "yardstick"),
        "full_speedup_vs_yardstick": min(timed.values()),
        "full_speedup_vs_yardstick_by_system": timed,
        "full_speedup_in_model_events": min(modelled.values()),
        "full_speedup_in_model_events_by_system": modelled,
        "ratio_to_c": ratio(rates, "c", "compiled"),
        "ratio_to_c_1m": ratio(rates, "c_large", "compiled_large"),
        "ratio_to_c_push": ratio(rates, "c_push", "push"),
        "speedup_vs_salabim": ratio(rates, "compiled", "salabim"),
        "speedup_vs_ciw": ratio(rates, "compiled", "ciw"),
        "speedup_vs_cimba": ratio(rates, "compiled", "cimba"),
        "growth_10k_to_1m": max(growth[name] for name in names),
        "growth_10k_to_1m_by_system": growth,
        "growth_10k_to_1m_c": ratio(rates, "c", "c_large"),
        **{f"options_cost_{name}": ratio(rates, name, f"{name}_options") for name in names},
        "bytes_per_agent": max(memory.values()),
        "bytes_per_agent_by_system": memory,
        "ns_per_event": 1e9 / statistics.median(rates["compiled"]),
        "ns_per_event_of_each": {
            name: 1e9 / statistics.median(values) for name, values in rates.items()
        },
        "agents": systems.AGENTS,
        "rounds": len(rates["compiled"]),
        "skipped": skipped(),
    }


MEANINGS = {
    "speedup_vs_yardstick": "compiled over plain SimPy, same system",
    "speedup_vs_simpy": "compiled over the SimPy engine",
    "simpy_speedup_vs_yardstick": "lhsim's SimPy engine over plain SimPy",
    "full_speedup_vs_yardstick": "timed events/s of the full systems",
    "full_speedup_in_model_events": "the same in model events/s",
    "ratio_to_c": "time per event over that of polling.c",
    "ratio_to_c_1m": "the same with 1,000,000 agents",
    "ratio_to_c_push": "full push: time per event over push.c's",
    "speedup_vs_salabim": "compiled over salabim with 1,000 agents",
    "speedup_vs_ciw": "compiled over Ciw with 100 customers",
    "speedup_vs_cimba": "compiled over Cimba Python, same system",
    "growth_10k_to_1m": "full systems: time per event, 1,000,000 agents",
    "growth_10k_to_1m_c": "the same of polling.c",
    "options_cost_polling": "time per event in the kernel with options",
    "options_cost_push": "the same of push",
    "bytes_per_agent": "peak memory of an agent: the larger",
}


def readable(report: dict[str, Any]) -> str:
    """Return the report for people, at most 80 columns wide."""
    lines = [f"{report['agents']:,} agents, medians of {report['rounds']} rounds", ""]
    lines += [f"{key:30s}{_number(report[key])}  {text}" for key, text in MEANINGS.items()]
    lines += ["", "Nanoseconds of processor time per event"]
    lines += [f"{name:30s}{_number(ns)}" for name, ns in report["ns_per_event_of_each"].items()]
    lines += [f"skipped: {name}: {reason}" for name, reason in report["skipped"].items()]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    """Return three digits, in eight columns."""
    if value is None:
        return f"{'-':>8s}"
    return f"{value:8,.0f}" if value >= 100 else f"{value:8.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    # First, while this process is small: a child starts with the peak of its parent.
    memory = {name: bytes_per_agent(name) for name in ("polling", "push")}
    if plain_c.has_compiler():
        check_c()
    report = figures(measure(*(QUICK if arguments.quick else THOROUGH)), memory)
    print(json.dumps(report) if arguments.json else readable(report))


if __name__ == "__main__":
    main()
