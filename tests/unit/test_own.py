"""A user's own server, distribution and traffic: named in a file, run, kept, and refused."""

from __future__ import annotations

import importlib
import sys
from itertools import count
from pathlib import Path

import pytest
from attrs import evolve

import lhsim
from lhsim import _own, parameters
from lhsim.distributions import Distribution
from lhsim.errors import InputError
from lhsim.execution import Cell
from lhsim.execution.identity import Keys
from lhsim.execution.sources import files_of
from lhsim.models import Server, System, paths
from lhsim.planning import scaled_out
from lhsim.planning.bounds import lower_bound, saturation
from lhsim.recording import Recording
from lhsim.simulation.settling import settling_time

MODULE = '''
"""A server, a distribution and traffic of one's own."""

import numpy as np
import simpy
from attrs import frozen

from lhsim.distributions import Distribution, Exponential
from lhsim.metrics.account import Outcome
from lhsim.models import OpenTraffic, Server, ServerProcesses
from lhsim.units import Seconds


@frozen
class Counter(Server):
    """Messages queue for so many clerks: a `simpy.Resource`."""

    clerks: int = 1
    service: Seconds = 0.01

    def serve(self, bridge):
        return CounterProcesses(self, bridge)


class CounterProcesses(ServerProcesses):
    def __init__(self, server, bridge):
        super().__init__(bridge)
        self.server = server
        self.clerks = simpy.Resource(self.env, server.clerks)

    def carry(self, message):
        with self.clerks.request() as turn:
            yield turn
            for one in message.together:
                one.stored = self.env.now
            yield self.env.timeout(self.server.service)
        for one in message.together:
            self.bridge.ledger.end(one, Outcome.DELIVERED, self.env.now)


@frozen
class Twice(Distribution):
    """The same duration or twice as long."""

    name = "twice"
    least: Seconds

    @property
    def mean(self):
        return 1.5 * self.least

    @property
    def variance(self):
        return self.least**2 / 4

    @property
    def breaks(self):
        return np.array([0.5])

    def _quantile(self, u):
        return np.where(u <= 0.5, self.least, 2 * self.least)

    def _cdf(self, x):
        return np.where(x >= 2 * self.least, 1.0, np.where(x >= self.least, 0.5, 0.0))


@frozen
class Often(OpenTraffic):
    """Exponential gaps."""

    name = "often"
    rate: float = 3.0

    @property
    def rate_per_agent(self):
        return self.rate

    @property
    def first_gap(self):
        return self.gap

    @property
    def gap(self):
        return Exponential(1 / self.rate)


class Half(Server):
    """No attrs class."""


@__import__("attrs").frozen
class Unfinished(Server):
    """Serves nobody."""


def function():
    """No class."""
'''
NUMBERS = count()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module in the working directory, which nobody has imported."""
    name = f"own_models_{next(NUMBERS)}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield name
    sys.modules.pop(name, None)


def system_of(text):
    Path("own.toml").write_text(f'name = "own"\n{text}')
    return lhsim.load_system("./own.toml")


def test_a_server_by_its_import_path(module):
    plain = system_of(f'server = "{module}:Counter"')
    table = system_of(f'[server]\nkind = "{module}:Counter"\nservice = "10 ms"')
    assert plain == table
    assert plain.architecture == "own"
    assert plain.server.service == 0.01
    run = lhsim.simulate(plain, agents=4, duration=30)
    assert run.metrics.successful_deliveries > 0
    assert run.latency.min == pytest.approx(0.01)
    assert run.engine_reason == "the compiled engine does not cover server"
    assert parameters.structure(parameters.unstructure(table), System, source="x") == table


def test_settings_reach_a_server(module):
    Path("own.toml").write_text(f'name = "own"\n[server]\nkind = "{module}:Counter"\n')
    system = lhsim.load_system("./own.toml", ["server.service=50ms", "server.clerks=3"])
    assert (system.server.service, system.server.clerks) == (0.05, 3)
    assert paths.value(system, "server.service") == 0.05
    assert paths.changed(system, "server.service*", 2.0).server.service == 0.1
    assert paths.is_whole(system, "server.clerks")


def test_a_distribution_and_traffic_run_on_both_engines(module):
    system = system_of(
        f'push = {{}}\n[cpu]\nsend = {{ family = "{module}:Twice", least = "2 ms" }}\n'
        f'[workload]\ntraffic = "{module}:Often"\n'
    )
    both = [lhsim.simulate(system, agents=4, duration=10, engine=e) for e in ("simpy", "compiled")]
    assert both[0].metrics == both[1].metrics
    assert both[0].latency.max >= 0.004


def test_an_entry_point(module, monkeypatch):
    announced = {"counter": f"{module}:Counter"}
    monkeypatch.setattr(_own, "announced", lambda base: announced if base is Server else {})
    assert system_of('server = "counter"') == system_of('[server]\nkind = "counter"')
    with pytest.raises(InputError, match=r"unknown kind 'conter' \(did you mean 'counter'\?\)"):
        system_of('server = "conter"')


def test_entry_points_are_those_of_the_groups():
    assert _own.announced(Server) == {}
    groups = {Server.entry_points, Distribution.entry_points, lhsim.models.OpenTraffic.entry_points}
    assert groups == {"lhsim.servers", "lhsim.distributions", "lhsim.traffic"}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("nowhere_at_all:X", "there is no module nowhere_at_all; allowed: a module that is inst"),
        ("lhsim.nowhere:X", "there is no module lhsim.nowhere; allowed: a module that is install"),
        ("MODULE:Countre", "unknown server 'MODULE:Countre' (did you mean 'MODULE:Counter'?); "),
        ("MODULE:Twice", "MODULE:Twice is no server; allowed: an attrs class derived from lhsim.m"),
        ("MODULE:function", "MODULE:function is no server; allowed: "),
        ("MODULE:Half", "MODULE:Half is no server; allowed: an attrs class derived from "),
        ("MODULE:Unfinished", "MODULE:Unfinished is not complete; allowed: a class that defines s"),
        ("MODULE:Counter.x", "'MODULE:Counter.x' is no import path; allowed: package.module:Class"),
        (":", "':' is no import path; allowed: package.module:Class"),
        ("counter", "unknown kind 'counter'; allowed: package.module:Class"),
    ],
)
def test_what_cannot_be_had_is_one_line(module, path, line):
    with pytest.raises(InputError) as caught:
        system_of(f'server = "{path.replace("MODULE", module)}"')
    text = str(caught.value).replace(module, "MODULE")
    assert text.startswith(f"own.toml: server: {line}")
    assert "\n" not in text


def test_a_module_that_cannot_be_imported_is_one_line(module):
    for text, line in {
        "import nowhere_at_all": "cannot be imported: No module named 'nowhere_at_all'",
        "1 / 0": "cannot be imported: ZeroDivisionError: division by zero",
        "def broken(:": "cannot be imported: SyntaxError: ",
    }.items():
        name = f"own_models_{next(NUMBERS)}"
        Path(f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        with pytest.raises(InputError, match=line):
            system_of(f'server = "{name}:X"')


def test_a_field_that_no_file_can_hold_is_one_line(module):
    Path(f"{module}.py").write_text(MODULE.replace("clerks: int = 1", "clerks: complex = 1"))
    with pytest.raises(InputError, match=r"own.toml: server.clerks: no file can hold its type"):
        system_of(f'[server]\nkind = "{module}:Counter"\nclerks = 1')


def test_exactly_one_server(module):
    with pytest.raises(InputError, match="push: stands beside server; allowed: exactly one of"):
        system_of(f'push = {{}}\nserver = "{module}:Counter"')


def test_the_compiled_engine_refuses(module):
    system = system_of(f'server = "{module}:Counter"')
    with pytest.raises(InputError, match=r"^engine: .* does not cover server; allowed"):
        lhsim.simulate(system, agents=2, duration=1, engine="compiled")


def test_what_is_planned_of_a_server_of_ones_own(module):
    system = system_of(f'server = "{module}:Counter"')
    assert lower_bound(system, 10) is None
    assert saturation(system) is None
    assert settling_time(system, 10) == 0.0
    assert scaled_out(system, 3).server == system.server


# --- what is kept --------------------------------------------------------------------------------


def key_of(module):
    sys.modules.pop(module, None)
    importlib.invalidate_caches()
    return Keys()(Cell(system_of(f'server = "{module}:Counter"'), 2, 5.0, 1))


def test_results_of_changed_code_are_not_reused(module):
    before = key_of(module)
    assert key_of(module) == before
    file = Path(f"{module}.py")
    file.write_text(MODULE.replace("yield turn", "yield turn  # waits"))
    assert key_of(module) != before
    file.write_text(MODULE)
    assert key_of(module) == before


def test_results_of_changed_helpers_are_not_reused(module):
    Path(f"{module}_help.py").write_text("SPEED = 1\n")
    Path(f"{module}.py").write_text(f"from {module}_help import SPEED\n{MODULE}")
    before = key_of(module)
    Path(f"{module}_help.py").write_text("SPEED = 2\n")
    assert key_of(module) != before


def test_the_code_of_a_package_is_all_of_it(tmp_path, monkeypatch):
    name = f"own_package_{next(NUMBERS)}"
    for part in ("__init__.py", "inner/__init__.py", "inner/models.py", "other.py", "../beside.py"):
        (tmp_path / name / part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name / part).write_text(MODULE if part.endswith("models.py") else "")
    monkeypatch.syspath_prepend(tmp_path)
    found = importlib.import_module(f"{name}.inner.models").Counter
    names = [str(path.relative_to(tmp_path.resolve() / name)) for path in files_of(found)]
    assert names == ["__init__.py", "inner/__init__.py", "inner/models.py", "other.py"]


def test_a_sweep_keeps_the_runs_of_a_server(module, tmp_path):
    system = system_of(f'server = "{module}:Counter"')
    ran = []
    for _ in range(2):
        lhsim.sweep(system, [2], replications=2, duration=5.0, folder=tmp_path / "kept",
                    on_done=lambda *one: ran.append(one))  # fmt: skip
    assert len(ran) == 2


def test_code_that_is_in_no_file_is_not_kept(tmp_path):
    space = {"__name__": "__main__"}
    exec(MODULE, space)
    system = System("own", server=space["Counter"]())
    assert lhsim.simulate(system, agents=2, duration=5).metrics.successful_deliveries > 0
    lhsim.sweep(system, [2], replications=1, duration=5.0)
    with pytest.raises(InputError, match=r"^the code of __main__:Counter is in no f"):
        lhsim.sweep(system, [2], replications=1, duration=5.0, folder=tmp_path)


def test_workers_of_other_processes_find_the_module(module):
    system = system_of(f'server = "{module}:Counter"')
    systems = [system, evolve(system, name="again")]
    sweep = lhsim.sweep(systems, [2], replications=1, duration=5.0, jobs=2, executor="processes")
    assert not sweep.failed
    assert len(sweep.results) == 2


def test_a_recording_that_names_a_class_does_not_import_it(tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("open('sprung', 'w')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "manifest.toml").write_text(
        'architecture = "push"\nagents = 1\nseed = 1\nwarmup = 0\nduration = 1\n'
        '[workload]\ntraffic = "trap:Often"\n'
    )
    with pytest.raises(InputError, match=r"workload\.traffic.*a file of data runs no code"):
        Recording.read(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_an_entry_point_that_data_name_is_not_imported(module, monkeypatch):
    data = {"name": "x", "server": "blackboard"}
    with pytest.raises(InputError, match="is not one of lhsim's own"):
        parameters.structure(data, System, source="x", own_classes=False)
    with pytest.raises(InputError, match="is not one of lhsim's own"):
        parameters.structure({**data, "server": module + ":X"}, System, source="x",
                             own_classes=False)  # fmt: skip
