"""`Alerts`: the rules of one ledger, checked and told.

::

    with Engine.open("usage.db") as engine:
        alerts = Alerts.of(engine)                       # rules and channels of tokencalc.toml
        with Monitor(engine, pumps=(alerts.pump,)):      # checked and delivered every 30 seconds
            ...
"""

from __future__ import annotations

import os
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TextIO, get_args

from tokencalc.alerts import book, by_hand, outbox
from tokencalc.alerts.channels import ConsoleChannel, Subscription
from tokencalc.alerts.checking import Checker
from tokencalc.alerts.delivery import Courier, Delivered, Pump
from tokencalc.alerts.history import by_rule
from tokencalc.alerts.lifecycle import State
from tokencalc.alerts.messages import Message
from tokencalc.alerts.profile import SHIPPED
from tokencalc.alerts.records import number_of
from tokencalc.alerts.rules import SEVERITIES, Rule, Severity
from tokencalc.async_engine import AsyncEngine
from tokencalc.clock import instant_from, instant_text, micros_from_instant
from tokencalc.context import label_from
from tokencalc.counts import whole_count
from tokencalc.errors import AlertInvalid, CallInvalid

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from tokencalc.alerts.history import RuleHistory
    from tokencalc.alerts.records import Alert
    from tokencalc.engine import Engine

STATES: tuple[State, ...] = get_args(State)
SHOWN: tuple[State, ...] = ("firing", "acknowledged", "resolved")
"""States of what was told; the others are on their way there."""


class Alerts:
    """Checks rules against one ledger, keeps their alerts in it, and delivers them; safe for any number of threads."""

    def __init__(
        self,
        engine: Engine | AsyncEngine,
        *,
        rules: Sequence[Rule] = SHIPPED,
        channels: Sequence[Subscription] = (Subscription(ConsoleChannel(name="console")),),
    ) -> None:
        """Take rules and channels.

        AlertInvalid where one is something else or its name is there twice, where a rule tells a channel that is
        none, or where rules wait for each other by ``unless``.
        """
        plain = _plain(engine)
        self._store, self._clock = plain.store, plain.clock
        self.rules, self.channels = tuple(rules), tuple(channels)
        for one in self.rules:
            _refuse_other("rules", one, Rule, "a Rule")
        for subscription in self.channels:
            _refuse_other("channels", subscription, Subscription, "a Subscription(channel)")
        names = [one.channel.name for one in self.channels]
        _refuse_twice("rule", [rule.name for rule in self.rules])
        _refuse_twice("channel", names)
        for rule in self.rules:
            for name in rule.channels:
                if name not in names:
                    raise AlertInvalid(
                        f"rule {rule.name}: it tells channel {name!r}; there are: {', '.join(names) or 'none'}",
                        path="channels",
                        found=name,
                    )
        told_by = {rule.name: self._channels_of(rule.severity, rule.channels) for rule in self.rules}
        self._checker = Checker(plain, self.rules, told_by)
        self._courier = Courier(self._store, self._clock, {one.channel.name: one.channel for one in self.channels})
        self.pump = Pump(partial(self._checker.check, self._courier.start), self._courier)
        """Checks, and begins to deliver without waiting: for ``Monitor(engine, pumps=(alerts.pump,))``."""

    @classmethod
    def of(
        cls, engine: Engine | AsyncEngine, *, environ: Mapping[str, str] | None = None, stream: TextIO | None = None
    ) -> Self:
        """Take the rules and channels of the engine's settings; without channels, a console's alone.

        Secrets come from variables (``os.environ`` if None); consoles write to ``stream`` (stderr if None).
        A channel that cannot be made is there all the same and fails by its reason; ConfigInvalid for a rule.
        """
        from tokencalc.alerts import settings  # noqa: PLC0415  # mail and TLS, for those who use them

        told = _plain(engine).settings
        found = settings.channels_from(told, environ=os.environ if environ is None else environ, stream=stream)
        default = (Subscription(ConsoleChannel(name="console", stream=stream)),)
        return cls(engine, rules=settings.rules_from(told), channels=found or default)

    def _channels_of(self, severity: Severity, only: Sequence[str] = ()) -> tuple[str, ...]:
        return tuple(
            one.channel.name
            for one in self.channels
            if (not only or one.channel.name in only) and SEVERITIES.index(severity) <= SEVERITIES.index(one.least)
        )

    # checking and telling

    def check(self) -> tuple[Alert, ...]:
        """Look at every rule once, and return the alerts that began or ended by that, in any order of rules.

        Nothing is written where nothing moves. Two processes that look at once make one alert.
        """
        return self._checker.check()

    def trigger(
        self, name: str, text: str, *, severity: str = "MEDIUM", labels: Mapping[str, str] | None = None
    ) -> Alert:
        """Begin an alert by hand, to be told by every channel of its severity; it ends by `resolve` alone.

        While one of the same name and labels fires or is acknowledged, and for 300 seconds after it began, that one
        is returned and nothing is sent. ``text`` is told as one line of up to 1,000 characters. AlertInvalid where the
        name is a rule's of these alerts, or for what is no name, text, label or severity.
        """
        said = by_hand.said_from(name, text, severity, labels)
        if any(rule.name == said.name for rule in self.rules):
            raise AlertInvalid(
                f"name: {said.name!r} is that of a rule, whose looks begin and end its alerts; take another",
                path="name",
                found=name,
            )
        chain, now_us = self._store.chain_id, micros_from_instant(self._clock.now())
        # Looked at first without a lock: whoever triggers in a loop must not make money wait.
        with self._store.reading() as connection:
            found = by_hand.there(connection, said, chain, now_us)
        if found is not None:
            return found
        told = self._channels_of(said.severity)
        return self._store.aside(lambda connection: by_hand.begin(connection, said, told, chain, now_us))

    @property
    def problems(self) -> tuple[str, ...]:
        """Rules that could not be looked at in the last check, one text each; the others were."""
        return self._checker.problems

    def deliver(self) -> Delivered:
        """Send what waits, and return when every channel has tried; a channel that failed before waits for its time."""
        return self._courier.run()

    def test(self, name: str) -> None:
        """Send a test message by a channel now, past the outbox; DeliveryFailed says why it did not get there."""
        channel = next((one.channel for one in self.channels if one.channel.name == name), None)
        if channel is None:
            known = ", ".join(one.channel.name for one in self.channels)
            raise CallInvalid(f"channel: expected one of {known}, found {name!r:.60}", path="channel", found=name)
        now = self._clock.now()
        channel.send(
            Message(
                message_id=f"{self._store.chain_id}-test-{secrets.token_hex(4)}",
                event="test",
                severity="INFO",
                rule="test",
                text="This is a test of a channel; nothing is wrong.",
                at=instant_text(now),
            ),
            now,
        )

    # looking and answering

    def alerts(self, *states: State, limit: int = 100) -> tuple[Alert, ...]:
        """Return alerts in these states (firing, acknowledged and resolved if none is given), the newest first."""
        for state in states:
            if state not in STATES:
                raise CallInvalid(
                    f"state: expected one of {', '.join(STATES)}, found {state!r:.60}", path="state", found=state
                )
        most = whole_count(limit, path="limit")
        with self._store.reading() as connection:
            return book.newest(connection, states or SHOWN, most, self._store.chain_id)

    def history(self, since: datetime | str | None = None) -> tuple[RuleHistory, ...]:
        """Return how often each rule fired since an instant, and how long its alerts took; the most frequent first.

        Without ``since`` it is over what the ledger keeps: alerts that ended are removed after 90 days.
        """
        since_us = 0 if since is None else micros_from_instant(instant_from(since, name="since"))
        with self._store.reading() as connection:
            return by_rule(connection, since_us)

    def waiting(self) -> tuple[outbox.Waiting, ...]:
        """Return the channels with messages that no receiver has, those of other processes included."""
        with self._store.reading() as connection:
            return tuple(outbox.waiting(connection, micros_from_instant(self._clock.now())))

    def acknowledge(self, alert_id: str, *, by: str | None = None) -> Alert:
        """Say that somebody knows: the alert fires on until its condition ends, one by hand until somebody resolves it.

        Raises AlertUnknown, AlertNotOpen.
        """
        return self._answer(alert_id, by, book.acknowledge)

    def resolve(self, alert_id: str, *, by: str | None = None) -> Alert:
        """End an alert by hand, and tell that.

        Where its condition still holds, one begins anew after the cooldown; a budget's crossing is told once.
        """
        return self._answer(alert_id, by, self._resolve)

    def _answer(self, alert_id: str, by: str | None, work: Callable[..., Alert]) -> Alert:
        number = number_of(alert_id, self._store.chain_id)
        who = None if by is None else label_from(by, name="by")
        now_us = micros_from_instant(self._clock.now())
        return self._store.aside(lambda connection: work(connection, number, self._store.chain_id, who, now_us))

    def _resolve(self, connection: sqlite3.Connection, number: int, chain: str, by: str | None, now_us: int) -> Alert:
        alert, is_new = book.resolve(connection, number, chain, by, now_us)
        if is_new:
            # Who heard of its beginning hears of its end, whatever channels this process has.
            told = connection.execute("SELECT DISTINCT channel FROM outbox WHERE alert_id = ?", (number,)).fetchall()
            book.queue(connection, alert, "resolved", [name for (name,) in told], number, now_us)
        return alert


def _plain(engine: Engine | AsyncEngine) -> Engine:
    return engine.engine if isinstance(engine, AsyncEngine) else engine


def _refuse_other(what: str, found: object, kind: type, allowed: str) -> None:
    if not isinstance(found, kind):
        raise AlertInvalid(f"{what}: expected {allowed} each, found {found!r:.60}", path=what, found=found)


def _refuse_twice(what: str, names: Sequence[Any]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AlertInvalid(f"{what}: the name {twice[0]!r} is there twice", path=what, found=twice[0])
