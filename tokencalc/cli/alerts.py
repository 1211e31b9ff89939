"""`tokencalc alerts`: what is wrong, who knows of it, and telling it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tokencalc.alerts.alerts import STATES, Alerts
from tokencalc.alerts.checking import unseen_of
from tokencalc.alerts.outbox import TOLD_S
from tokencalc.alerts.profile import SHIPPED
from tokencalc.alerts.settings import rules_from
from tokencalc.cli.exits import FAILED, OK
from tokencalc.cli.options import Instant, examples, json_option, ledger_option, open_ledger
from tokencalc.cli.output import counted, number, put, put_json, say, table
from tokencalc.clock import instant_text
from tokencalc.errors import DeliveryFailed

if TYPE_CHECKING:
    from datetime import datetime

    from tokencalc.alerts.outbox import Waiting
    from tokencalc.alerts.records import Alert
    from tokencalc.engine import Engine

_TOLD_DAYS = TOLD_S // (24 * 3600)
_by_option = click.option("--by", metavar="NAME", help="Who says so.")


@click.group(epilog=examples("tokencalc alerts list", "tokencalc alerts deliver"))
def alerts() -> None:
    """Look at alerts, answer them, and deliver them."""


@alerts.command("list", epilog=examples("tokencalc alerts list --state firing --json"))
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="Only these; may be repeated.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@ledger_option
@json_option
def list_alerts(*, states: tuple[Any, ...], limit: int, ledger: str | None, as_json: bool) -> int:
    """List alerts, the newest first: firing, acknowledged and resolved ones if no state is given."""
    with open_ledger(ledger, needs_prices=False) as engine:
        # The channels of the settings are not looked at: their secrets are not needed to read.
        opened = Alerts(engine, channels=())
        found, waiting, unseen = opened.alerts(*states, limit=limit), opened.waiting(), _unseen(engine)
    if as_json:
        put_json(
            {
                "alerts": found,
                "waiting": [one._asdict() for one in waiting],
                "unseen": [{"rule": rule, "metric": metric} for rule, metric in unseen],
            }
        )
        return OK
    if not found:
        put(f"No alerts that are {', '.join(states)}." if states else "No alerts.")
    for alert in found:
        put(f"{_at(alert.fired_at or alert.since)}  {alert.severity:<8}  {alert.state:<12}  {alert.alert_id}")
        put(f"  {alert.rule}: {alert.text}{_answered(alert)}")
    _say_waiting(waiting)
    for rule, metric in unseen:
        say(f"rule {rule}: this ledger has no sample of {metric}; is that its name, and does somebody write it?")
    return OK


def _unseen(engine: Engine) -> list[tuple[str, str]]:
    """Return rules of the settings' own with the metrics that they wait for."""
    shipped = {rule.name for rule in SHIPPED}
    return unseen_of(engine.store, [rule for rule in rules_from(engine.settings) if rule.name not in shipped])


def _answered(alert: Alert) -> str:
    parts = []
    if alert.acknowledged_at is not None:
        parts.append(f"acknowledged {_at(alert.acknowledged_at)}{_by(alert.acknowledged_by)}")
    if alert.resolved_at is not None:
        parts.append(f"resolved {_at(alert.resolved_at)}{_by(alert.resolved_by)}")
    return f" [{'; '.join(parts)}]" if parts else ""


def _by(who: str | None) -> str:
    return f" by {who}" if who else ""


def _at(instant: datetime) -> str:
    return instant_text(instant.replace(microsecond=0))


def _say_waiting(waiting: tuple[Waiting, ...]) -> None:
    for one in waiting:
        say(waiting_text(one))


def waiting_text(one: Waiting) -> str:
    """Return what waits for a channel, and what was given up, in one sentence."""
    parts = []
    if one.messages:
        parts.append(f"{counted(one.messages, 'message')} not delivered yet")
    if one.on_its_way:
        parts.append(f"{number(one.on_its_way)} on its way by another process")
    if one.given_up:
        parts.append(f"{counted(one.given_up, 'message')} given up in the last {_TOLD_DAYS} days")
    name = f"channel {one.channel}: "
    problem = f": {one.problem.removeprefix(name)}" if one.problem else ""
    return f"{name}{', '.join(parts)}{problem}"


@alerts.command("history", epilog=examples("tokencalc alerts history --since 2026-11-01"))
@click.option("--since", type=Instant(), metavar="DATE", help="Fired from this instant on; else all that is kept.")
@ledger_option
@json_option
def history(*, since: datetime | None, ledger: str | None, as_json: bool) -> int:
    """Count by rule: how often it fired, how many of its alerts are open now, mean seconds until known and over."""
    with open_ledger(ledger, needs_prices=False) as engine:
        found = Alerts(engine, channels=()).history(since)
    if as_json:
        put_json({"since": since, "rules": found})
    elif not found:
        put("No alert fired." if since is None else f"No alert fired since {_at(since)}, and none is open.")
    else:
        table(
            ("rule", "fired", "open now", "s to acknowledge", "s to resolve"),
            [
                (
                    one.rule,
                    number(one.fired),
                    number(one.open_now),
                    *map(_s, (one.acknowledge_mean_s, one.resolve_mean_s)),
                )
                for one in found
            ],
        )
    return OK


def _s(mean_s: float | None) -> str:
    return "-" if mean_s is None else f"{mean_s:,.1f}"


@alerts.command("ack", epilog=examples("tokencalc alerts ack ALERT_ID --by ada"))
@click.argument("alert_id")
@_by_option
@ledger_option
@json_option
def acknowledge(*, alert_id: str, by: str | None, ledger: str | None, as_json: bool) -> int:
    """Say that somebody knows of the alert ALERT_ID.

    It ends by itself when its condition does; one by hand ends by `tokencalc alerts resolve`.
    """
    with open_ledger(ledger, needs_prices=False) as engine:
        alert = Alerts(engine, channels=()).acknowledge(alert_id, by=by)
    return _put_one(alert, as_json=as_json)


@alerts.command("resolve", epilog=examples("tokencalc alerts resolve ALERT_ID"))
@click.argument("alert_id")
@_by_option
@ledger_option
@json_option
def resolve(*, alert_id: str, by: str | None, ledger: str | None, as_json: bool) -> int:
    """End the alert ALERT_ID by hand.

    Where its condition still holds, one begins anew after the cooldown; a budget's crossing is told once.
    """
    with open_ledger(ledger, needs_prices=False) as engine:
        alert = Alerts(engine, channels=()).resolve(alert_id, by=by)
    return _put_one(alert, as_json=as_json)


def _put_one(alert: Alert, *, as_json: bool) -> int:
    if as_json:
        put_json(alert)
    else:
        put(f"{alert.alert_id} is {alert.state}: {alert.rule}: {alert.text}{_answered(alert)}")
    return OK


@alerts.command("deliver", epilog=examples("tokencalc alerts deliver"))
@ledger_option
@json_option
def deliver(*, ledger: str | None, as_json: bool) -> int:
    """Check the rules once and send what waits; exit 1 where a channel fails. For cron, where no monitor runs."""
    with open_ledger(ledger, needs_prices=False) as engine:
        opened = Alerts.of(engine)
        moved = opened.check()
        sent, problems = opened.deliver()
        waiting = opened.waiting()
    if as_json:
        put_json({"moved": moved, "sent": sent, "problems": problems, "waiting": [one._asdict() for one in waiting]})
    else:
        put(f"{counted(len(moved), 'alert')} began or ended, {counted(sent, 'message')} sent.")
        _say_waiting(waiting)
    return FAILED if problems else OK


@alerts.command("test", epilog=examples("tokencalc alerts test ops"))
@click.argument("channels", nargs=-1, metavar="[CHANNEL]...")
@ledger_option
@json_option
def test(*, channels: tuple[str, ...], ledger: str | None, as_json: bool) -> int:
    """Send a test message by each CHANNEL now, or by all; exit 1 where one did not get there."""
    with open_ledger(ledger, needs_prices=False) as engine:
        opened = Alerts.of(engine)
        names = channels or tuple(one.channel.name for one in opened.channels)
        found = {name: _tested(opened, name) for name in names}
    if as_json:
        put_json({"channels": {name: {"ok": problem is None, "problem": problem} for name, problem in found.items()}})
    else:
        table(("channel", "result"), [(name, problem or "sent") for name, problem in found.items()], texts=(0, 1))
    return FAILED if any(found.values()) else OK


def _tested(opened: Alerts, name: str) -> str | None:
    try:
        opened.test(name)
    except DeliveryFailed as error:
        return error.message
    return None
