"""`tokencalc resources`: this machine once, and as the lines of a log."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from tokencalc.cli.main import main
from tokencalc.cli.resources import log_line, write_log
from tokencalc.clock import ManualClock
from tokencalc.monitor.current import resource_metrics
from tokencalc.monitor.samples import Sample

if TYPE_CHECKING:
    from pathlib import Path

FOUND = resource_metrics(
    [
        Sample("system.cpu_share", 0.412),
        Sample("system.memory_share", 0.55),
        Sample("system.disk_share", 0.2, {"mount": "/"}),
        Sample("system.disk_share", 0.614, {"mount": "/data"}),
        Sample("system.process_count", 123),
    ]
)
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ,CPU:[\d.]+%,Memory:[\d.]+%,Disk:[\d.]+%,Processes:\d+\n")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["resources", *arguments])


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ("2026-11-20T12:00:00Z,CPU:41.2%,Memory:55.0%,Disk:61.4%,Processes:123", FOUND),
        ("2026-11-20T12:00:00Z,CPU:,Memory:,Disk:,Processes:", resource_metrics([])),
    ],
)
def test_a_line_has_the_instant_and_four_figures(expected: str, found: dict[str, Any]) -> None:
    assert expected == log_line(found, ManualClock("2026-11-20T12:00:00.5Z").now())


def test_a_log_is_appended_to_and_may_be_moved_away(tmp_path: Path) -> None:
    log, clock = tmp_path / "resources.log", ManualClock()
    log.write_text("before\n", encoding="utf-8")

    def wait(seconds: float) -> None:
        clock.advance(seconds)
        if clock.monotonic() == 120:
            log.rename(tmp_path / "old.log")

    instants = (clock.now() for _ in range(9))
    assert write_log(log, lambda: FOUND, instants, every_s=60, lines=3, wait=wait) == 3
    assert [line[:20] for line in (tmp_path / "old.log").read_text(encoding="utf-8").splitlines()] == [
        "before",
        "2026-11-20T12:00:00Z",
        "2026-11-20T12:01:00Z",
    ]
    assert log.read_text(encoding="utf-8").startswith("2026-11-20T12:02:00Z")


def test_ctrl_c_ends_the_log_as_people_end_it(tmp_path: Path) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    instants = (ManualClock().now() for _ in range(9))
    assert write_log(tmp_path / "a.log", lambda: FOUND, instants, every_s=60, lines=None, wait=interrupted) == 1


def test_the_command_shows_this_machine() -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert re.search(r"^processor +[\d.]+ %$", result.stdout, re.MULTILINE)
    assert re.search(r"^disk / +[\d.]+ %$", result.stdout, re.MULTILINE)


def test_the_command_answers_in_json() -> None:
    document = json.loads(run("--json").stdout)
    assert document["schema"] == "tokencalc.resources/1"
    assert document["cpu_percent"] is not None
    assert document["process_memory_rss_bytes"] > 0


def test_the_command_writes_a_log(tmp_path: Path) -> None:
    result = run("--log", str(tmp_path / "resources.log"), "--lines", "1", "--json")
    assert json.loads(result.stdout)["lines"] == 1
    assert LINE.fullmatch((tmp_path / "resources.log").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("way", "code", "expected"),
    [
        (("--lines", "3"), 2, "only --log writes lines; add --log FILE"),
        (("--every", "0"), 2, "0.0 is not in the range"),
        (("--log", "missing/resources.log", "--lines", "1"), 1, "No such file or directory"),
    ],
)
def test_a_mistake_says_what_to_do(way: tuple[str, ...], code: int, expected: str) -> None:
    result = run(*way)
    assert result.exit_code == code
    assert expected in result.stderr
