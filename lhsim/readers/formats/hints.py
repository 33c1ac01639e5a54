"""What a user says of a log, without what reads it: the command line's help needs no more."""

from __future__ import annotations

from attrs import fields, frozen

AUTO = "auto"  # the format that a file looks like
NAMES = (
    "requests", "pgbench", "pgbench-rate", "pgbench-retries", "k6-csv", "k6-json", "jmeter-csv",
    "jmeter-xml", "vegeta-csv", "vegeta-json", "hey", "otlp", "access-log",
)  # fmt: skip


@frozen
class Hints:
    """What the user says of a file because the file does not."""

    unit: str | None = None  # of its times: s, ms, us or ns
    stamps: str | None = None  # whether its time stamps are those of starts or ends
    log_format: str | None = None  # of an access log
    client: str | None = None  # variable of that format which names the client of a request
    span_kind: str | None = None  # of traces: server or client
    sleep_first: float = 0.0  # of pgbench's script, before its first command [s]
    sleep_last: float = 0.0  # of pgbench's script, after its last command [s]

    def given(self) -> set[str]:
        """Return the names of what is said."""
        return {one.name for one in fields(Hints) if getattr(self, one.name) != one.default}
