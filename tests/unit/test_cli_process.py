"""The command as a process: codes, streams, colours, a pipe that closes, and no heavy import for the help."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "tokencalc"]


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, env={**os.environ, **variables}, check=False
    )


def test_the_version_is_one_line() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("tokencalc ")


def test_data_goes_to_stdout_and_errors_to_stderr_with_a_code() -> None:
    done = run("price", "-m", "gtp-4o", "--input-tokens", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no price is known")


def test_there_is_no_colour_in_a_pipe() -> None:
    assert "\x1b" not in run("prices", "list", "--provider", "groq").stdout


def test_no_color_takes_colours_away_even_where_they_are_forced() -> None:
    forced = run("prices", "show", "gpt-4o", FORCE_COLOR="1", TERM="xterm-256color").stdout
    plain = run("prices", "show", "gpt-4o", FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="1").stdout
    assert "\x1b[" in forced
    assert not any(f"\x1b[{code}m" in plain for code in (31, 32, 33))


@pytest.mark.parametrize("command", ["prices list", "prices list --json", "prices show gpt-4o", "demo"])
def test_a_reader_that_goes_away_is_no_error(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shell = f"{sys.executable} -m tokencalc {command} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)  # noqa: S607  # bash by PATH
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["prices show gpt-4o", "prices list --json", "demo", "--help", "report"])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_was_closed_is_no_error(
    command: str, closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shell = f"{sys.executable} -m tokencalc {command} {closed}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)  # noqa: S607  # bash by PATH
    # There is no ledger to report on, which is told where somebody listens.
    assert done.returncode == (2 if command == "report" else 0)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["rich", "tiktoken", "pydantic", "psutil", "sqlite3", "tokencalc.engine"])
def test_the_help_imports_nothing_heavy(module: str) -> None:
    code = (
        "import sys; from tokencalc.cli.main import main; "
        f"main(['--help'], standalone_mode=False); assert {module!r} not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_text_that_is_no_ascii_prints_in_an_ascii_terminal() -> None:
    done = run("estimate", "-m", "gpt-4o", "é", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert done.returncode == 0, done.stderr


def test_the_script_of_the_package_is_the_same_command() -> None:
    script = Path(sys.executable).parent / "tokencalc"
    if not script.exists():
        pytest.skip("the package is not installed beside this Python")
    done = subprocess.run([str(script), "--version"], capture_output=True, text=True, check=False)
    assert done.stdout == run("--version").stdout
