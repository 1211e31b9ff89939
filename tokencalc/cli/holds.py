"""`tokencalc holds`: money set aside for calls under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from tokencalc.cli.exits import OK
from tokencalc.cli.options import examples, json_option, ledger_option, open_ledger
from tokencalc.cli.output import dollars, put, put_json, table
from tokencalc.clock import instant_text
from tokencalc.ledger.records import HoldState

if TYPE_CHECKING:
    from typing import Any

_STATES: tuple[str, ...] = get_args(HoldState)


@click.group(epilog=examples("tokencalc holds list --state suspect"))
def holds() -> None:
    """Look at money that is set aside, and give it back."""


@holds.command("list", epilog=examples("tokencalc holds list --state open --json"))
@click.option("--state", type=click.Choice(_STATES), help="Only these; open and suspect ones if not given.")
@ledger_option
@json_option
def list_holds(*, state: Any, ledger: str | None, as_json: bool) -> int:
    """List holds: open ones, and suspect ones whose time ran out without an end."""
    with open_ledger(ledger, needs_prices=False) as engine:
        found = [hold for wanted in ((state,) if state else ("open", "suspect")) for hold in engine.holds(state=wanted)]
    if as_json:
        put_json({"holds": found})
    elif not found:
        put(f"No {state or 'open'} holds.")
    else:
        table(
            ("hold", "state", "amount", "model", "agent", "ends"),
            [
                (
                    hold.hold_id,
                    hold.state,
                    dollars(hold.amount_usd),
                    hold.model,
                    hold.agent_id,
                    instant_text(hold.expires_at.replace(microsecond=0)),
                )
                for hold in found
            ],
            texts=(0, 1, 3, 4),
        )
    return OK


@holds.command("release", epilog=examples("tokencalc holds release HOLD_ID"))
@click.argument("hold_id")
@ledger_option
@json_option
def release_hold(*, hold_id: str, ledger: str | None, as_json: bool) -> int:
    """Give the hold HOLD_ID back, unused: only for a call that was surely never billed."""
    with open_ledger(ledger, needs_prices=False) as engine:
        released = engine.release(hold_id)
    if as_json:
        put_json(released)
    else:
        put(f"Released {released.hold_id}: {dollars(released.amount_usd)} is free again.")
    return OK
