"""Options that several commands share, and how an engine is opened for a command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tokencalc.clock import instant_from
from tokencalc.config import default_ledger_path, load_settings
from tokencalc.engine import Engine
from tokencalc.errors import CallInvalid, InvalidInput, LedgerError, PriceTableInvalid
from tokencalc.ledger.records import DIMENSION_KEYS
from tokencalc.reports.keys import is_tag

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    # Generic since click 8.4 only, and older ones are welcome too.
    _InstantType = click.ParamType[datetime]
    _PairType = click.ParamType[tuple[str, str]]
else:
    _InstantType = _PairType = click.ParamType


def _say(text: str) -> None:
    """Talk to the person on stderr, as `output.say` does."""
    from tokencalc.cli.output import say as said  # noqa: PLC0415  # 50 ms of rich that few of these commands need

    said(text)


_F = TypeVar("_F", bound="Callable[..., Any]")


class Instant(_InstantType):
    """An instant with a zone, or a bare date (its first instant in UTC)."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read ISO 8601 text."""
        try:
            return instant_from(value, name=param.name if param is not None and param.name else "instant")
        except InvalidInput as error:
            self.fail(error.message, param, ctx)


class Pair(_PairType):
    """One ``key=value``."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split at the first ``=``."""
        if isinstance(value, tuple):
            return value
        key, found, text = str(value).partition("=")
        if not found or not key.strip() or not text.strip():
            self.fail(f"expected key=value, found {value!r:.60}", param, ctx)
        return key.strip(), text.strip()


def examples(*lines: str) -> str:
    """Return examples as a help text's end, each on a line of its own."""
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\n".join(["\b", title, *(f"  {line}" for line in lines)])


def json_option(command: _F) -> _F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON: amounts as text, every digit.")(command)


def ledger_option(command: _F) -> _F:
    """Add ``--ledger``."""
    return click.option(
        "--ledger",
        metavar="FILE",
        help="The ledger to use; else TOKENCALC_LEDGER, the settings file, or the user's own.",
    )(command)


def price_options(command: _F) -> _F:
    """Add what decides on a rate card: provider, instant, context, own price files."""
    for option in reversed(
        (
            click.option("--provider", metavar="NAME", help="Needed only where a model's name does not decide it."),
            click.option("--at", type=Instant(), metavar="DATE", help="Use the prices of that day; now if not given."),
            click.option(
                "--context",
                "context",
                type=Pair(),
                multiple=True,
                metavar="KEY=VALUE",
                help="What decides the price besides the model, as processing=batch.",
            ),
            click.option(
                "--prices",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                multiple=True,
                metavar="FILE",
                help="A price table of your own, on top of ours.",
            ),
        )
    ):
        command = option(command)
    return command


def pairs_as_dict(pairs: tuple[tuple[str, str], ...], *, name: str) -> dict[str, str]:
    """Return ``key=value`` options as a mapping; a key given twice is an error."""
    found: dict[str, str] = {}
    for key, value in pairs:
        if key in found:
            raise CallInvalid(f"{name}: {key} was given twice", path=name, found=key)
        found[key] = value
    return found


def filters_from(pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return the ``--where`` options of a command that reads entries: fields of a call, and tags."""
    found = pairs_as_dict(pairs, name="where")
    for key in found:
        if key not in DIMENSION_KEYS and not is_tag(key):
            raise CallInvalid(
                f"where: expected one of {', '.join(DIMENSION_KEYS)} or tag:NAME, found {key!r:.60}",
                path="where",
                found=key,
            )
    return found


def without_nones(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that were given."""
    return {name: value for name, value in arguments.items() if value is not None}


def pricing_engine(prices: tuple[Path, ...] = ()) -> Engine:
    """Open an engine that prices and counts, with a ledger in memory: nothing is written."""
    return Engine.open(":memory:", settings=load_settings(), prices=prices)


def estimating_engine(ledger: str | None, prices: tuple[Path, ...] = ()) -> Engine:
    """Open an engine that prices and counts, over the ledger that other commands would use, if it is there.

    A ledger that was named must be there; one that was not is left out where it cannot be opened, and that is said.
    """
    path = ledger_path(ledger)
    if ledger is None and (path == ":memory:" or not Path(path).expanduser().exists()):
        return pricing_engine(prices)
    try:
        return open_ledger(ledger, prices=prices)
    except LedgerError as error:
        if ledger is not None:
            raise
        _say(f"The ledger is left out, for it cannot be opened: {error.message}")
        return pricing_engine(prices)


def ledger_path(ledger: str | None) -> str:
    """Return which ledger a command means."""
    return ledger or load_settings().ledger or str(default_ledger_path())


def open_ledger(
    ledger: str | None, *, create: bool = False, needs_prices: bool = True, prices: tuple[Path, ...] = ()
) -> Engine:
    """Open the ledger of a command; only commands that write may create it.

    One that ``needs_prices`` only to say more opens without own tables where one is broken, and says so.
    Raises CallInvalid where it is not there: a report on a misspelt path must not make an empty ledger.
    """
    path = ledger_path(ledger)
    if not create and path != ":memory:" and not Path(path).expanduser().exists():
        raise CallInvalid(
            f"ledger: there is none at {path}; `tokencalc import` or `tokencalc budget set` makes one",
            path="ledger",
            found=path,
        )
    settings = load_settings()
    try:
        return Engine.open(ledger, settings=settings, prices=prices)
    except PriceTableInvalid as error:
        if needs_prices:
            raise
        _say(f"Own price tables are left out, for one cannot be read: {error.message}")
        return Engine.open(ledger, settings=settings, prices=None)
