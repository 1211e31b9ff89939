"""Processes with a monitor each on one ledger: the machine is recorded once, each process by itself."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tokencalc.engine import Engine

ROOT = Path(__file__).parents[2]

# Collects once for each line that it reads, so that the test decides on the order.
WORK = """
import sys
from tokencalc import Engine, Monitor
with Engine.open(sys.argv[1]) as engine:
    monitor = Monitor(engine)
    for _ in sys.stdin:
        monitor.collect_once()
        print(monitor.records_host, flush=True)
"""


def worker(ledger: Path) -> subprocess.Popen[str]:
    """Start a process that collects when told to."""
    command = [sys.executable, "-c", WORK, str(ledger)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def collect(one: subprocess.Popen[str]) -> bool:
    """Let a worker collect once, and return whether it is the one that records the machine's figures."""
    assert one.stdin is not None
    assert one.stdout is not None
    one.stdin.write("now\n")
    one.stdin.flush()
    return one.stdout.readline() == "True\n"


def test_the_machine_is_recorded_once_and_a_killed_recorder_is_followed_by_another(tmp_path: Path) -> None:
    ledger = tmp_path / "usage.db"
    Engine.open(ledger).close()
    with ExitStack() as stack:
        first, second, third = (stack.enter_context(worker(ledger)) for _ in range(3))
        assert [collect(first), collect(second), collect(third)] == [True, False, False]
        assert [collect(third), collect(second), collect(first)] == [False, False, True]
        first.kill()
        first.wait()
        assert [collect(second), collect(third)] == [True, False]
    with Engine.open(ledger) as engine:
        of_machine = list(engine.metric_history("system.load_1m"))
        of_processes = list(engine.metric_history("process.memory_rss_bytes"))
    assert {sample.process for sample in of_machine} <= {first.pid, second.pid}
    assert [sample.process for sample in of_machine].count(second.pid) == 1
    assert [sample.process for sample in of_processes].count(second.pid) == 3
    assert [sample.process for sample in of_processes].count(third.pid) == 3
