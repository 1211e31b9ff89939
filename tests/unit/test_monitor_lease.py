"""Host figures are recorded by one process of a host: the lease, among threads, processes and forks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tokencalc.monitor.lease import HostLease

ROOT = Path(__file__).parents[2]

HOLD = """
import sys
from pathlib import Path
from tokencalc.monitor.lease import HostLease
lease = HostLease(Path(sys.argv[1]), host="here")
print(lease.take(), flush=True)
sys.stdin.read()
"""


def leases(ledger: Path) -> list[str]:
    return sorted(file.name for file in ledger.parent.iterdir())


def test_one_of_two_has_it_and_the_other_gets_it_afterwards(tmp_path: Path) -> None:
    first, second = (HostLease(tmp_path / "usage.db", host="here") for _ in range(2))
    assert [first.take(), second.take(), first.take()] == [True, False, True]
    first.release()
    assert [second.take(), first.take()] == [True, False]
    second.release()
    assert leases(tmp_path / "usage.db") == []


def test_each_host_has_its_own(tmp_path: Path) -> None:
    here, there = (HostLease(tmp_path / "usage.db", host=host) for host in ("here", "there"))
    assert [here.take(), there.take()] == [True, True]


def test_two_links_to_one_ledger_share_it(tmp_path: Path) -> None:
    (tmp_path / "usage.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "usage.db")
    first, second = (HostLease(tmp_path / name, host="here") for name in ("usage.db", "link.db"))
    assert [first.take(), second.take()] == [True, False]


def test_a_ledger_in_memory_is_nobody_elses() -> None:
    lease = HostLease(None)
    assert lease.take()
    lease.release()
    assert lease.is_held


def test_the_kernel_gives_it_back_when_its_holder_is_killed(tmp_path: Path) -> None:
    ledger = tmp_path / "usage.db"
    command = [sys.executable, "-c", HOLD, str(ledger)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        lease = HostLease(ledger, host="here")
        assert not lease.take()
        holder.kill()
        holder.wait()
        assert lease.take()


def test_a_child_leaves_it_to_its_parent(tmp_path: Path) -> None:
    lease = HostLease(tmp_path / "usage.db", host="here")
    assert lease.take()
    child = os.fork()
    if child == 0:
        # The child neither has it, nor can it take it, nor does its end give it away.
        os._exit(int(lease.is_held or lease.take()))
    assert os.waitpid(child, 0)[1] == 0
    assert not HostLease(tmp_path / "usage.db", host="here").take()
    assert lease.is_held


def test_a_file_that_was_removed_meanwhile_guards_nothing(tmp_path: Path) -> None:
    first, second = (HostLease(tmp_path / "usage.db", host="here") for _ in range(2))
    first.take()
    for file in tmp_path.iterdir():
        file.unlink()
    assert second.take()


def test_a_folder_that_nobody_may_write_to_is_an_error_of_the_system(tmp_path: Path) -> None:
    lease = HostLease(tmp_path / "missing" / "usage.db", host="here")
    with pytest.raises(FileNotFoundError, match="missing"):
        lease.take()
