"""What `wrap` adds to one call: a durable hold and a durable settlement, beside two commits done directly.

The same request goes by a bare and by a wrapped openai client to a server on this
machine, one after the other, in interleaved rounds; the difference of the medians
is ours. The floor is two commits of a small row by SQLite itself, on the same disk.
``--litellm PYTHON`` names an interpreter of an environment with litellm in it: its
``completion`` with a mocked answer, which sends nothing, is timed there, callbacks and
ledger none.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openai import OpenAI

from tokencalc import Budget, Engine, wrap

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 7
CALLS = 100
ASKED: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": "Say hello, please."}],
    "max_tokens": 100,
}
ANSWER = json.dumps(
    {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 2, "total_tokens": 14},
    }
).encode()
LITELLM = """
import statistics, time, warnings
warnings.simplefilter("ignore")
import litellm
asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello, please."}], "max_tokens": 100}
call = lambda: litellm.completion(**asked, mock_response="Hello.")
for _ in range(20):
    call()
rounds = []
for _ in range(7):
    started = time.perf_counter()
    for _ in range(100):
        call()
    rounds.append((time.perf_counter() - started) / 100 * 1e6)
print(statistics.median(rounds))
"""


class Mock(BaseHTTPRequestHandler):
    """Answers every request at once, with the same body."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for headers and body: else the kernel's delays are measured
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def main() -> None:
    """Run the rounds and print microseconds a call."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--folder", help="where the ledgers are written: the disk is what is measured")
    arguments.add_argument("--litellm", metavar="PYTHON", help="an interpreter that can import litellm")
    chosen = arguments.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mock)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = OpenAI(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1", max_retries=0)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder, Engine.open(Path(folder) / "usage.db") as engine:
        engine.set_budget(Budget(name="daily", limit_usd="1000"))
        with Engine.open(":memory:") as memory:
            runs: dict[str, Callable[[], object]] = {
                "two commits, directly": two_commits(Path(folder) / "floor.db"),
                "bare call": caller(client),
                "wrapped, durable ledger": caller(wrap(client, engine=engine)),
                "wrapped, ledger in memory": caller(wrap(client, engine=memory)),
            }
            medians = measure(runs)
    server.shutdown()
    report(medians, chosen.litellm)


def measure(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the microseconds of one call of each, as medians over interleaved rounds."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        for _ in range(10):
            run()
    for _ in range(ROUNDS):
        for name, run in runs.items():
            started = time.perf_counter()
            for _ in range(CALLS):
                run()
            found[name].append((time.perf_counter() - started) / CALLS * 1e6)
    return {name: statistics.median(values) for name, values in found.items()}


def report(medians: dict[str, float], litellm: str | None) -> None:
    """Print the figures, and what is ours of them."""
    floor, bare = medians["two commits, directly"], medians["bare call"]
    print(f"{CALLS} calls a round, {ROUNDS} interleaved rounds, medians in microseconds a call")
    for name, value in medians.items():
        print(f"  {name:28} {value:8.0f}")
    durable, memory = medians["wrapped, durable ledger"] - bare, medians["wrapped, ledger in memory"] - bare
    print(f"  our addition, durable        {durable:8.0f}   {durable / floor:5.2f}x two commits")
    print(f"  our addition, in memory      {memory:8.0f}   {memory / bare:5.2f}x a bare call")
    if litellm is not None:
        offline = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        run = subprocess.run([litellm, "-c", LITELLM], capture_output=True, text=True, check=True, env=offline)
        mocked = float(run.stdout.splitlines()[-1])
        print(f"  litellm.completion, mocked   {mocked:8.0f}   our addition is {durable / mocked:.2f}x of it")


def caller(client: OpenAI) -> Callable[[], object]:
    """Return one call by a client."""
    return lambda: client.chat.completions.create(**ASKED)


def two_commits(path: Path) -> Callable[[], object]:
    """Return two durable transactions of one small row each, by SQLite directly."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE row (number INTEGER PRIMARY KEY, amount_pico INTEGER, usage TEXT, digest BLOB)")

    def run() -> None:
        for _ in range(2):
            connection.execute("INSERT INTO row (amount_pico, usage, digest) VALUES (1, ?, ?)", ("x" * 150, b"x" * 32))

    return run


if __name__ == "__main__":
    main()
