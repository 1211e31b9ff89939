"""Limits of control groups, versions 1 and 2, from trees of files as the kernel shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokencalc.monitor.cgroups import ControlGroup, ControlGroups

if TYPE_CHECKING:
    from pathlib import Path

V2 = "36 25 0:32 {root} {mount} rw,nosuid shared:4 - cgroup2 cgroup rw"
V1 = "40 32 0:30 {root} {mount}/{name} rw - cgroup cgroup rw,{name}"


def tree(folder: Path, files: dict[str, str], *, mounts: list[str], groups: str) -> ControlGroups:
    """Write files and the process's own view of them, and return what reads them."""
    mount = folder / "fs"
    for name, text in files.items():
        file = mount / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    proc = folder / "proc"
    proc.mkdir()
    (proc / "mountinfo").write_text("".join(f"{line}\n" for line in mounts), encoding="utf-8")
    (proc / "cgroup").write_text(groups, encoding="utf-8")
    return ControlGroups(proc)


@pytest.mark.parametrize(
    ("expected", "files"),
    [
        ((1.5, 2.0), {"app/cpu.max": "150000 100000\n", "app/cpu.stat": "usage_usec 2000000\nuser_usec 1\n"}),
        ((None, None), {"app/cpu.max": "max 100000\n", "app/cpu.stat": "usage_usec 2000000\n"}),
        ((0.5, None), {"app/cpu.max": "50000 100000\n"}),
        ((None, None), {"app/cpu.max": "rubbish\n"}),
        ((None, None), {"app/cpu.max": "100 0\n"}),
        ((None, None), {"app/cpu.stat": "usage_usec 5\n"}),
    ],
)
def test_the_processor_limit_of_version_2(
    expected: tuple[float | None, float | None], files: dict[str, str], tmp_path: Path
) -> None:
    found = tree(tmp_path, files, mounts=[V2.format(root="/", mount=tmp_path / "fs")], groups="0::/app\n").read()
    assert expected == (found.cpu_limit_cores, found.cpu_used_s)


def test_memory_of_version_2_leaves_out_files_that_can_be_dropped(tmp_path: Path) -> None:
    files = {
        "app/memory.max": "1000\n",
        "app/memory.current": "900\n",
        "app/memory.stat": "anon 500\ninactive_file 300\n",
    }
    groups = tree(tmp_path, files, mounts=[V2.format(root="/", mount=tmp_path / "fs")], groups="0::/app\n")
    assert groups.read() == ControlGroup(memory_limit_bytes=1000, memory_used_bytes=600)


def test_the_tightest_limit_of_all_groups_above_holds_with_what_that_group_uses(tmp_path: Path) -> None:
    files = {
        "outer/memory.max": "500\n",
        "outer/memory.current": "400\n",
        "outer/inner/memory.max": "800\n",
        "outer/inner/memory.current": "100\n",
        "outer/cpu.max": "100000 100000\n",
        "outer/cpu.stat": "usage_usec 7000000\n",
        "outer/inner/cpu.max": "max 100000\n",
    }
    mounts = [V2.format(root="/", mount=tmp_path / "fs")]
    found = tree(tmp_path, files, mounts=mounts, groups="0::/outer/inner\n").read()
    assert found == ControlGroup(cpu_limit_cores=1.0, cpu_used_s=7.0, memory_limit_bytes=500, memory_used_bytes=400)


@pytest.mark.parametrize(
    ("quota", "limit", "expected"),
    [
        (
            "200000",
            "1000",
            ControlGroup(cpu_limit_cores=2, cpu_used_s=3.0, memory_limit_bytes=1000, memory_used_bytes=500),
        ),
        ("-1", "9223372036854771712", ControlGroup()),
    ],
)
def test_version_1_has_a_mount_for_each_controller(
    quota: str, limit: str, expected: ControlGroup, tmp_path: Path
) -> None:
    files = {
        "cpu/app/cpu.cfs_quota_us": f"{quota}\n",
        "cpu/app/cpu.cfs_period_us": "100000\n",
        "cpuacct/app/cpuacct.usage": "3000000000\n",
        "memory/app/memory.limit_in_bytes": f"{limit}\n",
        "memory/app/memory.usage_in_bytes": "700\n",
        "memory/app/memory.stat": "total_inactive_file 200\n",
    }
    mounts = [V1.format(root="/", mount=tmp_path / "fs", name=name) for name in ("cpu", "cpuacct", "memory")]
    groups = tree(tmp_path, files, mounts=mounts, groups="3:memory:/app\n2:cpuacct:/app\n1:cpu:/app\n0::/\n")
    assert groups.read() == expected


def test_a_container_sees_its_own_group_as_the_root_of_the_mount(tmp_path: Path) -> None:
    files = {"memory/memory.limit_in_bytes": "1000\n", "memory/memory.usage_in_bytes": "10\n"}
    mounts = [V1.format(root="/docker/abc", mount=tmp_path / "fs", name="memory")]
    found = tree(tmp_path, files, mounts=mounts, groups="3:memory:/docker/abc\n").read()
    assert found.memory_limit_bytes == 1000


@pytest.mark.parametrize("groups", ["0::/../elsewhere\n", "0::/not/in/this/mount\n"])
def test_a_group_outside_of_the_mount_is_read_at_the_root(groups: str, tmp_path: Path) -> None:
    mounts = [V2.format(root="/own", mount=tmp_path / "fs")]
    found = tree(tmp_path, {"memory.max": "1000\n"}, mounts=mounts, groups=groups).read()
    assert found.memory_limit_bytes == 1000


def test_a_machine_without_control_groups_has_no_limits(tmp_path: Path) -> None:
    assert ControlGroups(tmp_path / "nowhere").read() == ControlGroup()


def test_a_mount_point_may_hold_a_space(tmp_path: Path) -> None:
    escaped = str(tmp_path / "fs").replace("fs", r"f\040s")
    (tmp_path / "f s").mkdir()
    (tmp_path / "f s" / "memory.max").write_text("1000\n", encoding="utf-8")
    found = tree(tmp_path, {}, mounts=[V2.format(root="/", mount=escaped)], groups="0::/\n").read()
    assert found.memory_limit_bytes == 1000
