"""What to do about designs that were compared, what would change it, and what to measure next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from attrs import evolve, frozen

from lhsim.models import Periodic, Poisson
from lhsim.planning.bounds import saturation
from lhsim.planning.samples import in_runs, samples_of

if TYPE_CHECKING:
    from lhsim.models import System
    from lhsim.planning.design import Design
    from lhsim.planning.growth import Forecast
    from lhsim.planning.odds import Found

Action = Literal["stay", "move", "add", "none"]

AS_CHEAP = 1.01  # ratio of costs up to which today's design is kept
USUAL = 0.04  # standard deviation of the logarithm of what a run shows of the costs: 3 to 5 %
PART = 0.8  # of the capacity, at which a load is measured
RATES = (1.0, 0.1, 10.0)  # of the messages of an agent, as factors; the agents as fits
DIGITS = 2  # of the agents of a load


@frozen
class Advice:
    """What to do."""

    action: Action  # keep today's design, move to another, add servers, or nothing helps
    design: str | None  # to which; None: none keeps the objectives on any number of servers


@frozen
class Change:
    """What would change the advice."""

    quantity: Literal["growth", "forecast", "capacity", "server_cost"]
    threshold: float  # per month, as a share or in agents; or a factor of what it is
    unit: Literal["share/month", "agents/month", "factor"]
    text: str  # all of it in a sentence


@frozen
class Measurement:
    """A load whose measurement would narrow the answer."""

    design: str
    agents: int
    rate: float | None  # messages of an agent [1/s]; None: as in the model
    narrows: float | None  # share of the variance of the capacity; None: no samples say it
    parameter: str | None  # on which the capacity depends most
    depends: float | None  # share of that variance which the parameter makes
    command: str | None  # None: lhsim puts no such load on a server


def advise(designs: Sequence[Design], ahead: Forecast) -> Advice:
    """Return what to do: the cheapest design that keeps the objectives to the end."""
    today = designs[0]
    able = [one for one in designs if one.server_months is not None]
    if not able:
        return Advice("none", None)
    best = min(able, key=_price)
    if today.server_months is not None and _price(today)[0] <= AS_CHEAP * _price(best)[0]:
        return Advice("stay" if today.lasts_until == ahead.end else "add", today.name)
    return Advice("move", best.name)


def _price(one: Design) -> tuple[float, float]:
    """Return by what designs are sorted: what they cost, and what they leave free."""
    assert one.server_months is not None
    return one.server_months, -(math.inf if one.sure is None else one.sure)


def changes(designs: Sequence[Design], advice: Advice, ahead: Forecast) -> tuple[Change, ...]:
    """Return what would change the advice, as far as one quantity alone does."""
    today = designs[0]
    return (*_growth(today, ahead), *_capacity(today, ahead), *_cost(designs, advice))


def _growth(today: Design, ahead: Forecast) -> Iterator[Change]:
    """Yield the growth at which one server of today's design lasts to the end, and no longer."""
    if not today.sure:
        return
    now, lasts = ahead.on(ahead.start), today.lasts_until == ahead.end
    side = "above" if lasts else "below"
    then = "no longer lasts" if lasts else "lasts"
    if ahead.rate is None:
        factor = today.sure / max(ahead.most, 1)
        text = (
            f"the forecast times a factor {side} {factor:.2f}: {today.name} {then} to {ahead.end}"
        )
        yield Change("forecast", factor, "factor", text)
    elif 0 < now <= today.sure:
        rate = ahead.rate.reaching(now, today.sure, ahead.months)
        text = f"growth {side} {rate.text}: {today.name} {then} to {ahead.end}"
        unit: Literal["share/month", "agents/month"] = "agents/month"
        if rate.compound:
            unit = "share/month"
        yield Change("growth", rate.per_month, unit, text)


def _capacity(today: Design, ahead: Forecast) -> Iterator[Change]:
    """Yield how many times as many agents today's design would have to hold."""
    if today.sure and today.lasts_until != ahead.end:
        factor = ahead.most / today.sure
        text = (
            f"a server with {today.name} that holds {factor:.2f} times as many agents, such as "
            f"by costs that are {factor:.2f} times lower: it lasts to {ahead.end}"
        )
        yield Change("capacity", factor, "factor", text)


def _cost(designs: Sequence[Design], advice: Advice) -> Iterator[Change]:
    """Yield the cost of a server with the advised design at which the next one is as cheap."""
    able = {one.name: one for one in designs if one.server_months}
    best = able.pop(advice.design or "", None)
    if best is None or not able:
        return
    other = min(able.values(), key=_price)
    factor = _price(other)[0] / _price(best)[0]
    text = (
        f"a server with {best.name} that costs more than {factor:.2f} times one with "
        f"{other.name}: {other.name} is cheaper"
    )
    if factor > AS_CHEAP:
        yield Change("server_cost", factor, "factor", text)


def measure_next(systems: Sequence[System], found: Sequence[Found]) -> Measurement | None:
    """Return the load whose measurement would narrow what today's design holds most.

    Each joint sample of the parameters has a capacity, and uses the processor to some extent under
    a load. A run shows that use but for what runs of one load differ. With a correlation r of both
    logarithms, a variance v of the use and s^2 of a run, a measurement removes the share
    r^2 v / (v + s^2) of the variance of the capacity. None where nothing is held.
    """
    held = [(one, what) for one, what in zip(systems, found, strict=True)
            if 0 < what.odds.crossing < math.inf]  # fmt: skip
    if not held:
        return None
    system, what = held[0]
    most = PART * what.odds.crossing
    loads = list(_loads(system, most))
    if len(what.moves) < 2:
        agents, rate, _ = loads[0]
        return Measurement(system.name, agents, rate, None, None, None,
                           _command(system, agents, rate))  # fmt: skip
    sampled = [evolve(one, calibration=None) for one in in_runs(samples_of(system))]
    narrowed = [_narrowing(system, sampled, loaded, what.moves) for _, _, loaded in loads]
    index = max(range(len(loads)), key=lambda one: (round(narrowed[one], 2), -one))
    agents, rate, _ = loads[index]
    parameter, depends = _most_telling(system, what.moves)
    return Measurement(system.name, agents, rate, narrowed[index], parameter, depends,
                       _command(system, agents, rate))  # fmt: skip


def _loads(system: System, most: float) -> Iterator[tuple[int, float | None, System]]:
    """Yield agents, the rate of each and the system with it: as it is, with fewer and more."""
    traffic = system.workload.traffic
    if not isinstance(traffic, Poisson | Periodic) or system.own_server is not None:
        yield _rounded(most), None, system
        return
    base = saturation(system)
    for factor in RATES:
        rate = traffic.rate * factor
        workload = evolve(system.workload, traffic=evolve(traffic, rate=rate))
        loaded = evolve(system, workload=workload, calibration=None)
        place = saturation(loaded)
        if base and place and math.isfinite(place):
            yield _rounded(most * place / base), rate, loaded


def _rounded(agents: float) -> int:
    return max(2, int(float(f"{agents:.{DIGITS}g}")))


def _narrowing(
    system: System, sampled: Sequence[System], loaded: System, moves: Sequence[float]
) -> float:
    """Return which share of the variance of the capacity a run of a load removes."""
    workload = loaded.workload
    places = [saturation(evolve(one, workload=workload)) for one in sampled]
    if any(one is None for one in places):
        return 0.0
    use = -np.log(np.array([one or 1.0 for one in places]))
    variance = float(np.var(use, ddof=1))
    known = system.calibration
    usual = (known.moves.get("cpu") if known is not None else None) or USUAL
    return _explained(use, np.array(moves)) * variance / (variance + usual**2)


def _most_telling(system: System, moves: Sequence[float]) -> tuple[str | None, float | None]:
    """Return the parameter that explains most of the capacity's variance, and the share."""
    samples = system.calibration.samples if system.calibration is not None else {}
    shares = {
        path.removesuffix("*"): _explained(np.array(column), np.array(moves))
        for path, column in samples.items()
    }
    if not shares:
        return None, None
    name = max(shares, key=lambda one: shares[one])
    return name, shares[name]


def _explained(x: np.ndarray, y: np.ndarray) -> float:
    """Return the share of the variance of y that a straight line over x explains, unbiased."""
    if np.ptp(x) == 0 or np.ptp(y) == 0 or len(x) < 3:
        return 0.0
    squared = float(np.corrcoef(x, y)[0, 1]) ** 2
    return max(0.0, 1 - (1 - squared) * (len(x) - 1) / (len(x) - 2))


def _command(system: System, agents: int, rate: float | None) -> str | None:
    if rate is None or system.architecture not in {"polling", "push"}:
        return None
    return (
        "lhsim measure --url http://127.0.0.1:8765 "
        f"--architecture {system.architecture} --agents {agents} --rate {rate:g} "
        "--duration 60s --output-dir measured"
    )
