"""The front doors of the packages: each public name comes with its own module alone."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import lhsim

STUBS = sorted(Path(lhsim.__file__).parent.rglob("__init__.pyi"))
PACKAGES = [".".join(("lhsim", *path.relative_to(STUBS[0].parent).parts[:-1])) for path in STUBS]


def loaded_after(code):
    """Return which modules a new interpreter has imported after some code."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()


@pytest.mark.parametrize("name", PACKAGES)
def test_a_front_door_has_all_that_it_announces(name):
    package = import_module(name)
    assert set(dir(package)) == set(package.__all__)
    assert all(hasattr(package, public) for public in package.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        _ = lhsim.nothing


def test_the_package_alone_imports_no_array_and_no_simulation():
    modules = loaded_after("import lhsim, lhsim.models, lhsim.simulation, lhsim.execution")
    assert not {"numpy", "simpy", "numba", "lhsim.models.system"} & set(modules)


def test_a_description_imports_no_process():
    modules = loaded_after("from lhsim.models import System; System")
    assert not {"simpy", "lhsim.models.bridge", "lhsim.models.station"} & set(modules)


def test_families_are_found_by_name_before_anybody_has_imported_them():
    code = (
        "from lhsim.distributions import Distribution\n"
        "from lhsim.parameters import variants_of\n"
        "assert {'exponential', 'mixture', 'empirical'} <= set(variants_of(Distribution))"
    )
    assert "lhsim.distributions.families" in loaded_after(code)
