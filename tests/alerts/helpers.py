"""What tests of alerts share: a channel that keeps what it gets, and one sample at the clock's instant."""

# ruff: noqa: D102, D107  # what each method means is said where its shape is declared

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tokencalc.alerts.alerts import Alerts
from tokencalc.alerts.channels import Subscription, failed

if TYPE_CHECKING:
    from datetime import datetime

    from tokencalc import Engine
    from tokencalc.alerts.messages import Message
    from tokencalc.alerts.records import Alert
    from tokencalc.alerts.rules import Rule


class Inbox:
    """A channel that keeps its messages; while ``problem`` is set it takes none."""

    def __init__(self, name: str = "inbox") -> None:
        self.name = name
        self.got: list[Message] = []
        self.tried = 0
        self.came = threading.Semaphore(0)
        self.problem: BaseException | None = None
        self.gate = threading.Event()
        self.gate.set()

    def send(self, message: Message, at: datetime) -> None:
        del at
        self.tried += 1
        assert self.gate.wait(20)
        if self.problem is not None:
            raise self.problem
        self.got.append(message)
        self.came.release()

    def fail(self, *, only_this: bool = False, for_good: bool = False) -> None:
        """Take nothing from now on."""
        self.problem = failed(self.name, "nobody is there", only_this=only_this, for_good=for_good)

    @property
    def events(self) -> list[str]:
        """What came, as "rule event"."""
        return [f"{message.rule} {message.event}" for message in self.got]


def alerts_of(engine: Engine, *rules: Rule, channels: tuple[Inbox, ...] = ()) -> Alerts:
    """Return alerts of these rules, told to these channels."""
    return Alerts(engine, rules=rules, channels=tuple(Subscription(one) for one in channels))


def states(moved: tuple[Alert, ...]) -> list[str]:
    """Return "rule state" of each alert that moved."""
    return [f"{alert.rule} {alert.state}" for alert in moved]
