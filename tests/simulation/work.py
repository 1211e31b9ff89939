"""The operations: what is asked of the package at random, and what that is in the model."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from tests.simulation.dice import MODELS, about_of, money_of, worst_case
from tests.simulation.interrupting import interrupts
from tests.simulation.model import No, values
from tests.simulation.prices import give_prices
from tests.simulation.reading import expected_answer, found_status
from tests.simulation.simulation import LETHAL, Broken, Process, Simulation, in_usd, usd
from tokencalc import AsyncEngine, Budget
from tokencalc.ledger.store import Step

if TYPE_CHECKING:
    from tests.simulation.model import Hold, Model, Rule
    from tests.simulation.simulation import Change
    from tokencalc import Engine

WAIT_S = 30
WEIGHTS = {
    "record": 8,
    "reserve": 14,
    "settle": 9,
    "release": 4,
    "extend": 5,
    "repeat": 5,
    "burst": 4,
    "set_budget": 3,
    "change_budget": 4,
    "pass_time": 7,
    "jump": 4,
    "look_back": 2,
    "reopen": 1,
    "new_prices": 1,
    "reprice": 1,
    "stop": 1,
    "cancel": 1,
    "interrupt": 1,
}


class Work(Simulation):
    """A simulation with all its operations; each throws dice, then calls `do`."""

    def begin(self) -> None:
        """Start the processes, and choose what this run does often and what seldom."""
        self.start_all(self.random.choice([1, 2, 3]))
        self.weights = {name: weight * self.random.choice([0, 1, 1, 2]) for name, weight in WEIGHTS.items()}
        self.weights["reserve"] += 3
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.budgets_first = self.random.randrange(5)
        self.settled: dict[str, Any] = {}
        self.check_every = self.random.choice([1, 2, 5, 20])

    def one_step(self) -> None:
        """Do one random thing, and check the invariants."""
        self.step += 1
        (name,) = self.random.choices(list(self.weights), list(self.weights.values()))
        if self.step <= self.budgets_first:
            name = "set_budget"
        process = self.random.choice(self.processes)
        getattr(self, name)(process)
        if self.step % self.check_every == 0:
            self.check_budgets(self.random.choice(self.processes))
        if self.step % 25 == 0:
            self.check(self.random.choice(self.processes))

    # what callers do

    def record(self, process: Process) -> None:
        """Book a call without a hold."""
        arguments = {"model": self.random.choice(MODELS), **self.dice.who(), **self.dice.spent()}
        if self.dice.chance(0.3):
            arguments = {"model": "ghost-9", **self.dice.who(), "cost_usd": self.amount_to_a_threshold()}
        if self.dice.chance(0.3):
            arguments["at"] = self.dice.instant(self.now)
            if arguments["at"].year < 2026:  # before the first rate card
                arguments["model"] = "ghost-9"
        if self.dice.chance(0.1):
            arguments["notional"] = True
        if self.dice.chance(0.4):
            arguments["idempotency_key"] = f"k{self.random.randrange(1000)}"
        self.ask("record", arguments, process)

    def reserve(self, process: Process) -> None:
        """Ask for a hold."""
        arguments: dict[str, Any] = {"model": self.random.choice(MODELS), **self.dice.who()}
        if self.dice.chance(0.3):
            tokens = self.dice.tokens()
            arguments |= {"input_tokens": tokens["input_tokens"], "max_output_tokens": tokens["output_tokens"]}
        else:
            arguments["amount_usd"] = self.tight_amount() if self.dice.chance(0.5) else self.dice.amount()
        if self.dice.chance(0.8):
            arguments["lifetime_s"] = self.random.choice([1, 60, 600, 7200, 100_000])
        if self.dice.chance(0.4):
            arguments["idempotency_key"] = f"k{self.random.randrange(1000)}"
        self.ask("reserve", arguments, process)

    def tight_amount(self) -> int:
        """Return what just fits into one budget, or one pico-dollar more."""
        hard = [rule for rule in self.model.rules.values() if rule.policy == "hard"]
        if not hard:
            return self.dice.amount()
        rule = self.random.choice(hard)
        places = self.instances(rule)
        if not places:
            return rule.limit + self.random.randrange(2)
        value, run = self.random.choice(places)
        left = self.model.clone().status(rule.name, value, self.now, run, self.now)["available"]
        assert isinstance(left, int)
        return left + self.random.choice([-1, 0, 0, 1]) if left else 0

    def amount_to_a_threshold(self) -> int:
        """Return what takes one budget to a threshold, or a pico-dollar beside it."""
        rules = [rule for rule in self.model.rules.values() if rule.alert_at and self.instances(rule)]
        if not rules:
            return self.dice.amount()
        rule = self.random.choice(rules)
        value, run = self.random.choice(self.instances(rule))
        said = self.model.clone().status(rule.name, value, self.now, run, self.now)
        limit, spent = said["limit"], said["spent"]
        assert isinstance(limit, int)
        assert isinstance(spent, int)
        reached = limit * self.random.choice(rule.alert_at) // 100 - spent
        return max(0, reached + self.random.choice([0, 0, 1]))

    def ask(self, verb: str, arguments: dict[str, Any], process: Process) -> None:
        """Record or reserve, as the arguments say."""
        self.asked.append((verb, arguments))
        change = self.change(verb, arguments, process)
        call = getattr(process.engine, verb)
        if isinstance(change, No):
            self.do(f"{verb} {arguments}", process, lambda: call(**in_usd(arguments)), sweeps=False, answer=change)
            return
        answer = self.do(f"{verb} {arguments}", process, lambda: call(**in_usd(arguments)), change)
        if verb == "reserve" and isinstance(answer, tuple) and not answer[1]:
            self.never_above_limit(answer[0], process)

    def never_above_limit(self, hold: Hold, process: Process) -> None:
        """No admission takes a hard budget above its limit: asked of the package alone."""
        for rule in self.model.rules.values():
            for value in values(rule, hold.about) if rule.policy == "hard" else ():
                status = process.engine.budget_status(rule.name, value, run=process.run)
                if status.spent_usd + status.held_usd > status.limit_usd:
                    raise Broken(f"a hold was admitted above the limit of {rule.name!r} {value!r}: {status}")

    def change(self, verb: str, arguments: dict[str, Any], process: Process) -> Change | No:
        """Return what a record or a reserve is in the model."""
        now, key = self.now, arguments.get("idempotency_key")
        about = about_of(arguments, process.table, process.run)
        asked = sorted(arguments.items(), key=lambda item: item[0])
        if verb == "record":
            money = money_of(arguments, about.model, process.table)
            return lambda model: model.record(asked, about, arguments.get("at", now), money, key, now)
        amounts = worst_case(arguments, process.table)
        if isinstance(amounts, str):
            return No(amounts)
        lifetime = arguments.get("lifetime_s", 600)
        return lambda model: model.reserve(asked, about, *amounts, lifetime, key, now)

    def repeat(self, process: Process) -> None:
        """Ask for something that was asked for before, with the same arguments or with others."""
        if not self.asked:
            return
        verb, arguments = self.random.choice(self.asked[-40:])
        if self.dice.chance(0.3):
            name = self.random.choice(["agent_id", "cost_usd" if verb == "record" else "lifetime_s"])
            other = self.random.choice([7, 60]) if name != "agent_id" else self.random.choice("ab")
            arguments = {**arguments, name: other}
        if self.dice.chance(0.1) and "idempotency_key" in arguments:
            arguments = {"model": "acme-1", "idempotency_key": arguments["idempotency_key"]}
            verb, more = self.random.choice([("record", {"cost_usd": 5}), ("reserve", {"amount_usd": 5})])
            arguments |= more
        self.ask(verb, arguments, process)

    # holds

    def any_hold(self) -> int | None:
        """Return a hold's number, of any state, mostly an open or a recent one."""
        live = [hold.number for hold in self.model.holds.values() if hold.state in {"open", "written_off"}]
        numbers = live if live and self.dice.chance(0.7) else list(self.model.holds)
        return self.random.choice(numbers) if numbers else None

    def hold_id(self, process: Process, hold: int) -> str:
        """Return a hold's public id."""
        return f"{process.engine.store.chain_id}-h{hold}"

    def settle(self, process: Process) -> None:
        """Settle any hold, in whatever state it is."""
        hold = self.any_hold()
        if hold is None:
            return
        arguments = self.settlement(hold)
        name = self.hold_id(process, hold)
        changes = (lambda _: None, self.settle_change(hold, arguments, process))
        self.settled = arguments
        self.do(
            f"settle h{hold} {arguments}", process, lambda: process.engine.settle(name, **in_usd(arguments)), *changes
        )

    def settlement(self, hold: int) -> dict[str, Any]:
        """Return what a settlement says; sometimes what the last one said."""
        if self.settled and self.dice.chance(0.2):
            return dict(self.settled)
        arguments = self.dice.spent()
        if self.dice.chance(0.3) and "cost_usd" in arguments:
            arguments["cost_usd"] = self.model.holds[hold].amount + self.random.choice([-1, 0, 1])
            arguments["cost_usd"] = max(0, arguments["cost_usd"])
        if self.dice.chance(0.2):
            arguments["model"] = self.random.choice(MODELS)
        if self.dice.chance(0.1):
            arguments["operation"] = "late"
        if self.dice.chance(0.1):
            arguments["tags"] = {self.random.choice(["team", "stage"]): "z"}
        return arguments

    def settle_change(self, hold: int, arguments: dict[str, Any], process: Process) -> Change:
        """Return what a settlement is in the model."""
        held, now = self.model.holds[hold].about, self.now
        served = about_of({"model": held.model, **arguments}, process.table, "")
        # What nobody sells is still the doing of whoever was asked.
        served = replace(served, provider=served.provider or held.provider)
        is_same = (served.provider, served.model) == (held.provider, held.model)
        asked = None if is_same else (held.provider, held.model)
        about = replace(held, provider=served.provider, model=served.model, asked=asked)
        about = replace(about, operation=served.operation or held.operation, tags=served.tags)
        money = money_of(arguments, served.model, process.table)
        return lambda model: model.settle(hold, about, money, now)

    def release(self, process: Process) -> None:
        """Release any hold, in whatever state it is."""
        hold = self.any_hold()
        if hold is not None:
            name = self.hold_id(process, hold)
            self.do(
                f"release h{hold}", process, lambda: process.engine.release(name), lambda model: model.release(hold)
            )

    def extend(self, process: Process) -> None:
        """Give any hold another amount, more time, or both."""
        hold = self.any_hold()
        if hold is None:
            return
        more = self.model.holds[hold].amount + self.tight_amount()
        amount = self.random.choice([None, self.dice.amount(), more, more])
        lifetime = self.random.choice([300, 1, 9000] if amount is None else [None, 300])
        name, now = self.hold_id(process, hold), self.now
        self.do(
            f"extend h{hold} to {amount}, {lifetime} s",
            process,
            lambda: process.engine.extend(
                name, lifetime_s=lifetime, amount_usd=None if amount is None else usd(amount)
            ),
            lambda model: model.extend(hold, lifetime, amount, now),
        )

    def burst(self, process: Process) -> None:
        """Let several callers' steps run in one transaction, as a busy moment does."""
        steps: list[Step[Any]] = []
        changes: list[Change] = []
        said: list[object] = []
        verbs, now = process.engine.verbs, self.now
        self.disk.process = process.number
        for _ in range(self.random.randrange(2, 6)):
            verb = self.random.choice(["record", "reserve", "reserve", "release", "settle"])
            hold = self.any_hold()
            if verb in {"record", "reserve"} or hold is None:
                arguments = {"model": "acme-1", **self.dice.who()}
                verb = "record" if verb == "record" else "reserve"
                arguments |= {"cost_usd" if verb == "record" else "amount_usd": self.dice.amount()}
                made = verbs.record(in_usd(arguments)).step if verb == "record" else verbs.reserve(in_usd(arguments))
                steps.append(made)
                change = self.change(verb, arguments, process)
                assert not isinstance(change, No)
                changes.append(change)
            elif verb == "release":
                arguments = {"hold": hold}
                steps.append(verbs.release(self.hold_id(process, hold)))
                changes.append(partial(_released, hold))
            else:
                arguments = {"hold": hold, **self.settlement(hold)}
                found = process.engine.store.writer.run(verbs.find_hold(self.hold_id(process, hold)))
                self.model.tick(now)
                given = {name: value for name, value in arguments.items() if name != "hold"}
                steps.append(verbs.settle(found, in_usd(given)).step)
                changes.append(self.settle_change(hold, given, process))
            said.append((verb, arguments))

        def call() -> list[object]:
            outcomes = process.engine.store.writer.run_many(steps)
            return [outcome.value if outcome.error is None else outcome.error for outcome in outcomes]

        def change_all(model: Model) -> list[object]:
            return [expected_answer(change(model), now) for change in changes]

        self.do(f"burst {said}", process, call, change_all, sweeps=False, troubles=LETHAL)

    # budgets

    def set_budget(self, process: Process) -> None:
        """Set a budget anew."""
        self.put(process, self.dice.rule())

    def change_budget(self, process: Process) -> None:
        """Change one thing about a budget: raise or lower its limit, move its zone, scope or policy."""
        if self.model.rules:
            rule = self.random.choice(list(self.model.rules.values()))
            used = max((sums.used for sums in self.model.sums(rule, self.now).values()), default=0)
            self.put(process, self.dice.changed(rule, used))

    def put(self, process: Process, rule: Rule) -> None:
        """Set a budget, and look at it, as the package does."""
        budget = Budget(
            name=rule.name,
            limit_usd=usd(rule.limit),
            period=rule.period,  # type: ignore[arg-type]  # one of the kinds
            timezone=rule.timezone,
            scope=dict(rule.scope),
            policy=rule.policy,  # type: ignore[arg-type]  # one of the three
            alert_at=rule.alert_at,
            notional=rule.notional,
        )
        now = self.now

        def look(model: Model) -> None:
            if all(wanted != "*" for _, wanted in rule.scope):
                model.status(rule.name, "", now, process.run, now)

        def call() -> None:
            process.engine.set_budget(budget)

        self.do(f"set_budget {rule}", process, call, lambda model: model.set_budget(rule, now), look)

    def look_back(self, process: Process) -> None:
        """Ask for a budget's state in another period."""
        if self.model.rules:
            rule, now, at = self.random.choice(list(self.model.rules.values())), self.now, self.dice.instant(self.now)
            if all(wanted != "*" for _, wanted in rule.scope):
                self.do(
                    f"status of {rule.name} at {at}",
                    process,
                    lambda: found_status(process.engine.budget_status(rule.name, at=at)),
                    lambda model: model.status(rule.name, "", at, process.run, now),
                )

    # time, prices, processes

    def pass_time(self, _: Process) -> None:
        """Let time pass, or wait for the very instant at which a hold becomes suspect."""
        ends = [hold.expires for hold in self.model.holds.values() if hold.state == "open" and hold.expires > self.now]
        if ends and self.dice.chance(0.4):
            self.clock.advance((min(ends) - self.now).total_seconds())
        else:
            self.clock.advance(self.dice.span().total_seconds())

    def jump(self, process: Process) -> None:
        """Set the wall clock, forward or back, by seconds or by weeks; sometimes a budget is set by that clock."""
        away = self.random.choice([1, -1, -1]) * self.dice.span()
        self.clock.jump_to(self.now + away)
        if self.dice.chance(0.5):
            self.set_budget(process)
            if self.dice.chance(0.5):  # and somebody sets the clock right
                self.clock.jump_to(self.now - away)
                self.check_budgets(self.random.choice(self.processes))  # the first may have been killed by now

    def reopen(self, process: Process) -> None:
        """Close a process in order, and begin anew."""
        self.disk.process = process.number
        self.say(f"{self.step:4} p{process.number} closes and opens")
        process.engine.close()
        self.restart(process)

    def stop(self, process: Process) -> None:
        """Nobody does anything, and then everything stops."""
        share, self.trouble_share = self.trouble_share, 1.0
        self.do("nothing", process, lambda: None, sweeps=False, troubles=LETHAL)
        self.trouble_share = share

    def new_prices(self, process: Process) -> None:
        """One process learns of new prices; the others still have theirs."""
        process.table = "late"
        give_prices(process.engine, process.table)

    def reprice(self, process: Process) -> None:
        """Price what was booked again, and correct it."""
        since, now, table = self.now - 3 * self.dice.span(), self.now, process.table

        def call() -> object:
            changes = process.engine.reprice(since=since, apply=True).changes
            return [change.new_pico - (change.old_pico or 0) for change in changes]

        self.do(f"reprice since {since}", process, call, lambda model: model.reprice(since, table, now), sweeps=False)

    # callers who do not wait

    def cancel(self, process: Process) -> None:
        """Cancel a task that waits for its hold: before its step began, or while it runs."""
        arguments = {"model": "acme-1", **self.dice.who(), "amount_usd": self.dice.amount()}
        arguments.pop("budget", None)
        change = self.change("reserve", arguments, process)
        assert not isinstance(change, No)
        started = self.dice.chance(0.5)

        def changed(model: Model) -> None:
            answer = change(model)
            if isinstance(answer, tuple):
                model.release(answer[0].number)

        def call() -> None:
            asyncio.run(cancelled(process.engine, in_usd(arguments), started=started))

        changes = (changed,) if started else (lambda _: None,)
        when = "while it runs" if started else "before it began"
        self.do(f"reserve {arguments} cancelled {when}", process, call, *changes, troubles=())

    def interrupt(self, process: Process) -> None:
        """Interrupt a caller at any line of the ledger's or the budgets' code."""
        verb, money = self.random.choice([("record", "cost_usd"), ("reserve", "amount_usd")])
        arguments = {"model": "acme-1", **self.dice.who(), money: self.dice.amount()}
        change = self.change(verb, arguments, process)
        assert not isinstance(change, No)
        call, line = getattr(process.engine, verb), self.random.randrange(500)

        def interrupted() -> object:
            with interrupts(line):
                return call(**in_usd(arguments))

        self.do(f"{verb} {arguments} interrupted at line {line}", process, interrupted, change, troubles=("interrupt",))


def _released(hold: int, model: Model) -> object:
    return model.release(hold)


async def cancelled(engine: Engine, arguments: dict[str, Any], *, started: bool) -> None:
    """Reserve on an event loop and cancel that, while the writer is kept waiting at the right place."""
    twin, writer = AsyncEngine(engine), engine.store.writer
    first, second = _Gate(), _Gate()
    leader = Thread(target=writer.run, args=(Step(first.wait),))
    leader.start()
    first.reached()
    if started:
        writer.post(Step(second.wait), lambda _: None)
    task = asyncio.create_task(twin.reserve(**arguments))
    await asyncio.sleep(0)
    if started:
        first.open()
        second.reached()
    task.cancel()
    await asyncio.sleep(0)
    first.open()
    second.open()
    leader.join(WAIT_S)
    with suppress(asyncio.CancelledError):
        await task
    await twin.budgets()  # now the outcome was delivered, and the release of a lost hold waits in the queue
    await twin.budgets()


class _Gate:
    """A step that waits inside its transaction until it is let go."""

    def __init__(self) -> None:
        self._inside, self._go = Event(), Event()

    def wait(self, _: object) -> None:
        self._inside.set()
        assert self._go.wait(WAIT_S)

    def reached(self) -> None:
        assert self._inside.wait(WAIT_S)

    def open(self) -> None:
        self._go.set()
