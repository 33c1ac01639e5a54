"""What the machine has: the memory that is free, on it and in the container around us."""

from __future__ import annotations

from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")  # version 2


def free_memory(cgroup: Path = _CGROUP) -> float:
    """Return the memory that can be had without swapping [B]."""
    return min(psutil.virtual_memory().available, _left_in_container(cgroup))


def size(amount: float) -> str:
    """Return an amount of memory [B] for people."""
    return f"{amount / 1e9:,.3g} GB" if amount >= 1e9 else f"{amount / 1e6:,.3g} MB"


def _left_in_container(cgroup: Path) -> float:
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = float((cgroup / "memory.current").read_text())
    except (OSError, ValueError):  # no Linux, or not in a container
        return float("inf")
    return float("inf") if limit == "max" else max(0.0, float(limit) - used)
