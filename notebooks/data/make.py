"""Writes the recordings beside this file, from which the notebook 03 calibrates.

::

    python notebooks/data/make.py

It takes some two minutes, two cores and the extra ``live``: for each run a real bridge is started
on this machine, and measured, by `lhsim.validation`. Windows are short, so that files are small.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from attrs import evolve

from lhsim.recording import Recording
from lhsim.validation import QUICK, validate

HERE = Path(__file__).parent


def main() -> None:
    """Measure, and write all recordings anew."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--machine", help="what the manifests say of it, instead of its versions")
    machine = parser.parse_args().machine
    with tempfile.TemporaryDirectory() as folder:
        found = validate(QUICK, "polling", Path(folder), tell=print)
        for kind, runs in (("calibrate", found.runs), ("check", found.predicted)):
            shutil.rmtree(HERE / kind, ignore_errors=True)
            for run in runs:
                name = f"{run.manifest.agents}-agents-seed-{run.manifest.seed}"
                described(run, machine).write(HERE / kind / name)
    print(f"the model is {found.crosscheck.verdict}")


def described(run: Recording, machine: str | None) -> Recording:
    """Return a run whose manifest describes the machine in these words, if there are any."""
    if machine is None:
        return run
    where = evolve(run.manifest.machine, host=machine)
    return evolve(run, manifest=evolve(run.manifest, machine=where))


if __name__ == "__main__":
    main()
