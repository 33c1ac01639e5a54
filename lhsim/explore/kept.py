"""Answers for a page without a server: some settings and objectives, all found beforehand.

Each setting takes what the model file says, half of it and twice as much. The curve is that of the
live page; each capacity is what the search knows after `STEPS` steps, which is exact as far as it
goes and has a wider interval.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice, product

from lhsim.execution import Runner
from lhsim.explore.answers import Answers, Part, capacity_part
from lhsim.explore.guard import Guarded, questions
from lhsim.explore.state import Candidate, State
from lhsim.planning import search
from lhsim.planning.levels import Question

FACTORS = (0.5, 2.0)
OBJECTIVES = ("p99<100ms", "p99<500ms", "p99<1500ms", "p99<5s")
STEPS = 8  # of the search for each capacity
AGENTS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)

Setting = float | None  # None: as the model file says


def settings(answers: Answers) -> dict[str, list[Setting]]:
    """Return the values of each setting, around those of the first system that has it."""
    found: dict[str, list[Setting]] = {}
    for key in ("interval", "rate"):
        own = (getattr(one, key) for one in answers.known.values())
        first = next((value for value in own if value is not None), None)
        found[key] = [None, *(() if first is None else (first * factor for factor in FACTORS))]
    return found


def keep(answers: Answers, on_done: Callable[[int, int], None]) -> dict[str, dict[str, Part]]:
    """Return the answers of each system, by its settings; takes a minute or two.

    `on_done` is called with how many of them are done, and how many there are. Raises as
    `Answers.of` does.
    """
    values = settings(answers)
    wanted = [*product(answers.known.values(), values["interval"], values["rate"])]
    found: dict[str, dict[str, Part]] = {name: {} for name in answers.known}
    for number, (candidate, interval, rate) in enumerate(wanted, start=1):
        state = State((candidate.name,), interval=interval, rate=rate)
        found[candidate.name][key(interval, rate)] = _answer(answers, state, candidate)
        on_done(number, len(wanted))
    return found


def key(*values: Setting) -> str:
    """Return settings as the page names them: numbers as JavaScript writes them."""
    return "|".join("" if one is None else f"{one:.12g}" for one in values)


def _answer(answers: Answers, state: State, candidate: Candidate) -> Part:
    (question,) = questions(state, answers.known).values()
    with closing(Guarded()) as runner:
        points = answers.curve(state, candidate.name, question, runner, AGENTS, closely=True)
        capacities = dict(_capacities(answers, state, candidate, runner))
    return {
        "curve": points,
        "python": state.python(candidate).replace(f"agents={state.agents})", "agents={agents})"),
        "toml": state.toml(candidate),
        "capacities": capacities,
    }


def _capacities(
    answers: Answers, state: State, candidate: Candidate, runner: Runner
) -> Iterator[tuple[str, Part]]:
    for slo in OBJECTIVES:
        asked = State(state.systems, state.agents, state.interval, state.rate, slo=slo)
        (question,) = questions(asked, answers.known).values()

        def find(asked: State = asked, question: Question = question) -> Part:
            steps = islice(search.answers(question, runner), STEPS)
            (last,) = deque(steps, maxlen=1)
            return capacity_part(last) | {"python": asked.python_of_capacity(candidate, STEPS)}

        yield slo, answers.once((*answers.settings(asked, candidate.name), slo, STEPS), find)
