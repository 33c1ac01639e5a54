"""The commands ``lhsim serve`` and ``lhsim alerts``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from lhsim.errors import InputError
from lhsim.experiments.notices import Command
from lhsim.experiments.options import DONE, PATH, Parsed, choice, parse_duration, whole
from lhsim.units import PER_SECOND

# The libraries of the extra, by the names under which they are imported.
NEEDED = ("starlette", "uvicorn", "httptools", "websockets", "prometheus_client", "jsonschema")
NEEDED_BY_MCP = ("mcp",)
_ALLOWED_RATE = "RATE or RATE,BURST, such as 10/min,13; 1e-6/s to 1e6/s, bursts of 1-1,000,000"


def add_commands(group: click.Group) -> None:
    """Add the commands of this module to the command line."""
    group.add_command(serve)
    group.add_command(alerts)


def parse_rate(text: str) -> dict[str, float | int]:
    """Return a rate limit from a text such as ``"10/min"`` or ``"10/min,13"``."""
    from lhsim.live.settings import RateLimit  # noqa: PLC0415 - help need not wait for it

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


def _option(name: str, text: str, kind: Any = None, **more: Any) -> Callable[..., Any]:
    return click.option(name, help=text, type=kind, **more)


_TIME = Parsed("TIME", parse_duration)


@click.command(cls=Command)
@_option("--config", "Settings from a TOML file; the options here come on top.", metavar="FILE")
@_option("--host", "Where to listen.  [default: 127.0.0.1]", metavar="ADDRESS")
@_option("--port", "0 for one that is free.  [default: 8765]", whole(0, 65535))
@_option("--allow-remote", "Listen also where others reach it; needs an enrolment key.",
         is_flag=True)  # fmt: skip
@_option("--store", "PATH, sqlite:///PATH or postgresql://...  [default: lhsim.db]", metavar="URL")
@_option("--interval", "Sleep of a request between two queries.  [default: 1 s]", _TIME)
@_option("--timeout", "Of a request that finds nothing.  [default: 60 s]", _TIME)
@_option("--limit", "Messages in an answer.  [default: 10]", whole(1, 1000))
@_option("--connections", "Requests held, and push connections, at a time.  [default: 2000]",
         whole(1, 10**6))  # fmt: skip
@_option("--outbound", "Messages queued for a push connection.  [default: 100]", whole(1, 10**5))
@_option("--outbound-policy", "What happens to one more.  [default: drop_new]",
         choice("drop_new", "disconnect"))  # fmt: skip
@_option("--rate-limit", "Of each agent, such as 10/min, or with a burst 10/min,13.",
         Parsed("RATE[,BURST]", parse_rate))  # fmt: skip
@_option("--max-body", "Bytes of a request.  [default: 1000000]", whole(1024, 16_000_000))
@_option("--mcp", "Agents can also ask one another by MCP, at URL/mcp; docs/reference/mcp.md.",
         is_flag=True)  # fmt: skip
@_option("--batch-size", "Messages written in one transaction.  [default: 1]", whole(1, 10_000))
@_option("--linger", "A batch waits so long for more.", _TIME)
@_option("--store-connections", "That query; PostgreSQL alone.  [default: 1]", whole(1, 100))
@_option("--secret-file", "Signs tokens; else LHSIM_SECRET, else one for this run.",
         metavar="FILE")  # fmt: skip
@_option("--enrolment-file", "Key for which sessions are created; else LHSIM_ENROLMENT_KEY, else "
         "for the asking.", metavar="FILE")  # fmt: skip
@_option("--stage-times", "Write at the end what each stage took: .parquet or .csv.",
         metavar="FILE")  # fmt: skip
@_option("--workers", "1: who is connected is known to one process.", whole(1, 1), default=1)
def serve(**given: Any) -> int:
    """Run a real server of the kind that is simulated, with polling and push.

    It runs until SIGTERM or Ctrl-C, and prints its URL. The protocol: docs/reference/bridge.md.
    """
    check_extra()
    from lhsim.live import server  # noqa: PLC0415 - needs the extra
    from lhsim.live.logs import log_to  # noqa: PLC0415
    from lhsim.live.settings import BridgeSettings, shown  # noqa: PLC0415

    del given["workers"]
    keys = server.read_secrets(given.pop("secret_file"), given.pop("enrolment_file"))
    settings = read_settings(given.pop("config"), given, BridgeSettings)
    if settings.store.startswith("postgres"):
        check_extra(("psycopg",))
    if settings.mcp:
        check_extra(NEEDED_BY_MCP, extra="mcp")
    log_to(sys.stderr)

    def started(url: str) -> None:
        click.echo(url)
        print(f"lhsim: store {shown(settings.store)}; stop with Ctrl-C", file=sys.stderr)

    server.serve(settings, keys, started)
    return DONE


@click.command(cls=Command)
@_option("--over", "Say instead which would have fired in a run, a folder of lhsim measure, and "
         "when.", PATH, metavar="RUN")  # fmt: skip
def alerts(over: Path | None) -> None:
    """Print alert rules for Prometheus, for what lhsim serve shows at /metrics."""
    if over is None:
        from lhsim.live.alerts import alert_rules  # noqa: PLC0415 - as late as all

        click.echo(alert_rules())
        return
    from lhsim.recording import Recording  # noqa: PLC0415
    from lhsim.report.alerts import alert_table  # noqa: PLC0415

    click.echo(alert_table([one.to_dict() for one in Recording.read(over).alerts()]))


def read_settings(config: str | None, given: Mapping[str, Any], cls: type[Any]) -> Any:
    """Return the settings of a file, with what was given on the command line on top."""
    from lhsim import parameters  # noqa: PLC0415 - help need not wait for it

    data = parameters.read_toml(Path(config)) if config is not None else {}
    source = config if config is not None else "lhsim serve"
    if config is not None:
        parameters.structure(data, cls, source=source)  # alone first: its mistakes are its own
    own = {key: value for key, value in given.items() if value is not None and value is not False}
    try:
        return parameters.structure({**data, **own}, cls, source=source)
    except InputError as error:
        step = (error.key or "").partition(".")[0]
        if step in own or config is None:
            option = f"--{step.replace('_', '-')}"
            raise InputError(error.problem, source=option, allowed=error.allowed) from None
        raise


def check_extra(
    needed: tuple[str, ...] = NEEDED, *, extra: str = "live", command: str = "lhsim serve"
) -> None:
    """Raise `InputError` unless the libraries of an extra are there."""
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        problem = f"{', '.join(missing)} is not installed"
        allowed = f"after pip install 'lhsim[{extra}]'"
        raise InputError(problem, source=command, allowed=allowed)
