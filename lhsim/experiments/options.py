"""What a user may ask of any experiment, whatever the front end, and how a run of it ends."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

MAX_SEED = 2**63 - 1  # as in lhsim.streams, whose compiler a line of help need not wait for
DONE, FAILED, BAD_INPUT, NOT_KEPT, INTERRUPTED = 0, 1, 2, 3, 130  # exit codes

FORMATS = ("table", "json", "csv")
ENGINES = ("auto", "simpy", "compiled")
EXECUTORS = ("serial", "threads", "processes", "dask")  # as in lhsim.execution, likewise


@frozen
class Options:
    """What the user asks of an experiment; None where the experiment's file decides."""

    agents: tuple[int, ...] | None
    systems: tuple[str, ...]
    settings: tuple[str, ...]
    seed: int
    jobs: int
    engine: str
    output_dir: Path
    output_format: str
    show_progress: bool
    quiet: bool
    replications: int | None = None
    duration: float | None = None  # [s]
    max_events: int | None = None
    fail_fast: bool = False
    agents_per_server: int | None = None  # of the scaled-out systems, where there are some
    executor: str | None = None  # None: what is best for the engine
    scheduler: str | None = None  # address of a Dask scheduler
    fresh: bool = False  # forget what is in the output folder's store
    precision: dict[str, float] = field(factory=dict)  # relative half-widths, by measure
    max_replications: int | None = None  # with a precision
