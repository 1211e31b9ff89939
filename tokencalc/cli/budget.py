"""`tokencalc budget`: set a budget, list them, look at one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tokencalc.budgets.budget import POLICIES, Budget
from tokencalc.cli.exits import OK, REFUSED
from tokencalc.cli.options import (
    Instant,
    Pair,
    examples,
    json_option,
    ledger_option,
    open_ledger,
    pairs_as_dict,
    without_nones,
)
from tokencalc.cli.output import dollars, number, put, put_bar, put_json, say_wrapped, table
from tokencalc.clock import instant_text
from tokencalc.errors import BudgetInvalid
from tokencalc.money import amount_from
from tokencalc.periods import PERIOD_KINDS
from tokencalc.reports.document import alerts_passed, budget_document
from tokencalc.reports.shares import percent_text, share_of
from tokencalc.tool_answers import budget_answer

if TYPE_CHECKING:
    from datetime import datetime

    from tokencalc.budgets.setting import BudgetStatus


@click.group(epilog=examples("tokencalc budget set daily 10 --period day", "tokencalc budget list"))
def budget() -> None:
    """Set budgets and look at them."""


@budget.command("set", epilog=examples("tokencalc budget set analyzer 10 --scope agent_id=analyzer --policy hard"))
@click.argument("name")
@click.argument("limit_usd")
@click.option("--period", type=click.Choice(PERIOD_KINDS), default="day", show_default=True)
@click.option("--timezone", default="UTC", show_default=True, metavar="ZONE", help="Whose midnight counts.")
@click.option(
    "--scope", type=Pair(), multiple=True, metavar="KEY=VALUE", help="Whom it covers; everything if not given."
)
@click.option(
    "--policy",
    type=click.Choice(POLICIES),
    default="hard",
    show_default=True,
    help="hard refuses, soft marks, observe counts.",
)
@click.option("--alert-at", default="75,90,100", show_default=True, metavar="PERCENTS", help="When it speaks up.")
@click.option("--notional", is_flag=True, help="Also count usage that a subscription paid.")
@ledger_option
@json_option
def set_budget(  # noqa: PLR0913  # one argument for each option
    *,
    name: str,
    limit_usd: str,
    period: Any,
    timezone: str,
    scope: tuple[tuple[str, str], ...],
    policy: Any,
    alert_at: str,
    notional: bool,
    ledger: str | None,
    as_json: bool,
) -> int:
    """Set the budget NAME to LIMIT_USD dollars for each period; an existing one gets the new limit."""
    made = Budget(
        name=name,
        limit_usd=limit_usd,
        period=period,
        timezone=timezone,
        scope=pairs_as_dict(scope, name="scope"),
        policy=policy,
        alert_at=_percents(alert_at),
        notional=notional,
    )
    with open_ledger(ledger, create=True, needs_prices=False) as engine:
        status = engine.set_budget(made)
    _answer(status, as_json=as_json)
    return OK


@budget.command("list", epilog=examples("tokencalc budget list --json"))
@ledger_option
@json_option
def list_budgets(*, ledger: str | None, as_json: bool) -> int:
    """List every budget with what is spent, held and left in its current period."""
    with open_ledger(ledger, needs_prices=False) as engine:
        statuses = engine.budget_statuses()
    if as_json:
        put_json({"budgets": [budget_document(status) for status in statuses]})
    elif not statuses:
        put("No budget is set; `tokencalc budget set daily 10` sets one.")
    else:
        table(
            ("budget", "period", "limit", "spent", "held", "left", "used"),
            [
                (
                    f"{_title(status)}{' *' if status.budget.notional else ''}",
                    status.period.key,
                    dollars(status.limit_usd),
                    dollars(status.spent_usd),
                    dollars(status.held_usd),
                    dollars(status.available_usd),
                    percent_text(share_of(status.spent_usd, status.limit_usd)),
                )
                for status in statuses
            ],
            texts=(0, 1),
        )
        if any(status.budget.notional for status in statuses):
            put("* also counts usage that a subscription paid")
    return OK


@budget.command("status", epilog=examples("tokencalc budget status daily --at 2026-11-12"))
@click.argument("name")
@click.argument("value", required=False)
@click.option(
    "--at", type=Instant(), metavar="DATE", help="The period that holds this instant; the current one if not given."
)
@ledger_option
@json_option
def show_budget(*, name: str, value: str | None, at: datetime | None, ledger: str | None, as_json: bool) -> int:
    """Show the budget NAME; with a starred scope, that of one VALUE."""
    with open_ledger(ledger, needs_prices=False) as engine:
        status = engine.budget_status(name, value, at=at)
    _answer(status, as_json=as_json)
    return OK


@budget.command("check", epilog=examples("tokencalc budget check daily 0.25 && ./run-the-agent"))
@click.argument("name")
@click.argument("amount_usd")
@click.argument("value", required=False)
@ledger_option
@json_option
def check_budget(*, name: str, amount_usd: str, value: str | None, ledger: str | None, as_json: bool) -> int:
    """Would AMOUNT_USD dollars still fit in the budget NAME? Exits with 3 where not, whatever its policy.

    Sets nothing aside: only a reserve makes sure that it still fits a moment later.
    """
    asked = without_nones(name=name, amount_usd=amount_from(amount_usd, name="amount_usd"), scope_value=value)
    with open_ledger(ledger, needs_prices=False) as engine:
        answer = budget_answer(engine, asked)
    fits = answer["budgets"][0]["fits"]
    if as_json:
        put_json(answer)
    else:
        left = dollars(answer["available_usd"])
        put(f"{'It fits' if fits else 'It does not fit'}: {dollars(asked['amount_usd'])} of {left} left in {name}.")
    return OK if fits else REFUSED


def _percents(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise BudgetInvalid(
            f"alert-at: expected percentages as 75,90,100, found {text!r:.60}", path="alert_at", found=text
        )
    return tuple(int(part[:6]) for part in parts)


def _title(status: BudgetStatus) -> str:
    return f"{status.name} [{status.scope_value}]" if status.scope_value else status.name


def _answer(status: BudgetStatus, *, as_json: bool) -> None:
    if as_json:
        put_json(budget_document(status))
    else:
        show_status(status)


def show_status(status: BudgetStatus) -> None:
    """Print a budget: its bar, what is spent, held and left, and what took it above its limit."""
    made = status.budget
    scope = ", ".join(f"{key}={value}" for key, value in made.scope.items()) or "everything"
    put(f"{_title(status)}: {dollars(made.limit_usd)} for each {made.period}, {made.policy}, on {scope}")
    share = share_of(status.spent_usd, status.limit_usd)
    if share is not None:
        put_bar(share, marks=made.alert_at)
    rows = [
        ("period", f"{status.period.key} ({made.timezone})"),
        ("spent", dollars(status.spent_usd)),
        ("held", dollars(status.held_usd)),
        ("left", dollars(status.available_usd)),
        ("notional usage", "counted" if made.notional else "not counted"),
        ("alerts passed", ", ".join(f"{percent} %" for percent in alerts_passed(status)) or "none"),
    ]
    if status.suspect_usd:
        rows.insert(3, ("of it suspect", dollars(status.suspect_usd)))
    if status.period.end is not None:
        rows.append(("starts again", instant_text(status.period.end)))
    if status.unpriced_calls:
        rows.append(("calls without a price", number(status.unpriced_calls)))
    for name, text in rows:
        put(f"  {name:<21} {text}")
    for item in status.excess:
        entry = f" ({item.entry_id})" if item.entry_id else ""
        put(f"  above the limit       {dollars(item.amount_usd)} by {item.reason.replace('_', ' ')}{entry}")
    for text in status.warnings:
        say_wrapped(f"warning: {text}")
