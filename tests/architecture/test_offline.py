"""Importing, pricing and estimating open no connection and load nothing heavy before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

# The interpreter itself reports every connection, also those of libraries and of C code that uses its sockets.
WATCH = """
import os, sys
def watch(event, args):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind"}:
        print(f"{event} {args}", file=sys.stderr)
        os._exit(3)
sys.addaudithook(watch)
"""

PRICE = (
    "from tokencalc import Engine, Usage\n"
    "engine = Engine.open(':memory:')\n"
    "engine.price(provider='openai', model='gpt-4o', usage=Usage(input_tokens=1), at='2026-01-15')\n"
)
ESTIMATE = (
    "from tokencalc import Engine\n"
    "engine = Engine.open(':memory:')\n"
    "engine.estimate(model='gpt-4o', text='Hello world')\n"
    "engine.estimate(model='gpt-4', text='Hello world')\n"
    "engine.estimate(model='claude-sonnet-4-5', text='Hello world')\n"
)
HELP = "from tokencalc.cli.main import main\nmain(['--help'], standalone_mode=False)\nprint()\n"
ON_A_LEDGER = (
    "budget set daily 1",
    "budget list",
    "budget status daily",
    "budget check daily 1",
    "report",
    "report --markdown",
    "report --json",
    "holds list",
    "verify",
)
RUNS = "".join(f"main([*{line.split()}, '--ledger', 'usage.db'], standalone_mode=False)\n" for line in ON_A_LEDGER)
LEDGER = f"from tokencalc.cli.main import main\n{RUNS}"
TOOL = "from tokencalc import TokenCalculatorTool\nTokenCalculatorTool()\n"
LOADED = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"

HEAVY = {"click", "psutil", "pydantic", "requests", "rich", "sqlite3", "tiktoken", "urllib3"}


def run(code: str, folder: Path) -> str:
    """Run code in a new interpreter, and show what it said when it fails."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def loaded_by(code: str, folder: Path) -> set[str]:
    """Return the top-level modules that a new interpreter holds after the code; its last line of output is ours."""
    return set(json.loads(run(code + LOADED, folder).splitlines()[-1]))


@pytest.mark.parametrize("code", ["import tokencalc", PRICE, ESTIMATE], ids=["import", "price", "estimate"])
def test_no_connection_is_opened_by(code: str, tmp_path: Path) -> None:
    run(WATCH + code, tmp_path)


def test_the_watch_sees_a_connection(tmp_path: Path) -> None:
    seen = "import socket\nsocket.getaddrinfo('localhost', 80)"
    done = subprocess.run(
        [sys.executable, "-c", WATCH + seen], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.split()[0]) == (3, "socket.getaddrinfo")


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import tokencalc\n", set()),
        (HELP, {"click"}),
        (PRICE, {"sqlite3"}),
        (ESTIMATE, {"sqlite3", "tiktoken"}),
        (LEDGER, {"click", "psutil", "rich", "sqlite3"}),
    ],
    ids=["import", "help", "price", "estimate", "commands on a ledger"],
)
def test_nothing_heavy_is_loaded_by(code: str, allowed: set[str], tmp_path: Path) -> None:
    assert loaded_by(code, tmp_path) & HEAVY <= allowed


def test_the_tool_loads_what_the_others_must_not(tmp_path: Path) -> None:
    assert "pydantic" in loaded_by(TOOL, tmp_path)
