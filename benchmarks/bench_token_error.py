"""How far `tokencalc.count` is from what was billed, on recorded requests that no constant was fitted on.

Reads ``../shared/tokens/calibration.jsonl.gz`` beside the project, and does nothing where it is absent. The test part
is the requests whose sha256 of ``repo|path`` begins with a byte of 0x60 or above. A request is *whole* where the
recording left nothing out; media, what server tools found and thinking blocks were, and nobody can count what is not
there.
Figures depend on the vocabularies that are installed, which the first line names.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

from tokencalc import TokencalcError, TokenCount, count

CALIBRATION = Path(__file__).resolve().parents[2] / "shared" / "tokens" / "calibration.jsonl.gz"
TEST_FROM_BYTE = 0x60
PROVIDERS = {"openai-chat": "openai", "openai-responses": "openai", "gemini": "google"}
FAMILIES = ("openai-chat", "openai-responses", "anthropic", "gemini", "mistral", "groq")
GOALS = {
    "openai-chat": "0 / 95 %",
    "openai-responses": "0 / 82 %",
    "anthropic": "1.5 / 78 %",
    "gemini": "0 / 80 % (with [exact])",
}
NEAR = 0.05


class Measured(NamedTuple):
    """One request: what was billed, and our answer."""

    billed: int
    found: TokenCount

    @property
    def error(self) -> float:
        """The error as a part of what was billed."""
        return abs(self.found.tokens - self.billed) / self.billed

    @property
    def covered(self) -> bool:
        """Whether what was billed lies in the range."""
        return self.found.low <= self.billed <= self.found.high

    @property
    def width(self) -> float:
        """The range's width as a part of what was billed."""
        return (self.found.high - self.found.low) / self.billed


def test_part() -> list[dict[str, Any]]:
    """Return the recorded requests that nothing was fitted on."""
    with gzip.open(CALIBRATION, "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    return [
        record
        for record in records
        if hashlib.sha256(f"{record['repo']}|{record['path']}".encode()).digest()[0] >= TEST_FROM_BYTE
        and record["inp"] > 0
    ]


def is_plain_text(record: dict[str, Any]) -> bool:
    """Say whether a request is messages of text and nothing else."""
    calls = any(message.get("tool_calls") or message["role"] == "tool" for message in record["M"])
    return not (calls or record["tools"] or record["rf"] or record["flags"])


def measure(record: dict[str, Any]) -> Measured | None:
    """Count one recorded request; None where it is refused."""
    interface = "vertex" if record["prov"] == "vertex" else "responses" if record["kind"] == "responses" else None
    try:
        found = count(
            record["model"],
            messages=record["M"],
            provider=PROVIDERS.get(record["fam"], record["fam"]),
            tools=record["tools"] or None,
            tool_choice=record["tc"],
            response_format=record["rf"],
            thinking=record["think"],
            interface=interface,
        )
    except TokencalcError:
        return None
    return Measured(record["inp"], found)


def show(label: str, records: list[dict[str, Any]], goal: str = "") -> None:
    """Print one row: the errors of these requests."""
    measured = [found for record in records if (found := measure(record))]
    if not measured:
        return
    errors = [one.error for one in measured]
    late = quantiles(errors, n=10)[-1] if len(errors) > 1 else errors[0]
    shares = (
        sum(error <= NEAR for error in errors),
        sum(error == 0 for error in errors),
        sum(one.covered for one in measured),
    )
    near, exact, covered = (f"{100 * share / len(measured):6.1f} %" for share in shares)
    width = median(one.width for one in measured)
    print(
        f"{label:26} {len(measured):4}/{len(records):<4} {100 * median(errors):6.2f} % {100 * late:6.1f} % "
        f"{near} {exact} {covered} {100 * width:6.1f} %  {goal}"
    )


def main() -> None:
    """Print the table."""
    if not CALIBRATION.is_file():
        print("tokens, error: no recorded requests beside the project")
        return
    exact = importlib.util.find_spec("splintr") is not None
    print(f"Input tokens against recorded bills, {'with splintr-rs' if exact else 'base install'}, test part")
    print(
        f"{'requests':26} {'counted':9} {'median':>8} {'p90':>8} {'in 5 %':>8} {'exact':>8} {'covered':>8} {'width':>8}"
        "  goal (median / in 5 %)"
    )
    records = test_part()
    for family in FAMILIES:
        own = [record for record in records if record["fam"] == family]
        show(f"{family}, plain text", [record for record in own if is_plain_text(record)])
        show(f"{family}, whole", [record for record in own if not record["flags"]], GOALS.get(family, ""))
        show(f"{family}, all", own)


if __name__ == "__main__":
    main()
