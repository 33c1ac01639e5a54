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
    parse_pause,
    shown,
    silence_options,
    whole,
)
from lhsim.errors import InputError
from lhsim.experiments.extras import NEEDED_BY_MCP, check_extra
from lhsim.experiments.options import MAX_SEED
from lhsim.live.origins import Origin
from lhsim.live.settings import RateLimit
from lhsim.units import PER_SECOND

_ALLOWED_RATE = "RATE or RATE,BURST, such as 10/min,13; 1e-6/s to 1e6/s, bursts of 1-1,000,000"
_TIME = Parsed("TIME", parse_duration)
_PAUSE = Parsed("TIME", parse_pause)


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


def parse_origin(text: str) -> str:
    """Return a text that is an origin, to which a server may post."""
    Origin.of(text)
    return text


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
@option("--config", "TOML file with settings; the options here override it.", metavar="FILE")
@option("--host", "Address to listen on.  [default: 127.0.0.1]", metavar="ADDRESS")
@option("--port", "Port to listen on; 0 takes a free one.  [default: 8765]", type=whole(0, 65535))
@option("--allow-remote", "Allow a --host that other machines can reach; needs an enrolment key.",
        is_flag=True)  # fmt: skip
@option(
    "--store",
    "Database: PATH, sqlite:///PATH or postgresql://...  [default: lhsim.db]",
    metavar="URL",
)
@option("--interval", "Time a poll waits between two queries.  [default: 1 s]", type=_TIME)
@option("--timeout", "Longest time a poll waits for a message.  [default: 60 s]", type=_PAUSE)
@option("--short-poll", "Answer polls at once, empty or not; clients sleep for --interval.",
        is_flag=True)  # fmt: skip
@option("--limit", "Most messages in one response.  [default: 10]", type=whole(1, 1000))
@option("--connections", "Most waiting polls, and most push connections.  [default: 2000]",
        type=whole(1, 10**6))  # fmt: skip
@option(
    "--outbound", "Most messages queued per push connection.  [default: 100]", type=whole(1, 10**5)
)
@option("--outbound-policy", "What to do with a message that finds the queue full.  "
        "[default: drop_new]",
        type=choice("drop_new", "disconnect"))  # fmt: skip
@option("--rate-limit", "Limit of each agent, such as 10/min, or with a burst 10/min,13.",
        type=Parsed("RATE[,BURST]", parse_limit))  # fmt: skip
@option("--max-body", "Most bytes of a request.  [default: 1000000]", type=whole(1024, 16_000_000))
@option("--queue", "Offer a queue, whose messages go to whoever asks first.", is_flag=True)
@option("--visibility", "Time until a message that was taken from the queue, and is not deleted, "
        "is there again.  [default: 30 s]", type=_TIME)  # fmt: skip
@option("--webhook-allow", "Post messages to endpoints of agents, at this address alone, such as "
        "http://127.0.0.1:9000, or http://127.0.0.1:* for all its ports; repeatable.",
        multiple=True, type=Parsed("ORIGIN", parse_origin))  # fmt: skip
@option("--mcp", "Let agents also ask one another by MCP, at URL/mcp.",
        is_flag=True)  # fmt: skip
@option("--batch-size", "Most messages per write transaction.  [default: 1]", type=whole(1, 10_000))
@option("--linger", "Time a batch waits for more messages.  [default: 0]", type=_PAUSE)
@option(
    "--store-connections",
    "Connections that query, with PostgreSQL.  [default: 1]",
    type=whole(1, 100),
)
@option("--secret-file", "File with the secret that signs tokens.  [default: LHSIM_SECRET, or "
        "a random one]",
        metavar="FILE")  # fmt: skip
@option("--enrolment-file", "File with the key that agents need for a session.  [default: "
        "LHSIM_ENROLMENT_KEY, or none needed]", metavar="FILE")  # fmt: skip
@option("--stage-times", "Write the time of each stage to this .parquet or .csv file at the end.",
        metavar="FILE")  # fmt: skip
@option("--workers", "Only 1: one process knows who is connected.", type=whole(1, 1), default=1)
def serve(**given: Any) -> int:
    """Run a real server that offers polling and push.

    It prints its URL and runs until SIGTERM or Ctrl-C. It is the server that the default models
    describe; the documentation calls it the bridge.
    """
    check_extra()
    del given["workers"]
    allowed = given.pop("webhook_allow")
    given["webhook"] = {"allow": list(allowed)} if allowed else None
    return experiments.run_serve(given.pop("config"), given)


@click.command(cls=Command)
@option("--over", "Print instead which alerts would have fired in a recording of lhsim measure, "
        "and when.", type=PATH, metavar="RUN")  # fmt: skip
def alerts(over: Path | None) -> None:
    """Print Prometheus alert rules for lhsim serve.

    They use the metrics that the server exports at /metrics.
    """
    click.echo(experiments.alerts_text(over))


@click.command(cls=Command)
@click.option(
    "--url", required=True, metavar="URL", help="URL of the server, such as http://127.0.0.1:8765."
)
@click.option("--architecture", required=True, type=choice("polling", "push", "mcp"),
              help="How agents get messages; mcp sends questions.")  # fmt: skip
@click.option("--era", type=choice("legacy", "modern"),
              help="MCP protocol version, with --architecture mcp.  [default: modern]")  # fmt: skip
@click.option("--agents", required=True, type=whole(1), help="Number of agents.")
@click.option("--rate", type=Parsed("RATE", parse_rate),
              help="Messages per agent per second, Poisson.  [default: 1]")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="Change the workload, such as workload.topology=pair, or what targets of "
              "webhooks do, such as push.webhook.failure=0.1; repeatable.")  # fmt: skip
@click.option("--webhook", is_flag=True,
              help="Agents receive by webhooks, with --architecture push.")  # fmt: skip
@click.option(
    "--duration",
    type=_TIME,
    default="20s",
    help="Length of the measured window.",
    show_default=True,
)
@click.option(
    "--warmup", type=_TIME, default="3s", help="Load before the window.", show_default=True
)
@click.option("--drain", type=_TIME, default="2s", show_default=True,
              help="Load after the window, while its last messages arrive.")  # fmt: skip
@click.option("--seed", type=whole(0, MAX_SEED), default=1, show_default=True,
              help="Seed of the schedule, the same as in a simulation.")  # fmt: skip
@click.option("--processes", type=whole(1, 64), default=2, show_default=True,
              help="Processes that generate load.")  # fmt: skip
@click.option("--server-core", type=whole(0), help="Core of this machine that the server runs "
              "on; its speed is recorded.")  # fmt: skip
@click.option("--payload", type=whole(0, 100_000), default=100, show_default=True,
              help="Bytes per message.")  # fmt: skip
@click.option("--enrolment-file", metavar="FILE", help="File with the server's enrolment key, if "
              "it has one.  [default: LHSIM_ENROLMENT_KEY]")  # fmt: skip
@click.option("--output-dir", "-o", required=True, metavar="DIR", type=PATH,
              help="New folder for the recording.")  # fmt: skip
@format_option(("table", "json"), "output_format")
@options(silence_options())
def measure(**given: Any) -> int:
    """Put load on a real server and record it.

    The server is one of lhsim serve, or one with its API. The load is open loop: its schedule does
    not wait for responses. `lhsim calibrate` and `lhsim crosscheck` read the folder, except with
    mcp, for which there is no model.
    """
    check_extra(("httptools", "websockets"), command="lhsim measure")
    if given["architecture"] == "mcp":
        check_extra(NEEDED_BY_MCP, extra="mcp", command="lhsim measure")
    return experiments.run_measure(**shown(given))
