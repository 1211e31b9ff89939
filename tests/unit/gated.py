"""What tests of the gate share: two calls, a folder with them, and the command run over it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner, Result

from tokencalc.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SUMMARISE: dict[str, Any] = {"model": "gpt-4o", "input_tokens": 1000, "output_tokens": 100, "operation": "summarise"}
CLASSIFY: dict[str, Any] = {"model": "gpt-4o-mini", "input_tokens": 1000, "output_tokens": 100, "operation": "classify"}


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder, as if no CI ran this."""
    monkeypatch.chdir(folder)
    for variable in ("GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS"):
        monkeypatch.delenv(variable, raising=False)


def write(folder: Path, *calls: dict[str, Any]) -> None:
    """Write calls as JSON Lines."""
    (folder / "calls.jsonl").write_text("".join(f"{json.dumps(call)}\n" for call in calls), encoding="utf-8")


def ci(*arguments: str) -> Result:
    """Run the gate."""
    return CliRunner().invoke(main, ["ci", *arguments])


def gate(*arguments: str) -> Result:
    """Run the gate over the folder's calls."""
    return ci("--usage", "calls.jsonl", *arguments)
