"""The wheel in an environment of its own, far from the checkout: it has all that it needs.

The packages that lhsim needs come from the environment of the tests, lhsim itself from the wheel.
With LHSIM_WHEEL_FROM_INDEX=1 the environment is empty, and pip fetches them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FROM_INDEX = bool(os.environ.get("LHSIM_WHEEL_FROM_INDEX"))

pytest.importorskip("hatchling")


def run(*command, cwd, **more):
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=clean | {"COLUMNS": "80", "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
        **more,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = ["pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", folder, ROOT]
    run(sys.executable, "-m", *command, cwd=folder)
    (found,) = folder.glob("lhsim-*.whl")
    return found


@pytest.fixture(scope="module")
def bin_folder(wheel, tmp_path_factory):
    """The programs of an environment with the wheel; its packages are from here or an index."""
    place = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", place, cwd=place)
    programs = place / ("Scripts" if os.name == "nt" else "bin")
    how = [] if FROM_INDEX else ["--no-deps", "--no-index"]
    pip = [programs / "python", "-m", "pip", "install", "--quiet", *how]
    run(*pip, "-c", ROOT / "constraints.txt", wheel, cwd=place)
    if not FROM_INDEX:
        (packages,) = place.glob("[Ll]ib/**/site-packages")
        here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        here |= {path for path in sys.path if path.endswith("site-packages")}
        (packages / "here.pth").write_text("\n".join(sorted(here)))
    return programs


@pytest.fixture
def far(tmp_path):
    """A working directory that knows nothing of the checkout."""
    return tmp_path


def test_the_wheel_has_its_data_and_no_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for needed in ("lhsim/py.typed", "lhsim/_data/models/polling.toml",
                   "lhsim/_data/experiments/scaling.toml",
                   "lhsim/experiments/start/server.toml",
                   "lhsim/explore/templates/explore.html",
                   "lhsim/explore/vendor/uPlot.iife.min.js",
                   "lhsim/explore/vendor/LICENSE"):  # fmt: skip
        assert needed in names
    assert not [name for name in names if name.startswith(("tests", "notebooks", "docs"))]


def test_lhsim_is_that_of_the_wheel(bin_folder, far):
    code = "import lhsim, lhsim.testing; print(lhsim.__file__, lhsim.systems())"
    printed = run(bin_folder / "python", "-c", code, cwd=far)
    assert str(bin_folder.parent) in printed
    assert "'polling'" in printed


def test_the_command_line(bin_folder, far):
    assert "lhsim init" in run(bin_folder / "lhsim", cwd=far)
    assert "seed-push" in run(bin_folder / "lhsim", "list", cwd=far)
    run(bin_folder / "lhsim", "init", "study", cwd=far)
    more = ["--duration", "10", "--replications", "1", "--quiet", "--engine", "simpy"]
    study = far / "study"
    printed = run(bin_folder / "lhsim", "run", "./sweep.toml", *more, cwd=study)
    assert "busiest" in printed
    scaling = ["scaling", "--system", "./server.toml", "--agents", "10"]
    run(bin_folder / "lhsim", *scaling, *more, cwd=study)
    assert (study / "results" / "scaling" / "scaling.png").exists()


def test_the_examples(bin_folder, far):
    for name in ("compare_designs", "nightly_check", "cost_of_growth", "service_times"):
        shutil.copy(ROOT / "examples" / f"{name}.py", far)
        assert "usage" in run(bin_folder / "python", f"{name}.py", "--help", cwd=far)
    arguments = ["polling", "push", "--agents", "10", "--replications", "2", "--duration", "20"]
    simpy = ["--engine", "simpy"]  # which need not be compiled in a new environment
    printed = run(bin_folder / "python", "compare_designs.py", *arguments, *simpy, cwd=far)
    assert "A/B" in printed


def test_the_code_of_a_notebook(bin_folder, far):
    """That of the server of one's own, whose module is found in the working directory."""
    book = json.loads((ROOT / "notebooks" / "05-write-your-own-server.ipynb").read_text())
    cells = ["".join(one["source"]) for one in book["cells"] if one["cell_type"] == "code"]
    script = []
    for cell in cells:
        first, _, rest = cell.partition("\n")
        if first.startswith("%%writefile "):
            (far / first.split()[1]).write_text(rest)
        elif "vary=" not in cell:  # the search takes half a minute
            lines = [line for line in cell.splitlines() if not line.startswith("%")]
            script += [*lines[:-1], f"last = {lines[-1]}" if lines[-1:] == ["sweep"] else lines[-1]]
    text = "\n".join(script).replace('"push"], ', "], ")  # which would have to be compiled
    (far / "notebook.py").write_text(text)
    printed = run(bin_folder / "python", "notebook.py", cwd=far)
    assert "kept" in printed
    assert "M/M/4" in printed
