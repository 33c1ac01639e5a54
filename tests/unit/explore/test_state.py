"""A state of the page: a link and back, and the systems, Python and model files of it."""

from __future__ import annotations

import pytest

import lhsim
from lhsim.errors import InputError
from lhsim.explore.state import Candidate, State, candidates
from lhsim.models import Poisson

OWN_SERVER = 'name = "mine"\n[server]\nkind = "mine:Mine"\n'
RUNS = "raise SystemExit('a model file has run code')\n"


@pytest.mark.parametrize(
    "state",
    [
        State(("polling",)),
        State(("push", "polling with wake-on-write"), 7, 0.3, 1 / 3, 12, "mean<0.25s"),
        State(("small",), slo="memory<5GB"),
    ],
)
def test_a_link_is_the_state(known, state):
    assert State.from_link(state.link, known) == state


def test_a_link_says_its_units(known):
    link = "system=polling&interval=500ms&rate=6/min&slo=p99%3C2s"
    assert State.from_link(link, known) == State(("polling",), interval=0.5, rate=0.1, slo="p99<2s")


@pytest.mark.parametrize(
    ("link", "line"),
    [
        ("", "system: 0 systems; allowed: at least one"),
        ("agents=10", "system: 0 systems"),
        ("system=pull", "system: unknown system 'pull'"),
        ("system=./small.toml", "system: unknown system './small.toml'"),
        ("system=push&system=push", "system: 2 systems; allowed: at least one, each once"),
        ("system=push&sytem=push", "link: unknown key 'sytem' (did you mean 'system'?)"),
        ("system", "link: is no link of this page"),
        ("system=%ff", "link: is no link of this page"),
        ("system=push&agents=1&agents=2", "agents: is there twice"),
        ("system=push&agents=1", "agents: '1' is out of range; allowed: a whole number from 2"),
        ("system=push&agents=1e3", "agents: '1e3' is out of range"),
        ("system=push&agents=100001", "agents: '100001' is out of range"),
        ("system=push&agents=" + "9" * 500, "agents: '999"),
        ("system=push&agents=٣", "agents: '٣' is out of range"),
        ("system=push&interval=1", "interval: '1' has no unit; allowed: 0.01 to 60 s"),
        ("system=push&interval=1ms", "interval: '1ms' is out of range"),
        ("system=push&interval=nans", "interval: 'nans' is not a number with a unit"),
        ("system=push&rate=1000/s", "rate: '1000/s' is out of range; allowed: 0.001 to 100 1/s"),
        ("system=push&rate=-1/s", "rate: '-1/s' is out of range"),
        ("system=push&connections=0", "connections: '0' is out of range"),
        ("system=push&slo=p99>1s", "--slo: p99>1s: a latency has an upper limit"),
        ("system=push&slo=", "--slo: '' is no objective"),
        ("system=push&slo=" + "x" * 3000, "link: has 3,016 characters"),
    ],
)
def test_a_bad_link_is_one_line(known, link, line):
    with pytest.raises(InputError) as refused:
        State.from_link(link, known)
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


def test_a_state_changes_what_a_system_has_alone(known):
    state = State(tuple(known), interval=0.25, rate=0.5, connections=9)
    polling, push = (state.system(known[name]) for name in ("polling", "push"))
    assert (polling.polling.interval, polling.polling.connections) == (0.25, 9)
    assert push.push.connections == 9
    assert polling.workload.traffic == push.workload.traffic == Poisson(0.5)
    untouched = State(tuple(known))
    for candidate in known.values():
        assert untouched.system(candidate) == candidate.system


def test_traffic_without_a_rate_stays_as_it_is(tmp_path):
    text = 'name = "loop"\n[workload.traffic]\nkind = "closed"\n[polling]\n'
    (tmp_path / "loop.toml").write_text(text)
    candidate = candidates([str(tmp_path / "loop.toml")])["loop"]
    assert State(("loop",), rate=2.0).system(candidate) == candidate.system


@pytest.mark.parametrize("name", ["polling", "polling with wake-on-write", "push", "small"])
def test_python_and_the_model_file_are_the_same_system(known, tmp_path, name):
    state = State((name,), interval=0.3, rate=1 / 3)
    expected = state.system(known[name])
    asked = state.python(known[name])
    python = asked[asked.index("lhsim.load_system") : asked.index(", agents=")]
    assert eval(python, {"lhsim": lhsim}) == expected
    (tmp_path / "copy.toml").write_text(state.toml(known[name]))
    assert lhsim.load_system(tmp_path / "copy.toml") == expected


def test_a_file_whose_system_has_a_known_name_is_named_after_the_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(State(("polling",)).toml(candidates([])["polling"]))
    found = candidates([str(path), "polling", "seed-push"])
    name = f"polling ({path})"
    assert list(found) == ["polling", "polling with wake-on-write", "push", name, "seed-push"]
    assert found[name].system.name == name


def test_a_model_file_runs_no_code(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(RUNS)
    (tmp_path / "mine.toml").write_text(OWN_SERVER)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="a file of data runs no code") as refused:
        Candidate.read("./mine.toml")
    assert str(refused.value).startswith("mine.toml: server.kind: 'mine:Mine' is not one of")


def test_too_many_files_are_refused(tmp_path):
    for number in range(6):
        (tmp_path / f"{number}.toml").write_text(f'name = "s{number}"\n[push]\n')
    with pytest.raises(InputError, match="SYSTEM: 9 systems; allowed: up to 8"):
        candidates([str(tmp_path / f"{number}.toml") for number in range(6)])
