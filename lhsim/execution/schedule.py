"""The order in which cells are begun by several workers.

The longest come first, so that in the end no worker is left alone with one. Where an engine is
still to be compiled its cells come after all others: the shortest first, if SimPy does all of them
sooner. If one has to wait for the compiler anyway, what SimPy did meanwhile would only keep it from
its work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from lhsim import compiled
from lhsim.execution.cells import Cell, engine_of, work_of

Kind = tuple[str, int]  # of a kernel


class Schedule:
    """Cells that wait, by their indices.

    Parameters
    ----------
    cells
        What is to be run.
    elsewhere
        Whether that is on other machines, of whose compilers nothing is known here.
    """

    def __init__(self, cells: Sequence[Cell], *, elsewhere: bool = False) -> None:
        self._work = [work_of(cell) for cell in cells]
        self._groups: dict[Kind | None, deque[int]] = {}  # the shortest cells first
        for index in sorted(range(len(cells)), key=lambda i: (self._work[i], -i)):
            kind = None if elsewhere else _kind_of(cells[index])
            self._groups.setdefault(kind, deque()).append(index)
        self._chosen: tuple[int, deque[int]] | None = None

    def __bool__(self) -> bool:
        return bool(self._groups)

    def first(self) -> int:
        """Return the cell that is next; it still waits."""
        if self._chosen is None:
            self._chosen = self._choose()
        return self._chosen[0]

    def _choose(self) -> tuple[int, deque[int]]:
        """Return a cell and the group that it is in."""
        left = {kind: _seconds_left(kind) for kind in self._groups}
        ready = [group for kind, group in self._groups.items() if left[kind] == 0]
        sooner = [group for kind, group in self._groups.items()
                  if self._work[group[-1]] < left[kind]]  # fmt: skip
        if sooner and not ready:
            group = min(sooner, key=lambda group: self._work[group[0]])
            return group[0], group
        group = max(ready or self._groups.values(), key=lambda group: self._work[group[-1]])
        return group[-1], group

    def take(self) -> int:
        """Return the cell that is next, which waits no more."""
        index = self.first()
        assert self._chosen is not None
        group = self._chosen[1]
        group.remove(index)
        self._groups = {kind: some for kind, some in self._groups.items() if some}
        self._chosen = None
        return index

    def rest(self) -> list[int]:
        """Return all cells that wait."""
        return [index for group in self._groups.values() for index in group]


def _kind_of(cell: Cell) -> Kind | None:
    """Return the kernel that a cell may wait for; None where it waits for none."""
    if cell.engine != "auto" or engine_of(cell) != "compiled":
        return None
    return compiled.kind_of(cell.system)


def _seconds_left(kind: Kind | None) -> float:
    """Return how long it takes until a kernel can run [s]; it begins to be compiled."""
    return 0.0 if kind is None else compiled.seconds_left(kind)
