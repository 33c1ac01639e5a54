"""What Numba keeps on the disk is compiled anew where it is damaged, and never stops a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# One small function, compiled and kept as the kernels are.
LOOK_UP = """
import logging; logging.basicConfig(format="%(message)s")
from lhsim.distributions import Exponential, look_up
table = Exponential(1.0).table()
print(look_up(table.cells, 0.5).hex(), len(look_up.stats.cache_hits))
"""
CHOOSE = """
import lhsim
from lhsim.simulation import engines
print(*engines.choose("auto", lhsim.load_system("push")), sep=": ")
"""


def ran(code: str, cache: Path, **more: str) -> tuple[str, str]:
    """Run some code in a process of its own; return what it printed, and what it complained of."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache), **more},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


def kept(cache: Path, suffix: str) -> Path:
    files = [path for path in cache.rglob(f"*{suffix}") if "look_up" in path.name]
    return max(files, key=lambda path: path.stat().st_mtime)  # Numba leaves stale ones


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """A folder with what was compiled, and what it comes to."""
    cache = tmp_path_factory.mktemp("cache")
    return cache, ran(LOOK_UP, cache)[0].split()[0]


DAMAGE = {
    "cut off": lambda content: content[: len(content) // 2],
    "garbage": lambda _: b"\0" * 500,
    "one bit": lambda content: content[:-200] + bytes([content[-200] ^ 1]) + content[-199:],
}


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_made_anew_with_a_notice(cached, suffix, damage):
    cache, value = cached
    file = kept(cache, suffix)
    content = file.read_bytes()
    file.write_bytes(damage(content))
    printed, said = ran(LOOK_UP, cache)
    assert printed.split()[0] == value
    if suffix == ".nbc" or len(damage(content)) != len(content):
        assert f"{file} is damaged, or cannot be read; compiling anew" in said
    again, said = ran(LOOK_UP, cache)
    assert (again, said) == (f"{value} 1", "")  # what was made anew is kept


def test_a_data_file_that_is_gone_is_made_anew(cached):
    cache, value = cached
    kept(cache, ".nbc").unlink()
    assert ran(LOOK_UP, cache)[0] == f"{value} 0"
    assert ran(LOOK_UP, cache)[0] == f"{value} 1"


def test_a_disk_without_room_for_the_cache_is_a_notice(tmp_path):
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n" + LOOK_UP
    printed, said = ran(code, tmp_path)
    assert printed.endswith(" 0")
    assert "compiled code cannot be kept: File too large" in said


def test_a_folder_that_cannot_be_is_no_obstacle(tmp_path):
    (tmp_path / "file").write_text("")
    assert ran(LOOK_UP, tmp_path / "file" / "cache")[0].endswith((" 0", " 1"))


def test_with_numbas_compiler_turned_off_simpy_runs_and_says_why(tmp_path):
    printed, _ = ran(CHOOSE, tmp_path, NUMBA_DISABLE_JIT="1")
    assert printed == "simpy: NUMBA_DISABLE_JIT turns the compiler off"


def test_the_compiled_engine_is_refused_in_a_line_where_the_compiler_is_off(tmp_path):
    code = """
import lhsim
try:
    lhsim.simulate("push", agents=2, duration=1.0, engine="compiled")
except lhsim.InputError as error:
    print(error)
"""
    printed, _ = ran(code, tmp_path, NUMBA_DISABLE_JIT="1")
    assert printed == "engine: NUMBA_DISABLE_JIT turns the compiler off; allowed: auto, simpy"


def test_simpy_has_the_same_bits_without_the_compiler(tmp_path):
    code = """
import lhsim
print(repr(lhsim.simulate("seed-push", agents=3, duration=20.0, engine="simpy").metrics))
"""
    off, _ = ran(code, tmp_path, NUMBA_DISABLE_JIT="1")
    assert off == ran(code, tmp_path)[0]
