"""Bad input: one line that names the place and what is allowed, exit 2, nothing written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lhsim import cli
from lhsim.execution import Store

POLLING = ["scaling", "--system", "./polling.toml", "--quiet"]


@pytest.fixture
def refused(folder, capsys):
    """Run a command that has to be refused; return its line on stderr without the prefix."""

    def check(*arguments):
        before = sorted(folder.rglob("*"))
        assert cli.run(list(arguments)) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert sorted(folder.rglob("*")) == before
        prefix = "lhsim: error: "
        assert captured.err.startswith(prefix)
        return captured.err.removeprefix(prefix).rstrip("\n")

    return check


@pytest.mark.parametrize("agents", ["0", "-5", "10,0", "ten", "1.5", "", "10,", "10,10", "1e3"])
def test_numbers_of_agents(refused, agents):
    line = refused(*POLLING, "--agents", agents)
    assert line.startswith("--agents: ")
    assert "allowed: different whole numbers >= 1" in line


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--seed", "-1"),
        ("--seed", "x"),
        ("--seed", str(2**63)),
        ("--replications", "0"),
        ("--jobs", "0"),
        ("--max-events", "0"),
        ("--agents-per-server", "0"),
        ("--duration", "0"),
        ("--duration", "nan"),
        ("--duration", "inf"),
        ("--duration", "5 parsecs"),
        ("--duration", "soon"),
        ("--engine", "numba"),
        ("--format", "xml"),
    ],
)
def test_values_of_options(refused, option, value):
    line = refused(*POLLING, option, value)
    assert line.startswith(f"{option}: ")
    assert "allowed: " in line


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("polling.intervall=1", "--set: polling.intervall: unknown key (did you mean 'interval'?)"),
        ("polling.interval=5 parsecs", "--set: polling.interval: '5 parsecs' has the unit"),
        ("polling.interval=-1s", "--set: polling.interval: -1.0 is out of range; allowed: "),
        ("polling.interval=nan", "--set: polling.interval: nan is not finite"),
        ("workload.traffic.rate=-1/s", "--set: workload.traffic.rate: -1.0 is out of range"),
        ("polling.interval", "--set: 'polling.interval' is no setting; allowed: KEY=VALUE"),
        ("push.connections=1", "--set: push.connections: no chosen system is one of push"),
    ],
)
def test_settings(refused, setting, part):
    assert part in refused(*POLLING, "--set", setting)


def test_systems_that_an_experiment_cannot_set(refused, folder):
    """No option of the user's is to blame."""
    (folder / "web.toml").write_text('name = "web"\n[requests]\n[cpu]\nrespond = "20 ms"\n')
    line = refused("latency", "--system", "./web.toml", "--quiet")
    assert line.startswith("latency: settings for ./web.toml: workload.topology: ")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('name = "x"\n[polling', "is not valid TOML"),
        ('name = "x"\n[polling]\nintervall = 1\n', "polling.intervall: unknown key"),
        ('name = "x"\n[polling]\ninterval = "1 kB"\n', "polling.interval: '1 kB' has the unit"),
        ('name = "x"\n[polling]\ninterval = nan\n', "polling.interval: nan is not finite"),
        (
            'name = "x"\n[polling]\n[workload.traffic]\nkind = "poisson"\nrate = -1\n',
            "workload.traffic.rate: -1.0 is out of range; allowed: a number > 0",
        ),
        (
            'name = "x"\n[polling]\n[store.query]\nfamily = "empirical"\nsamples = [1.0, nan]',
            "store.query.samples",
        ),
        ('name = "x"\n', "polling: is missing"),
        ('name = "x"\nserver = "no_module:X"', "server: there is no module no_module; allowed: "),
        (
            'name = "x"\nserver = "json:JSON"',
            "server: unknown server 'json:JSON'; allowed: package.",
        ),
        ('name = "x"\n[server]\nkind = "json:dumps"', "server.kind: json:dumps is no server; all"),
        ("", "is missing"),
    ],
)
def test_model_files(refused, folder, text, part):
    Path("broken.toml").write_text(text)
    line = refused("scaling", "--system", "./broken.toml")
    assert line.startswith("broken.toml: ")
    assert part in line


def test_a_model_file_that_is_not_there(refused):
    assert refused("scaling", "--system", "./no.toml").startswith("no.toml: does not exist")


def test_an_unknown_system(refused):
    line = refused("scaling", "--system", "seed-poling")
    assert line.startswith("--system: unknown system 'seed-poling' (did you mean 'seed-polling'?)")


def test_two_systems_of_one_name(refused, folder):
    Path("copy.toml").write_bytes(Path("polling.toml").read_bytes())
    line = refused(*POLLING, "--system", "./copy.toml")
    assert line.startswith("--system: two systems are called 'polling'")


def test_an_unknown_command(refused):
    line = refused("scalling")
    assert line.startswith("unknown command 'scalling' (did you mean 'scaling'?)")


@pytest.mark.parametrize(
    "arguments",
    [["scaling", "--agnets", "10"], ["scaling", "10"], ["latency", "--agents-per-server", "2"]],
)
def test_usage(refused, arguments):
    assert refused(*arguments)


def test_an_odd_number_of_agents_in_pairs(refused):
    line = refused(*POLLING, "--agents", "3", "--set", 'workload.topology="pair"')
    assert line.startswith("--agents: 3 do not pair up; allowed: an even number")


def test_a_folder_that_cannot_be(refused, folder):
    Path("file").write_text("")
    assert refused(*POLLING, "--output-dir", "file").startswith("--output-dir: 'file' cannot")
    assert refused(*POLLING, "--output-dir", "file/x").startswith("--output-dir: 'file/x' cannot")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["--precision", "p99"], "--precision: 'p99' is no target; allowed: METRIC=PERCENT"),
        (["--precision", "p99=few"], "--precision: 'p99=few' is no target"),
        (["--precision", "p99=0%"], "--precision: p99: 0.0 is out of range; allowed: a half-width"),
        (["--precision", "p99=100%"], "--precision: p99: 1.0 is out of range"),
        (
            ["--precision", "p98=5%"],
            "--precision: unknown metric 'p98' (did you mean",
        ),
        (["--precision", "max=5%"], "--precision: unknown metric 'max'"),
        (["--precision", "p99=5%", "--precision", "p99=1%"], "--precision: p99 is there twice"),
        (["--max-replications", "20"], "--max-replications: nothing says how precise; allowed: to"),
        (["--max-replications", "1"], "--max-replications: 1 is out of range"),
        (
            ["--precision", "p99=5%", "--replications", "20", "--max-replications", "10"],
            "--max-replications: 10 is out of range; allowed: a whole number >= 20",
        ),
    ],
)
@pytest.mark.parametrize("experiment", ["scaling", "latency"])
def test_precisions_that_cannot_be(refused, experiment, given, line):
    assert refused(experiment, "--system", "./polling.toml", "--quiet", *given).startswith(line)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--executor", "thread"], "--executor: unknown choice 'thread' (did you mean 'threads'?)"),
        (["--scheduler", "tcp://127.0.0.1:9"], "--scheduler: is for Dask alone; allowed: with"),
        (
            ["--executor", "dask", "--scheduler", "tcp://127.0.0.1:9"],
            "--scheduler: 'tcp://127.0.0.1:9' cannot be reached; allowed: the address of a Dask",
        ),
    ],
)
def test_executors(refused, options, line):
    if "dask" in options:
        pytest.importorskip("distributed")
    assert refused(*POLLING, *options).startswith(line)


def test_dask_that_is_not_installed(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    line = refused(*POLLING, "--executor", "dask")
    assert line.endswith("pip install 'lhsim[dask]'")


@pytest.mark.parametrize("content", [b"lhsim cells 9\n...", b"something else"])
def test_a_store_that_cannot_be_used_stays_as_it_is(refused, folder, content):
    store = Path("results/scaling/cells.store")
    store.parent.mkdir(parents=True)
    store.write_bytes(content)
    line = refused(*POLLING)
    assert line.startswith(f"--output-dir: '{store}' is ")
    assert store.read_bytes() == content


def test_a_store_that_is_in_use(refused, folder):
    with Store(Path("results/scaling")):
        line = refused(*POLLING, "--fresh")
    assert "is in use by another run; allowed: one run at a time" in line


SWEEP = 'kind = "sweep"\nsystems = ["./polling.toml"]\n'


@pytest.mark.parametrize(
    ("text", "more", "line"),
    [
        ("agents = [1]", [], 'mine.toml: kind: is missing; allowed: "sweep"; the other'),
        ('kind = "scaling"', [], "mine.toml: kind: unknown kind 'scaling'; allowed: sweep"),
        (SWEEP, [], "mine.toml: axes: is missing"),
        (
            SWEEP + '[axes]\nagents = [1]\n"polling.intervall" = [1]',
            [],
            "mine.toml: axes.\"polling.intervall\": unknown key (did you mean 'interval'?)",
        ),
        (
            SWEEP + '[axes]\nagents = [1]\n"polling.interval" = ["1 s", "1 kB"]',
            [],
            "mine.toml: axes.\"polling.interval\": '1 kB' has the unit 'kB'",
        ),
        (
            SWEEP + '[axes]\nagents = [1]\n"push.connections" = [1]',
            [],
            'mine.toml: axes."push.connections": no chosen system is one of push',
        ),
        (
            SWEEP + '[axes]\nagents = "lin 1..9"',
            [],
            'mine.toml: axes."agents": does not say how many values it has',
        ),
        (SWEEP + "[axes]\nagents = [1.5]", [], 'mine.toml: axes."agents": 1.5 is no number of'),
        (SWEEP + "[axes]\nagents = [0]", [], "--agents: 0 is out of range"),
        (
            SWEEP + '[axes]\nagents = [1]\n"polling.interval" = [1]',
            ["--set", "polling.interval=2"],
            "--set: polling.interval: polling.interval is an axis of the sweep",
        ),
    ],
)
def test_specifications(refused, folder, text, more, line):
    Path("mine.toml").write_text(text)
    assert refused("run", "./mine.toml", *more).startswith(line)


def test_a_specification_that_is_not_there(refused):
    assert refused("run", "./no.toml").startswith("no.toml: does not exist")
    assert refused("run", "intervalls").startswith("unknown experiment 'intervalls' (did you mean")


MIXTURE = """
name = "x"
push = {}
cpu.send = { family = "mixture", weights = [1e308, 1e308], components = [
  { family = "exponential", mean = "1 ms" }, { family = "exponential", mean = "2 ms" }] }
"""
LOGNORMAL = """
name = "x"
push = {}
cpu.send = { family = "lognormal", median = "1 ms", sigma = 1e200 }
"""


@pytest.mark.parametrize("text", [MIXTURE, LOGNORMAL], ids=["mixture", "lognormal"])
def test_a_distribution_without_moments_is_refused_in_a_line(folder, capsys, text):
    Path("x.toml").write_text(text)
    assert cli.run(["scaling", "--system", "./x.toml", "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("lhsim: error: ")
    assert "cpu.send" in captured.err
    assert not Path("results").exists()
