"""A process that starts workers in milliseconds: `python -m tests.faults.nursery LEDGER`.

Everything is imported here once; a worker is a fork, which opens the ledger for itself. Orders come by lines on
stdin: ``start SLOT NUMBER NUMBER`` (where its two threads go on) and ``kill SLOT``, by the signal that nobody can
catch. Workers write what the ledger acknowledged to stdout, one line each, with a single write.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from itertools import count

from tokencalc import Engine
from tokencalc.config import Settings

MODEL = "acme-1"


def say(line: str) -> None:
    """Print one line at once; a pipe keeps such a write in one piece."""
    os.write(1, f"{line}\n".encode())


def work(ledger: str, slot: str, first: list[int]) -> None:
    """Write on two threads until killed; each call has a key of its own and is acknowledged after it returned."""
    engine = Engine.open(ledger, settings=Settings())
    threads = [
        threading.Thread(target=write_on, args=(engine, f"{slot}-{thread}", number))
        for thread, number in enumerate(first)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def write_on(engine: Engine, lane: str, first: int) -> None:
    """Record, or reserve and settle, or reserve and release: one after the other, each with its own key."""
    for number in count(first):
        key = f"{lane}-{number}"
        about = {"model": MODEL, "agent_id": lane, "user_id": f"u{number % 3}", "idempotency_key": key}
        if number % 3 == 0:
            engine.record(cost_usd="0.01", **about)  # type: ignore[arg-type]  # names of arguments, as mypy cannot see
        else:
            hold = engine.reserve(amount_usd="0.02", **about)  # type: ignore[arg-type]
            if number % 3 == 1:
                engine.settle(hold, cost_usd="0.01")
            else:
                engine.release(hold)
        say(f"{lane} {number}")


def main(ledger: str) -> None:
    """Follow orders until stdin ends; then end every worker."""
    workers: dict[str, int] = {}
    for line in sys.stdin:
        order, slot, *numbers = line.split()
        if order == "kill":
            pid = workers.pop(slot)
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            say(f"killed {slot} {os.waitstatus_to_exitcode(status)}")
            continue
        pid = os.fork()
        if not pid:
            try:
                work(ledger, slot, [int(number) for number in numbers])
            finally:
                os._exit(1)
        workers[slot] = pid
    for pid in workers.values():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(sys.argv[1])
