"""The entry point: commands loaded when used, errors in one line, never a traceback for bad input."""

# ruff: noqa: PLC0415  # a command is imported when it is called, so that `tokencalc --help` stays fast

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokencalc.cli.exits import FAILED, INVALID, OK, exit_code
from tokencalc.cli.versions import tokencalc_version
from tokencalc.errors import TokencalcError
from tokencalc.jsontext import error_value, to_json
from tokencalc.reports.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_INTERRUPTED = 130

_HELP = {
    "estimate": "What a call would cost: tokens and money, before it is made.",
    "price": "What a usage costs, line by line.",
    "report": "Where the money went.",
    "budget": "Set budgets and look at them.",
    "holds": "Money that is set aside for calls under way.",
    "explain": "How an entry's amount comes about, line by line.",
    "reprice": "Price booked calls again, and correct what differs.",
    "verify": "Check that nobody changed the ledger.",
    "backup": "Copy the ledger while others write to it.",
    "import": "Book the calls in your coding agents' logs.",
    "monitor": "Budgets, spending, limiters and the machine, once or live.",
    "resources": "This machine: processor, memory, disks; once, or line by line into a log.",
    "alerts": "What is wrong, who knows of it, and telling it.",
    "ci": "A gate for CI: budgets, a baseline, unpriced calls.",
    "prices": "Rate cards: what a model costs, since when, by which source.",
    "doctor": "What tokencalc finds on this machine.",
    "demo": "The main job on sample logs, in a ledger of its own.",
}


class _Commands(click.Group):
    """Lists commands with their help without importing them."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002  # click's signature
        **extra: Any,
    ) -> Any:
        """Run, tell errors in one line, and end with the exit code: 0 to 6, see `exits`."""
        given = list(sys.argv[1:] if args is None else args)
        _open_closed_streams()
        _make_streams_forgiving()
        code = _run(
            lambda: super(_Commands, self).main(given, prog_name or "tokencalc", complete_var, False, **extra), given
        )
        if standalone_mode:
            sys.exit(code)
        return code

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that goes away (`tokencalc report | head`) is no failure."""
        try:
            outcome = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _drop_stdout()
            return OK
        return outcome

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a day's work."""
        del ctx
        return list(_HELP)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command, when it is called."""
        del ctx
        return _load(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table above."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_HELP.items()))


def _load(name: str) -> click.Command | None:
    if name == "estimate":
        from tokencalc.cli.estimate import estimate

        return estimate
    if name == "price":
        from tokencalc.cli.price import price

        return price
    if name == "report":
        from tokencalc.cli.report import report

        return report
    if name == "budget":
        from tokencalc.cli.budget import budget

        return budget
    return _load_book(name)


def _load_book(name: str) -> click.Command | None:
    if name == "holds":
        from tokencalc.cli.holds import holds

        return holds
    if name == "explain":
        from tokencalc.cli.explain import explain

        return explain
    if name == "reprice":
        from tokencalc.cli.reprice import reprice

        return reprice
    if name == "verify":
        from tokencalc.cli.verify import verify

        return verify
    if name == "backup":
        from tokencalc.cli.backup import backup

        return backup
    return _load_rare(name)


def _load_rare(name: str) -> click.Command | None:
    if name == "import":
        from tokencalc.cli.importing import import_logs

        return import_logs
    if name == "ci":
        from tokencalc.cli.ci import ci

        return ci
    if name == "prices":
        from tokencalc.cli.prices import prices

        return prices
    if name == "doctor":
        from tokencalc.cli.doctor import doctor

        return doctor
    if name == "demo":
        from tokencalc.cli.demo import demo

        return demo
    return _load_watching(name)


def _load_watching(name: str) -> click.Command | None:
    if name == "monitor":
        from tokencalc.cli.monitor import monitor

        return monitor
    if name == "alerts":
        from tokencalc.cli.alerts import alerts

        return alerts
    if name == "resources":
        from tokencalc.cli.resources import resources

        return resources
    return None


def _print_version(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  # click's shape
    del option
    if wanted:
        click.echo(f"tokencalc {tokencalc_version()}")
        ctx.exit(OK)


@click.group(
    "tokencalc",
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog='\b\nExample:\n  tokencalc estimate --model gpt-4o "Explain this function"',
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
def main() -> None:
    """What LLM calls cost, and that they never cost more than someone allowed."""


def _run(command: Callable[[], Any], given: list[str]) -> int:
    as_json = "--json" in given
    try:
        outcome = command()
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return _INTERRUPTED
    except click.ClickException as error:
        return _tell_usage(error, as_json=as_json)
    except TokencalcError as error:
        return _tell(error_value(error), exit_code(error), as_json=as_json)
    except OSError as error:
        return _tell({"error": "os_error", "message": _os_message(error)}, FAILED, as_json=as_json)
    return outcome if isinstance(outcome, int) else OK


def _tell_usage(error: click.ClickException, *, as_json: bool) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return INVALID
    return _tell({"error": "command_invalid", "message": _usage_message(error)}, INVALID, as_json=as_json)


def _usage_message(error: click.ClickException) -> str:
    where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "tokencalc"
    return f"{error.format_message().rstrip('.')}; see: {where} --help"


def _os_message(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def _tell(values: dict[str, object], code: int, *, as_json: bool) -> int:
    click.echo(f"error: {safe_text(values['message'], longest=2000)}", err=True)
    if as_json:
        click.echo(to_json(values, indent=2))
    return code


def _open_closed_streams() -> None:
    # `tokencalc report >&-` leaves no stream at all: what nobody reads goes nowhere, and the exit code says the rest.
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # open until the end


def _make_streams_forgiving() -> None:
    # A name in a log may hold what the terminal's encoding lacks: show an escape, do not fall over.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _drop_stdout() -> None:
    # Python flushes once more at exit, and would complain once more.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
