"""The commands of real servers: ``lhsim serve``, ``alerts`` and ``measure``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from lhsim import experiments
from lhsim.cli.commands import Command
from lhsim.cli.options import (
    PATH,
    Parsed,
    choice,
    format_option,
    option,
    options,
    parse_duration,
    shown,
    silence_options,
    whole,
)
from lhsim.errors import InputError
from lhsim.experiments.extras import NEEDED_BY_MCP, check_extra
from lhsim.experiments.options import MAX_SEED
from lhsim.live.settings import RateLimit
from lhsim.units import PER_SECOND

_ALLOWED_RATE = "RATE or RATE,BURST, such as 10/min,13; 1e-6/s to 1e6/s, bursts of 1-1,000,000"
_TIME = Parsed("TIME", parse_duration)


def parse_limit(text: str) -> dict[str, float | int]:
    """Return a rate limit from a text such as ``"10/min"`` or ``"10/min,13"``."""
    rate, _, burst = (part.strip() for part in text.partition(","))
    try:
        plain = rate.isascii() and rate.isdigit()
        number = PER_SECOND.parse(float(rate) if plain else rate)
    except InputError as error:
        raise InputError(error.problem, allowed=_ALLOWED_RATE) from None
    try:
        digits = burst or "1"
        limit = RateLimit(number, int(digits) if digits.isascii() and digits.isdigit() else 0)
    except (InputError, ValueError):  # the second for very many digits
        raise InputError(f"{text[:40]!r} is out of range", allowed=_ALLOWED_RATE) from None
    return {"rate": limit.rate, "burst": limit.burst}


def parse_rate(text: str) -> float:
    """Return messages per second from a number of them."""
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 1e-9 <= rate <= 1e9:
        allowed = "messages of an agent per second, 1e-9 to 1e9"
        raise InputError(f"{text[:40]!r} is no rate", allowed=allowed)
    return rate


@click.command(cls=Command)
@option("--config", "Settings from a TOML file; the options here come on top.", metavar="FILE")
@option("--host", "Where to listen.  [default: 127.0.0.1]", metavar="ADDRESS")
@option("--port", "0 for one that is free.  [default: 8765]", type=whole(0, 65535))
@option("--allow-remote", "Listen also where others reach it; needs an enrolment key.",
        is_flag=True)  # fmt: skip
@option("--store", "PATH, sqlite:///PATH or postgresql://...  [default: lhsim.db]", metavar="URL")
@option("--interval", "Sleep of a request between two queries.  [default: 1 s]", type=_TIME)
@option("--timeout", "Of a request that finds nothing.  [default: 60 s]", type=_TIME)
@option("--limit", "Messages in an answer.  [default: 10]", type=whole(1, 1000))
@option("--connections", "Requests held, and push connections, at a time.  [default: 2000]",
        type=whole(1, 10**6))  # fmt: skip
@option(
    "--outbound", "Messages queued for a push connection.  [default: 100]", type=whole(1, 10**5)
)
@option("--outbound-policy", "What happens to one more.  [default: drop_new]",
        type=choice("drop_new", "disconnect"))  # fmt: skip
@option("--rate-limit", "Of each agent, such as 10/min, or with a burst 10/min,13.",
        type=Parsed("RATE[,BURST]", parse_limit))  # fmt: skip
@option("--max-body", "Bytes of a request.  [default: 1000000]", type=whole(1024, 16_000_000))
@option("--mcp", "Agents can also ask one another by MCP, at URL/mcp.",
        is_flag=True)  # fmt: skip
@option("--batch-size", "Messages written in one transaction.  [default: 1]", type=whole(1, 10_000))
@option("--linger", "A batch waits so long for more.", type=_TIME)
@option("--store-connections", "That query; PostgreSQL alone.  [default: 1]", type=whole(1, 100))
@option("--secret-file", "Signs tokens; else LHSIM_SECRET, else one for this run.",
        metavar="FILE")  # fmt: skip
@option("--enrolment-file", "Key for which sessions are created; else LHSIM_ENROLMENT_KEY, else "
        "for the asking.", metavar="FILE")  # fmt: skip
@option("--stage-times", "Write at the end what each stage took: .parquet or .csv.",
        metavar="FILE")  # fmt: skip
@option("--workers", "1: who is connected is known to one process.", type=whole(1, 1), default=1)
def serve(**given: Any) -> int:
    """Run a real server of the kind that is simulated, with polling and push.

    It runs until SIGTERM or Ctrl-C, and prints its URL.
    """
    check_extra()
    del given["workers"]
    return experiments.run_serve(given.pop("config"), given)


@click.command(cls=Command)
@option("--over", "Say instead which would have fired in a run, a folder of lhsim measure, and "
        "when.", type=PATH, metavar="RUN")  # fmt: skip
def alerts(over: Path | None) -> None:
    """Print alert rules for Prometheus, for what lhsim serve shows at /metrics."""
    click.echo(experiments.alerts_text(over))


@click.command(cls=Command)
@click.option("--url", required=True, help="Of the bridge, such as http://127.0.0.1:8765.")
@click.option("--architecture", required=True, type=choice("polling", "push", "mcp"),
              help="How the agents receive; with mcp, messages are questions.")  # fmt: skip
@click.option("--era", type=choice("legacy", "modern"),
              help="Of the protocol, with mcp.  [default: modern]")  # fmt: skip
@click.option("--agents", required=True, type=whole(1), help="How many.")
@click.option("--rate", type=Parsed("RATE", parse_rate),
              help="Messages of an agent per second, Poisson.  [default: 1]")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="Of the workload, such as workload.topology=pair; repeatable.")  # fmt: skip
@click.option("--duration", type=_TIME, default="20s", help="Of the window.", show_default=True)
@click.option("--warmup", type=_TIME, default="3s", help="Before it.", show_default=True)
@click.option("--drain", type=_TIME, default="2s", show_default=True,
              help="After it; load goes on.")  # fmt: skip
@click.option("--seed", type=whole(0, MAX_SEED), default=1, show_default=True,
              help="Of the schedule, the same as in a simulation.")  # fmt: skip
@click.option("--processes", type=whole(1, 64), default=2, show_default=True,
              help="Of the driver.")  # fmt: skip
@click.option("--server-core", type=whole(0), help="Of this machine, on which the server runs: its "
              "pace is recorded.  [default: not]")  # fmt: skip
@click.option("--payload", type=whole(0, 100_000), default=100, show_default=True,
              help="Bytes of a message.")  # fmt: skip
@click.option("--enrolment-file", metavar="FILE", help="Key of the bridge, if it has one; else "
              "LHSIM_ENROLMENT_KEY.")  # fmt: skip
@click.option("--output-dir", "-o", required=True, metavar="DIR", type=PATH,
              help="For the recording; nothing is overwritten.")  # fmt: skip
@format_option(("table", "json"), "output_format")
@options(silence_options())
def measure(**given: Any) -> int:
    """Measure a bridge: open loop, from processes of its own.

    Load goes to the URL given, for the time given, and ends with it. The result is a folder for
    lhsim.calibration and lhsim crosscheck, but with mcp, of which there is no model.
    """
    check_extra(("httptools", "websockets"), command="lhsim measure")
    if given["architecture"] == "mcp":
        check_extra(NEEDED_BY_MCP, extra="mcp", command="lhsim measure")
    return experiments.run_measure(**shown(given))
