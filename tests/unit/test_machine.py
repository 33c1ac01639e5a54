"""What is free in memory, on the machine and in a container."""

import psutil
import pytest

from lhsim import _machine


@pytest.fixture
def machine(monkeypatch):
    class Memory:
        available = 8e9

    monkeypatch.setattr(psutil, "virtual_memory", Memory)


def test_a_machine_without_a_container_has_what_is_available(machine, tmp_path):
    assert _machine.free_memory(tmp_path) == 8e9


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [("max", "1000", 8e9), ("3000", "1000", 2000), ("1000", "3000", 0), ("9e10", "0", 8e9)],
)
def test_a_container_has_what_it_has_not_used_of_its_limit(machine, tmp_path, limit, used, free):
    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.current").write_text(used + "\n")
    assert _machine.free_memory(tmp_path) == free


def test_sizes_for_people():
    assert [_machine.size(amount) for amount in (1.5e6, 2e9)] == ["1.5 MB", "2 GB"]
