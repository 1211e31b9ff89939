"""The leading thread is interrupted at every line of the writer, one after the other: everybody else is answered."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.ledger import writer as writer_module
from tokencalc.ledger.store import Step
from tokencalc.ledger.writer import GroupWriter, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

WAIT_S = 20
WITHS = {
    number
    for number, line in enumerate(Path(writer_module.__file__).read_text(encoding="utf-8").splitlines(), 1)
    if line.strip().startswith("with ")
}


class TooLate(Exception):  # what a program's own alarm might raise
    """Raised between two lines."""


class Alarm:
    """Raises at the line of the writer of that number, counted from when it is set, once."""

    def __init__(self, at: int) -> None:
        """Be quiet until set."""
        self._left = at
        self.is_set = False
        self.rang_at = 0

    def __call__(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        """Trace the writer's frames, and count their lines."""
        if frame.f_code.co_filename != writer_module.__file__:
            return None
        # CPython looks for signals after calls and in loops: never between the body of a with and its end, which
        # tracing shows as its first line once more.
        if event == "line" and self.is_set and not self.rang_at and frame.f_lineno not in WITHS:
            self._left -= 1
            if self._left == 0:
                self.rang_at = frame.f_lineno
                raise TooLate
        return self


def run_batch(steps: Sequence[Step[Any]]) -> list[Outcome]:
    """Run steps that need no ledger."""
    return [Outcome(step.run(None)) for step in steps]  # type: ignore[arg-type]  # these look at no transaction


def interrupted_at(number: int, *, behind: str) -> int:
    """Lead, with two callers behind, and be interrupted at a line; return that line, 0 where the end came first."""
    writer, answers, alarm = GroupWriter(run_batch, lambda: None), SimpleQueue[int](), Alarm(number)

    def wait_for_others(_: object) -> int:
        while len(writer._queue) < 2:
            threading.Event().wait(0.0001)
        alarm.is_set = True
        return 0

    def call(name: int) -> None:
        if behind == "threads":
            answers.put(writer.run(Step(lambda _: name)))
        else:
            writer.post(Step(lambda _: name), lambda ticket: answers.put(ticket.outcome.value if ticket.outcome else 0))

    threads = [threading.Thread(target=call, args=(name,), daemon=True) for name in (1, 2)]
    started = threading.Event()

    def first(_: object) -> int:
        started.set()
        return wait_for_others(_)

    before = sys.gettrace()
    for thread in threads:
        threading.Thread(target=lambda own=thread: (started.wait(WAIT_S), own.start()), daemon=True).start()
    sys.settrace(alarm)
    try:
        writer.run(Step(first))
    except TooLate:
        pass
    finally:
        sys.settrace(before)
    found = {answers.get(timeout=WAIT_S), answers.get(timeout=WAIT_S)}
    assert found == {1, 2}, f"the interrupt came at line {alarm.rang_at}"
    assert writer.run(Step(lambda _: 3)) == 3
    writer.close()
    return alarm.rang_at


@pytest.mark.parametrize("behind", ["threads", "tasks"])
def test_an_interrupt_at_any_line_of_the_leader_leaves_nobody_waiting(behind: str) -> None:
    lines, number = set(), 1
    while line := interrupted_at(number, behind=behind):
        lines.add(line)
        number += 1
    # From the leader's answer to the end of its lead: too few would mean that the tracing does not work.
    assert len(lines) > 30


def test_a_thread_that_an_interrupt_left_ends_with_the_writer() -> None:
    """Started, and the interrupt fell before the writer knew of it: then there are two on one queue."""
    writer, answers = GroupWriter(run_batch, lambda: None), SimpleQueue[object]()
    left = threading.Thread(target=writer._background, args=(writer._leads,), daemon=True)
    left.start()
    writer.post(Step(lambda _: 1), lambda ticket: answers.put(ticket.outcome))
    assert answers.get(timeout=WAIT_S)
    closing = threading.Thread(target=writer.close, daemon=True)
    closing.start()
    closing.join(WAIT_S)
    left.join(WAIT_S)
    assert (closing.is_alive(), left.is_alive()) == (False, False)
