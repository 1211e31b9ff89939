"""One seed, one whole run: random work on one ledger by several processes, with crashes, against the model.

Nothing depends on the wall clock or on the order of threads: the test's clock moves by hand, and one operation is
done after the other. A process is an engine of its own on the file that all share. Every operation says what the
package is asked for, and which transactions of the model that is. Where a fault strikes, either of them may be the
last that happened, but whatever was acknowledged must be there, and nothing may be there by half.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.simulation import reading
from tests.simulation.dice import BEGINNINGS, RUNS, Dice
from tests.simulation.disk import Disk, Fault, Left, seeded, watched
from tests.simulation.model import Model, No, period
from tests.simulation.prices import table_file
from tokencalc import Engine, TokencalcError
from tokencalc.clock import ManualClock
from tokencalc.config import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from tests.simulation.model import Rule

    Change = Callable[[Model], object]
    Candidates = list[tuple[Model, list[object]]]

SWEEP_EVERY_S = 60.0
CLOSE_AFTER_S = 3600
TROUBLES = ("error", "full", "kill", "kill all", "power")
LETHAL = TROUBLES[2:]
LOST = {"LedgerUnavailable", "UsageSpooled", "UsageLost", "KeyboardInterrupt"}
"""Answers that leave open what was done."""


class Broken(AssertionError):
    """The package and the model disagree."""


@dataclass(eq=False)
class Process:
    """One process: an engine, its run's name, and when it last closed lost holds."""

    engine: Engine
    number: int
    run: str
    table: str
    swept_s: float = float("-inf")


@dataclass
class Trouble:
    """A fault that strikes during one operation; ``left`` is what remains of the disk if everything stops."""

    kind: str
    fault: Fault
    left: Left = "all"


def usd(pico: int) -> Decimal:
    """Return dollars."""
    return Decimal(pico).scaleb(-12)


def in_usd(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments as the package takes them: amounts in dollars."""
    return {name: usd(value) if name.endswith("_usd") else value for name, value in arguments.items()}


class Simulation:
    """The ledger, those who work on it, and the model; `do` is the one way to change anything."""

    def __init__(self, seed: int, folder: Path, tell: Callable[[str], None] | None = None) -> None:
        """Begin with an empty ledger in a folder of its own."""
        self.seed = seed
        self.random = seeded(seed)
        self.dice = Dice(self.random)
        self.tell = tell
        self.clock = ManualClock(self.random.choice(BEGINNINGS))
        self.table = "early"
        self.model = Model()
        self.doubts: list[Model] = []
        self.step = 0
        self.folder = folder
        self.disks = 0
        self.durability: Any = self.random.choice(["full", "full", "normal"])
        self.trouble_share = self.random.choice([0.0, 0.02, 0.1])
        self.processes: list[Process] = []
        self.watching = ExitStack()
        self.disk = Disk(self.new_folder())
        self.watch(self.disk)

    # disk and processes

    def watch(self, disk: Disk) -> None:
        """Go on with a disk."""
        self.watching.close()
        self.disk = self.watching.enter_context(watched(disk))

    def close(self) -> None:
        """End everything."""
        self.disk.fault = None
        self.stop_all()
        self.watching.close()

    def new_folder(self) -> Path:
        """Make the folder of the next disk."""
        folder = self.next_folder()
        folder.mkdir()
        return folder

    def next_folder(self) -> Path:
        """Return the name of the next disk's folder."""
        self.disks += 1
        return self.folder / f"disk-{self.disks}"

    def start(self, number: int, run: str) -> Process:
        """Start a process: open the ledger."""
        self.disk.process = number
        self.disk.dead.discard(number)
        engine = Engine.open(
            self.disk.root / "new" / "ledger.db",
            clock=self.clock,
            settings=Settings(suspect_close_after_s=CLOSE_AFTER_S, run=run or None),
            durability=self.durability,
            prices=[table_file(self.table)],  # from the start: what waits in the spool may be priced at the opening
        )
        return Process(engine, number, run, self.table)

    def start_all(self, processes: int) -> None:
        """Start as many processes as there shall be."""
        self.processes = [self.start(number, RUNS[number % 2]) for number in range(processes)]

    def stop_all(self) -> None:
        """Close every engine."""
        for process in self.processes:
            self.disk.process = process.number
            process.engine.close()
        self.processes = []

    def restart(self, process: Process) -> None:
        """Begin anew with one process, whose engine was closed."""
        self.processes[self.processes.index(process)] = self.start(process.number, process.run)

    # one operation

    @property
    def now(self) -> datetime:
        """The instant of the test's clock."""
        return self.clock.now()

    def do(
        self,
        what: str,
        process: Process,
        call: Callable[[], object],
        *changes: Change,
        sweeps: bool = True,
        answer: object = None,
        troubles: tuple[str, ...] = TROUBLES,
    ) -> Any:
        """Ask the package, ask the model, compare; return the model's answer, or None where a fault struck.

        ``changes`` are the transactions; the last one's answer is the verb's. Without any it is ``answer``.
        """
        self.disk.process = process.number
        due = sweeps and self.sweep_is_due(process)
        trouble = self.choose_trouble(troubles)
        self.say(
            f"{self.step:4} {self.now:%m-%dT%H:%M:%S} p{process.number} {what}{'' if trouble is None else trouble}"
        )
        if trouble is not None:
            return self.do_in_trouble(what, process, call, self.candidates(changes, answer, due=due), trouble)
        before = self.model.clone() if self.doubts else self.model
        if due:
            self.sweep(self.model)
        expected = answer
        for change in changes:
            expected = change(self.model)
            if expected != []:  # nothing to correct: no transaction
                self.model.tick(self.now)
        self.compare(what, reading.expected_answer(expected, self.now), answered(call))
        if self.doubts and self.model != before:  # what failed cannot come back once somebody has written over it
            self.doubts = []
        return expected

    def sweep_is_due(self, process: Process) -> bool:
        """Whether the process closes lost holds before its next verb; then it has done so."""
        now_s = self.clock.monotonic()
        if is_due := now_s - process.swept_s >= SWEEP_EVERY_S:
            process.swept_s = now_s
        return is_due

    def say(self, text: str) -> None:
        """Write a line of the trace, if somebody listens."""
        if self.tell is not None:
            self.tell(text)

    def sweep(self, model: Model) -> None:
        """Close in the model what any engine closes once a minute."""
        model.write_off(timedelta(seconds=CLOSE_AFTER_S), self.now)
        model.tick(self.now)

    def compare(self, what: str, expected: object, found: object) -> None:
        """Stop where the two differ, with the first difference."""
        if expected != found:
            raise Broken(f"{what}: {difference(expected, found)}")

    # faults

    def choose_trouble(self, kinds: tuple[str, ...]) -> Trouble | None:
        """Throw the dice for a fault in this operation."""
        if kinds == ("interrupt",):
            return Trouble("interrupt", Fault(10**9))
        if not kinds or not self.dice.chance(self.trouble_share):
            return None
        return self.trouble(self.random.choice(kinds))

    def trouble(self, kind: str) -> Trouble:
        """Return a fault of a kind, somewhere in the next operation."""
        left: Left = "all"
        if kind == "power" and self.durability == "full":
            left = self.random.choice(["synced", "part"])
        once = kind in {"error", "full"} and self.dice.chance(0.8)
        if kind == "error" and self.dice.chance(0.5):
            return Trouble(kind, Fault(self.random.randrange(2), once=True, only_syncs=True), left)
        return Trouble(kind, Fault(self.random.randrange(16), once=once, is_full=kind == "full"), left)

    def do_in_trouble(
        self, what: str, process: Process, call: Callable[[], object], candidates: Candidates, trouble: Trouble
    ) -> None:
        """Do it while the disk fails somewhere; find out what became of it."""
        before = self.model
        self.disk.fault = trouble.fault
        found = answered(call)
        struck = trouble.fault.after < 0
        self.disk.fault = None
        lost = is_lost(found)
        if lost and not struck and trouble.kind != "interrupt":
            raise Broken(f"{what}: the ledger was unavailable, and no fault had struck")
        self.say(f"     {'the fault struck' if struck else 'it was over before'}, answered {found!r:.100}")
        is_spooled = found == No("UsageSpooled")
        if is_spooled and self.dice.chance(0.5):  # what waits in the spool outlives the power
            trouble = self.trouble(self.random.choice(["power", "kill all"]))
        self.end_trouble(process, trouble)
        if is_spooled:
            self.processes[0].engine.read_spool()
        # What waited in the spool is booked by now, once, as all that was asked for.
        possible = [model for model, answer in candidates if answer == [found] or (lost and (answer or not is_spooled))]
        if trouble.kind in {"kill all", "power"} and (lost or possible == [before]):
            possible += self.doubts
        self.settle_on(what, possible, found)
        if trouble.kind in {"kill all", "power"}:
            self.doubts = []
        elif lost and not is_spooled:
            self.doubts = [*self.doubts, *(model for model, _ in candidates)]

    def candidates(self, changes: tuple[Change, ...], answer: object, *, due: bool) -> Candidates:
        """Return every state in which the book may be left, with the answer if all was done."""
        found: Candidates = []
        for sweeps in (True, False) if due else (False,):
            model = self.model.clone()
            if sweeps:
                self.sweep(model)
            found.append((model.clone(), [] if changes else [answer]))
            for change in changes:
                said = change(model)
                if said != []:
                    model.tick(self.now)
                found.append(
                    (model.clone(), [reading.expected_answer(said, self.now)] if change is changes[-1] else [])
                )
        return found

    def end_trouble(self, process: Process, trouble: Trouble) -> None:
        """Let end who was struck, and begin anew."""
        if trouble.kind == "interrupt":
            return
        if trouble.kind == "kill":
            self.disk.dead.add(process.number)
            process.engine.close()
            self.restart(process)
        elif trouble.kind in {"kill all", "power"}:
            processes, target = len(self.processes), self.next_folder()
            self.disk.image(target, trouble.left, self.random)
            self.disk.fault = Fault(0)
            self.stop_all()
            self.watch(Disk(target))
            self.start_all(processes)

    def settle_on(self, what: str, possible: list[Model], found: object) -> None:
        """Find the one state that the book is in."""
        process, differences = self.processes[0], []
        self.disk.process = process.number
        process.engine.budgets()  # closes what was lost long ago, once, whichever of the states this is
        due = self.sweep_is_due(process)
        for model in possible:
            self.model = model.clone()
            if due:
                self.sweep(self.model)
            try:
                self.check(process)
            except Broken as broken:
                differences.append(str(broken))
            else:
                return
        raise Broken(f"{what} answered {found!r:.200}, and the book is in none of its states: {differences}")

    # invariants

    def check(self, process: Process) -> None:
        """Compare the whole book and every budget's state with the model."""
        self.disk.process = process.number
        self.compare("verify", (), process.engine.verify().problems)
        if self.sweep_is_due(process):
            self.sweep(self.model)
        self.model.tick(self.now)
        process.engine.budgets()
        found, expected = reading.found_book(process.engine), reading.expected_book(self.model, self.now)
        for part, said in expected.items():
            self.compare(part, said, found[part])
        self.check_budgets(process)

    def check_budgets(self, process: Process) -> None:
        """Compare every budget's state now, in each of its instances."""
        self.disk.process = process.number
        if self.sweep_is_due(process):
            self.sweep(self.model)
        self.model.tick(self.now)
        self.compare("budgets", list(self.model.rules.values()), [*map(reading.found_rule, process.engine.budgets())])
        for name, rule in self.model.rules.items():
            for value, run in self.instances(rule):
                expected = self.model.status(name, value, self.now, run, self.now)
                found = reading.found_status(process.engine.budget_status(name, value, run=run))
                self.compare(f"budget {name} {value!r} {run!r}", expected, found)

    def instances(self, rule: Rule) -> list[tuple[str, str]]:
        """Return (value, run) of each instance that counts something, and of those without a star."""
        runs = [run for run in RUNS if run] if rule.period == "run" else [""]
        now = {run: period(rule, self.now, run)[0] for run in runs}
        if all(wanted != "*" for _, wanted in rule.scope):
            return [("", run) for run in runs]
        known = {*self.model.rows[rule.name], *self.model.sums(rule, self.now)}
        return [(value, run) for run in runs for value, key in sorted(known) if key == now[run]]


def is_lost(found: object) -> bool:
    """Whether an answer leaves open what was done."""
    answers = found if isinstance(found, list) else [found]
    return any(isinstance(one, No) and one.error in LOST for one in answers)


def answered(call: Callable[[], object]) -> object:
    """Return what the package answered, or refused with."""
    try:
        answer = call()
    except TokencalcError as error:
        return reading.found_answer(error)
    except KeyboardInterrupt:
        return No("KeyboardInterrupt")
    return reading.found_answer(answer)


def difference(expected: object, found: object) -> str:
    """Return the first place where two values differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = [key for key in (*expected, *found) if expected.get(key) != found.get(key)]
        return f"{keys[0]}: {difference(expected.get(keys[0]), found.get(keys[0]))}"
    if isinstance(expected, list) and isinstance(found, list):
        pairs = zip(expected, found, strict=False)
        at = next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(expected), len(found)))
        return f"[{at}] expected {expected[at : at + 1]}, found {found[at : at + 1]}"
    return f"expected {expected!r}, found {found!r}"
