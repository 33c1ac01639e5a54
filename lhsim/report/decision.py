"""A decision as text, from `lhsim.planning.Decision.details`: the paragraph comes first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from lhsim.analysis.knee import Knee
from lhsim.report.text import (
    UNKNOWN,
    Column,
    between,
    duration,
    losses,
    quantity,
    table,
    three_digits,
)

Row = Mapping[str, Any]
WIDTH = 80  # of a text, in columns
QUICKER = 2.0  # ratio of p99 from which another design is worth a sentence
EXTRAPOLATED = (
    "These capacities are extrapolated: they lie beyond the loads that were measured, which no "
    "probability counts."
)


def decision_paragraph(found: Row) -> str:
    """Return what to do, until when and how surely, for who reads nothing else."""
    sentences = [_advice(found), _today(found), *_chosen(found), *_money(found)]
    sentences += [*_quicker(found), *_lost(found)]
    if any(one["extrapolated"] for one in found["designs"]):
        sentences.append(EXTRAPOLATED)
    return " ".join(sentences)


def _lost(found: Row) -> Iterator[str]:
    """Yield which designs lose messages today, where no objective counts that."""
    for one in found["designs"]:
        if said := losses(one["delivers"], found["objectives"]):
            yield f"With {one['name']} {said}."


def decision_answers(found: Row) -> dict[str, str]:
    """Return its answers to the questions of `lhsim.report.questions`."""
    sure = [_today(found)]
    if any(one["extrapolated"] for one in found["designs"]):
        sure.append(EXTRAPOLATED)
    return {
        "move": _advice(found),
        "cost": " ".join([*_money(found), *_quicker(found)]),
        "knob": _knob(found),
        "sure": " ".join(sure),
    }


def _knob(found: Row) -> str:
    """Return the parameter on which what a design holds depends most; nothing if none is known."""
    one = found["measure_next"]
    if one is None or one["parameter"] is None:
        return ""
    return (
        f"{one['parameter']}: {chance(one['depends'])} of what is uncertain about the capacity of "
        f"{one['design']} depends on it."
    )


def knees_paragraph(knees: Mapping[str, Knee]) -> str:
    """Return how many agents a server serves with each system, and how to decide between them."""
    found = knees_sentence(knees)
    if len(knees) < 2 or not found:
        return found
    return f"{found} lhsim decide says when to move, how surely, and at what cost."


def knees_sentence(knees: Mapping[str, Knee]) -> str:
    """Return how many agents a server serves with each system; nothing where no level has run.

    Where two knees or more are known it compares the least with the greatest.
    """
    known = {name: one.agents for name, one in knees.items() if one.agents is not None}
    up_to = _sustained(knees)
    if up_to is not None:
        return f"No server saturates with up to {up_to:,} agents."
    if len(known) < 2:
        held = [one for name, knee in knees.items() if (one := _held(name, knee))]
        return f"One server serves {' and '.join(held)} before it saturates." if held else ""
    names = sorted(known, key=lambda name: known[name])
    least, most = names[0], names[-1]
    return (
        f"One server serves {three_digits(known[most] / known[least])} times as many agents with "
        f"{most} as with {least} before it saturates, {_rounded(known[most])} against "
        f"{_rounded(known[least])}."
    )


def _sustained(knees: Mapping[str, Knee]) -> int | None:
    """Return the level up to which no system saturates; None where they differ, or one does."""
    ends = {(knee.low, knee.high) for knee in knees.values()}
    low, high = ends.pop() if len(ends) == 1 else (None, None)
    return low if high is None else None


def _held(name: str, knee: Knee) -> str:
    """Return how many agents a server serves; nothing where no level has run."""
    if knee.agents is not None:
        return f"{_rounded(knee.agents)} agents with {name}"
    if knee.low is not None and knee.high is not None:
        return f"{knee.low:,} to {knee.high:,} agents with {name}"
    if knee.low is not None:
        return f"at least {knee.low:,} agents with {name}"
    return "" if knee.high is None else f"fewer than {knee.high:,} agents with {name}"


def _rounded(agents: int) -> str:
    return f"{float(f'{agents:.3g}'):,.0f}"


def _advice(found: Row) -> str:
    today, best, until = found["designs"][0], _best(found), found["designs"][0]["lasts_until"]
    action = found["advice"]["action"]
    if action == "none":
        return f"No design keeps {_objectives(found)} on any number of servers."
    if action == "stay":
        return f"Stay with {today['name']}: one server lasts to {until}, the end of the forecast."
    if action == "add":
        if until is None:
            return f"Stay with {today['name']}, on {_servers(today['servers_now'])} from now on."
        return f"Stay with {today['name']}, and add a second server by {until}."
    if until is None:
        return f"Move from {today['name']} to {best['name']} now."
    return f"Stay with {today['name']} until {until}, then move to {best['name']}."


def _today(found: Row) -> str:
    """Return what today's design holds, and when the agents outgrow it."""
    one, sure = found["designs"][0], chance(found["confidence"])
    objectives = _objectives(found)
    if one["capacity"] is None:
        return f"With {one['name']}, no number of agents that was tried breaks {objectives}."
    if one["capacity"] == 0 or not one["sure"]:
        return f"With {one['name']}, one server does not surely keep {objectives} for any agents."
    held = f"{one['sure']:,} agents with {sure} certainty"
    says = f"One server with {one['name']} keeps {objectives} for {held}"
    if one["lasts_until"] is None:
        return f"{says}; there are {found['agents'][0]:,} today."
    best = f"best estimate {one['capacity']:,}"
    if one["crossing_date"] is None:
        return f"{says} ({best}); there will be {max(found['agents']):,}."
    first, last = (end or "later" for end in one["crossing_interval"])
    return f"{says} ({best}, reached on {one['crossing_date']}; {sure}: {first} to {last})."


def _chosen(found: Row) -> Iterator[str]:
    """Yield what the design holds to which to move."""
    if found["advice"]["action"] != "move":
        return
    best, end = _best(found), found["dates"][-1]
    holds = f"One server with {best['name']} holds {_agents(best['sure'])}"
    if best["servers"] == 1:
        kept = chance(best["p_keeps"][-1])
        yield f"{holds} and keeps the objectives to {end} with a probability of {kept}."
    else:
        yield f"{holds}; there have to be {_servers(best['servers'])} by {end}."


def _money(found: Row) -> Iterator[str]:
    """Yield what the advised design and its rival come to."""
    best, today = _best(found), found["designs"][0]
    if best is None:
        return
    rivals = [one for one in found["designs"] if one is not best and one["server_months"]]
    if best is not today and today["server_months"]:
        rivals = [today]
    over = f"Over {found['months']:.0f} months"
    said = f"{over} {best['name']} takes {_price(best, found)}"
    if rivals:
        rival = min(rivals, key=lambda one: one["server_months"])
        said += f", {rival['name']} {_price(rival, found)}"
    yield said + "."


def _quicker(found: Row) -> Iterator[str]:
    """Yield which design, beside the advised one, is much faster today."""
    today, *others = found["designs"]
    able = [one for one in others if one["p99"] and one["name"] != found["advice"]["design"]]
    if not (able and today["p99"]):
        return
    best = min(able, key=lambda one: one["p99"])
    if today["p99"] >= QUICKER * best["p99"]:
        ends = f"from {duration(today['p99'])} to {duration(best['p99'])}"
        yield f"Today {best['name']} would bring p99 {ends}."


def _price(one: Row, found: Row) -> str:
    upto = f"up to {_servers(one['servers'])}" if one["servers"] > 1 else "one server"
    if one["cost"] is None:
        return upto
    return f"{money(one['cost'], found['currency'])} on {upto}"


def money(amount: float, currency: str) -> str:
    """Return a sum with its currency, without its pennies."""
    return f"{currency} {amount:,.0f}".strip()


def chance(probability: float) -> str:
    """Return a probability, which is never quite 0 or 1.

    >>> chance(0.99), chance(0.953), chance(0.01)
    ('99 %', '95 %', '1 %')
    """
    return f"{100 * probability:.0f} %"


def _servers(count: int) -> str:
    return "one server" if count == 1 else f"{count:,} servers"


def _agents(count: int | None) -> str:
    return "all agents that were tried" if count is None else f"{count:,} agents"


def _objectives(found: Row) -> str:
    return " and ".join(found["objectives"])


def _best(found: Row) -> Any:
    name = found["advice"]["design"]
    return next((one for one in found["designs"] if one["name"] == name), None)


def decision_sentences(found: Row) -> list[str]:
    """Return what has to be known beside the paragraph."""
    lines = list(_frontier(found))
    lines += [f"would change it: {one['text']}" for one in found["would_change_if"]]
    lines += list(_next(found["measure_next"]))
    lines += list(_together("extrapolated", found, "beyond"))
    lines += list(_together("not in the probabilities", found, "unknown"))
    if len(found["objectives"]) > 1:
        binding = "; ".join(f"{one['name']} {one['binding_objective']}" for one in found["designs"]
                            if one["binding_objective"])  # fmt: skip
        lines.append(f"binding: {binding}")
    texts = [text for one in found["designs"] for text in one["warnings"]]
    return [*lines, *(f"warning: {text}" for text in dict.fromkeys(texts))]


def _frontier(found: Row) -> Iterator[str]:
    """Yield the designs of which no other is both as fast and as cheap."""
    best = [
        f"{one['name']} ({duration(one['p99'])}, {_worth(one, found['currency'])})"
        for one in found["frontier"]
        if one["efficient"]
    ]
    if best:
        yield f"p99 now against cost, the frontier: {'; '.join(best)}"


def _worth(one: Row, currency: str) -> str:
    if one["cost"] is None:
        return f"{one['server_months']:,.0f} server months"
    return money(one["cost"], currency)


def _next(one: Row | None) -> Iterator[str]:
    if one is None:
        return
    rate = "" if one["rate"] is None else f" at {one['rate']:g} messages/s each"
    said = f"measure next: {one['design']} under {one['agents']:,} agents{rate}"
    if one["narrows"] is not None:
        said += f"; a run removes {chance(one['narrows'])} of the variance of its capacity"
    if one["parameter"] is not None:
        said += f", {chance(one['depends'])} of which {one['parameter']} explains"
    yield said
    if one["command"] is not None:
        yield one["command"]


def _together(title: str, found: Row, key: str) -> Iterator[str]:
    """Yield a line of what designs have in common, and of what each has alone."""
    by_text: dict[str, list[str]] = {}
    for one in found["designs"]:
        if one[key]:
            by_text.setdefault(", ".join(one[key]), []).append(one["name"])
    for text, names in by_text.items():
        whose = "" if len(names) == len(found["designs"]) else f"{', '.join(names)}: "
        yield f"{title}: {whose}{text}"


def decision_tables(found: Row) -> str:
    """Return a row per design: what it holds, what it shows today, and its odds by date."""
    return "\n\n".join([_holds(found), _now(found), _by_date(found)])


def _holds(found: Row) -> str:
    columns = [Column("design", left=True), Column("holds"), Column(chance(found["confidence"])),
               Column("reached"), Column("servers"), Column("cost")]  # fmt: skip
    rows = [
        [
            one["name"],
            _level(one["capacity"]) + ("*" if one["extrapolated"] else ""),
            _interval(one["interval"]),
            (one["crossing_date"] or "later")[:7] if one["capacity"] != 0 else "never kept",
            _sizes(one),
            "" if one["cost"] is None else money(one["cost"], found["currency"]),
        ]
        for one in found["designs"]
    ]
    return table(columns, rows)


def _level(value: int | None) -> str:
    return "no end" if value is None else f"{value:,}"


def _interval(ends: Sequence[int | None]) -> str:
    if ends[0] is None or ends[1] is None:
        return UNKNOWN
    return between(*(f"{end:,}" for end in ends))


def _sizes(one: Row) -> str:
    if one["servers"] is None:
        return UNKNOWN
    first, most = one["servers_now"], one["servers"]
    return f"{most:,}" if first == most else f"{first:,}-{most:,}"


def _now(found: Row) -> str:
    columns = [Column(f"{found['agents'][0]:,} agents now", left=True), Column("p50"),
               Column("p99"), Column("queries/s"), Column("cpu"), Column("memory")]  # fmt: skip
    rows = [
        [
            one["name"],
            *(UNKNOWN if one[key] is None else duration(one[key]) for key in ("p50", "p99")),
            three_digits(one["queries"]) if one["queries"] else "0",
            UNKNOWN if one["cpu"] is None else f"{100 * one['cpu']:.0f} %",
            quantity(one["memory"], "B"),
        ]
        for one in found["designs"]
    ]
    return table(columns, rows)


def _by_date(found: Row) -> str:
    columns = [Column("probability of keeping", left=True), *(Column(day[:7]) for day in
               found["dates"])]  # fmt: skip
    agents = ["agents", *(f"{count:,}" for count in found["agents"])]
    rows = [[one["name"], *map(chance, one["p_keeps"])] for one in found["designs"]]
    return table(columns, [agents, *rows])


def decision_text(found: Row) -> str:
    """Return all of it as a text of at most 80 columns, where names are not too long."""
    lines = [*wrap(decision_paragraph(found), WIDTH), "", decision_tables(found), ""]
    for sentence in decision_sentences(found):
        if sentence.startswith("lhsim "):
            lines += _command(sentence)
        else:
            lines += wrap(sentence, WIDTH, subsequent_indent="  ")
    if any(one["extrapolated"] for one in found["designs"]):
        lines.append("* extrapolated: beyond what the model was calibrated on")
    return "\n".join(lines)


def _command(words: str) -> list[str]:
    """Return a command line that may be copied, in lines that a shell joins."""
    parts = wrap(words, WIDTH - 6, break_on_hyphens=False, break_long_words=False)
    return [f"  {part} \\" for part in parts[:-1]] + [f"  {parts[-1]}"]
