"""Fits what providers add around messages on recorded requests, and writes tokencalc/tokens/fitted.py.

    python -m scripts.fit_token_constants weights ../shared/tokens/calibration.jsonl.gz
    python -m scripts.fit_token_constants reach ../shared/tokens/calibration.jsonl.gz

Only the training part is used: requests whose sha256 of ``repo|path`` begins with a byte below 0x60. The rest is for
`benchmarks/bench_token_error.py`. Run it where the exact vocabularies are installed; it says which were used.

The model is linear: texts, counted by the family's vocabulary or factors, and a weight for each thing beside them
(`tokencalc.tokens.surroundings`). Weights are solved for by least squares of the relative error, re-weighted so that
outliers (text that a provider adds, media that the recording left out) do not pull, and held to what was known before
(`PRIORS`) where there is little data. The reach is the range of what is left over in the training part.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.least_squares import Prior, Row, solve
from tokencalc.errors import PriceUnknown
from tokencalc.pricing.catalog import Catalog
from tokencalc.tokens import fitted
from tokencalc.tokens.approximate import LATIN, marks
from tokencalc.tokens.count import count_messages, count_text
from tokencalc.tokens.definitions import read_definitions
from tokencalc.tokens.exact import count_exact
from tokencalc.tokens.factors import FAMILIES
from tokencalc.tokens.layout import UNITS, group_of
from tokencalc.tokens.messages import read_messages
from tokencalc.tokens.openai import form_name
from tokencalc.tokens.runs import runs
from tokencalc.tokens.surroundings import lay_out, profile_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tokencalc.tokens.definitions import Definitions

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "tokencalc" / "tokens" / "fitted.py"
TEST_FROM_BYTE = 0x60
PROVIDERS = {"openai-chat": "openai", "openai-responses": "openai", "gemini": "google"}
UNCOUNTABLE = frozenset({"media", "srv", "thinkblk"})
"""Flags of requests that hold what the recording left out; thinking signatures cost little and stay in."""

Tally = defaultdict[str, float]

ANCHOR_WEIGHT = 0.3
"""What a file of our own weighs beside a request."""


CLAUDE_MARKS = {name: Prior(0, 0.2) for name in ("sign", "line", "indent", "digit", "capital", "joint")}
CLAUDE = {
    "request": Prior(4, 4),
    "message": Prior(3, 3),
    "assistant": Prior(3, 3),
    "system": Prior(0, 3),
    "call": Prior(27, 30),
    "result": Prior(27, 30),
    "parallel": Prior(0, 50),
    "thinking": Prior(29, 30),
    "tool": Prior(0, 10),
    "schema": Prior(140, 200),
    "schema_text": Prior(0, 0.2),
    "definition": Prior(0, 0.2),
    "text": Prior(1.05, 0.2),
    **CLAUDE_MARKS,
}
# Anthropic publishes what its instructions for tools cost up to 3.7; later ones are measured.
CLAUDE_TOOLS = {
    "claude_3_opus": (530, 281, 281),
    "claude_3_haiku": (264, 340, 340),
    "claude_3": (294, 261, 261),
    "claude_3_7": (346, 313, 313),
    "claude_4": (315, 318, 287),
    "claude": (497, 589, 604),
    "claude_opus_5": (306, 315, 315),
    "claude_sonnet_5": (374, 390, 390),
    "claude_4_7": (374, 390, 390),
}
GEMINI = {
    "request": Prior(0, 0.1),
    "message": Prior(1, 0.3),
    "assistant": Prior(1, 0.3),
    "system": Prior(1, 0.3),
    "call": Prior(5, 8),
    "result": Prior(5, 8),
    "pair": Prior(3, 2),
    "tool": Prior(18, 8),
    "object": Prior(2, 5),
    "property": Prior(13, 4),
    "required": Prior(-3, 3),
    "described": Prior(0, 3),
    "tool_described": Prior(-2, 3),
}
NOTHING_AROUND = {name: Prior(0, prior.spread) for name, prior in GEMINI.items()} | {"property": Prior(3.5, 4)}
CHAT_ML = {
    "message": Prior(5, 2),
    "assistant": Prior(5, 2),
    "system": Prior(5, 2),
    "request": Prior(5, 3),
    "call": Prior(10, 10),
    "result": Prior(10, 10),
    "tool": Prior(10, 10),
    "definition": Prior(0, 0.2),
    "schema": Prior(5, 20),
    "schema_text": Prior(0, 0.3),
    "tools_auto": Prior(100, 200),
}
PRIORS: dict[str, dict[str, Prior]] = {
    "claude": CLAUDE,
    "claude_4_7": CLAUDE | {"text": Prior(1.5, 0.2)},
    "gemini": GEMINI,
    "gemini_2_5": GEMINI,
    "gemini_2_0": NOTHING_AROUND,
    "mistral": CHAT_ML
    | {"request": Prior(1, 1), "message": Prior(2, 1), "assistant": Prior(1, 1), "system": Prior(2, 1)}
    | {"tools_auto": Prior(3, 10), "call": Prior(5, 8), "result": Prior(5, 8)},
    "llama": CHAT_ML,
    "llama_3_1": CHAT_ML | {"request": Prior(42, 10)},
    "llama_4": CHAT_ML | {"tools_auto": Prior(657, 200)},
    "qwen": CHAT_ML | {"request": Prior(3, 3)},
    "unknown": CHAT_ML | {"request": Prior(3, 1), "message": Prior(4, 1), "assistant": Prior(4, 1)},
}
"""What was known before, by profile: from providers' pages, and from earlier measurements."""

SHARED = {name: "claude" for name in CLAUDE_TOOLS if name not in {"claude_opus_5", "claude_sonnet_5"}} | {
    "claude_2": "claude",
    "claude_4_7": "claude_4_7",
    "claude_opus_5": "claude_4_7",
    "claude_sonnet_5": "claude_4_7",
}
"""Profiles that have all weights of another but those of its tools."""

# Text of our own, by the factors to o200k that were measured on large texts, so that a fit on short requests does not
# lose sight of them: kind, factor for Claude to 4.6, factor from 4.7.
ANCHORS = (
    ("docs/*.md", 1.22, 1.61),
    ("tokencalc/budgets/*.py", 1.25, 1.6),
    ("tokencalc/pricing/tables/mi*.json", 1.25, 1.6),
)


def is_training(record: Mapping[str, Any]) -> bool:
    """Say whether a record is in the part that may be fitted on."""
    return hashlib.sha256(f"{record['repo']}|{record['path']}".encode()).digest()[0] < TEST_FROM_BYTE


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read the recorded requests of the training part whose every part was recorded."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        records = [record for record in map(json.loads, lines) if is_training(record)]
    return [record for record in records if not UNCOUNTABLE & set(record["flags"]) and record["inp"] > 0]


def tokenizer_of(record: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    """Return how a record's model is counted: tokenizer, encoding, verified."""
    provider = PROVIDERS.get(record["fam"], record["fam"])
    try:
        facts = catalog.resolve(record["model"], provider=provider)
    except PriceUnknown:
        return {"tokenizer": None, "encoding": None, "verified": False}
    return {"tokenizer": facts.tokenizer, "encoding": facts.encoding, "verified": facts.encoding_verified}


def interface_of(record: Mapping[str, Any]) -> str | None:
    """Return the interface that a record was sent to, where it counts."""
    if record["prov"] == "vertex":
        return "vertex"
    return "responses" if record["kind"] == "responses" else None


def call_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as the arguments of ``count_messages``."""
    return {
        "messages": record["M"],
        "tools": record["tools"] or None,
        "tool_choice": record["tc"],
        "response_format": record["rf"],
        "thinking": record["think"],
        "interface": interface_of(record),
        "model": record["model"],
    }


def row_of(record: Mapping[str, Any], tokenizer: str | None) -> tuple[str, Row]:
    """Return the profile of a record and its row."""
    request = read_messages(record["M"])
    definitions = definitions_of(record)
    profile = profile_of(tokenizer, record["model"], interface_of(record))
    layout = lay_out(request, definitions, profile)
    found: Tally = defaultdict(float)
    for name, count in layout.features.items():
        found[f"{name}:{profile}" if name.startswith("tools_") and profile in SHARED else name] += count
    for text in layout.texts:
        if text.path != "response_format":
            add_text(found, text.text, tokenizer, "definition" if text.path.startswith("tools.") else "")
    if definitions.schema is not None and not fitted.WEIGHTS[profile].get("as_words"):
        add_text(found, json.dumps(definitions.schema.schema, ensure_ascii=False), tokenizer, "schema_text")
    known = found.pop("known", 0)
    return SHARED.get(profile, profile), Row(found, record["inp"] - known, record["inp"])


def definitions_of(record: Mapping[str, Any]) -> Definitions:
    """Return what a record describes beside its messages."""
    call = call_of(record)
    names = ("tools", "tool_choice", "response_format", "thinking")
    return read_definitions(read_messages(record["M"]), **{name: call[name] for name in names})


def add_text(found: Tally, text: str, tokenizer: str | None, role: str) -> None:
    """Add a text's features: what is known already, and for Claude what its Latin text is made of."""
    if tokenizer not in {"claude", "claude_4_7"}:
        tokens = count_text(text, tokenizer=tokenizer, encoding=None).tokens if text else 0
        found["known"] += tokens
        found[role or "message_text"] += tokens
        return
    for kind, part in runs(text):
        tokens = count_exact(part, "o200k_base").tokens
        if kind in LATIN:
            found["text"] += tokens
            for name, count in marks(part).items():
                found[name] += count
            found[role or "message_text"] += tokens
        else:
            found["known"] += tokens * FAMILIES[tokenizer].thousandths[kind] / UNITS


def anchors(profile: str) -> list[Row]:
    """Return rows of our own texts, billed as the measured factors say."""
    rows: list[Row] = []
    for pattern, early, late in ANCHORS:
        for path in sorted(ROOT.glob(pattern))[:6]:
            found: Tally = defaultdict(float)
            add_text(found, path.read_text(encoding="utf-8")[:20_000], profile, "")
            billed = found["text"] * (early if profile == "claude" else late)
            rows.append(Row(found, billed, billed, ANCHOR_WEIGHT))
    return rows


def fit_weights(records: Iterable[Mapping[str, Any]], catalog: Catalog) -> None:
    """Solve for every profile's weights and put them into `fitted`."""
    rows: dict[str, list[Row]] = {}
    for record in records:
        tokenizer = tokenizer_of(record, catalog)["tokenizer"]
        if tokenizer not in {"openai", "gpt_oss"}:
            profile, row = row_of(record, tokenizer)
            rows.setdefault(profile, []).append(row)
    for profile, known in PRIORS.items():
        own = rows.get(profile, [])
        priors = dict(known)
        if profile == "claude_4_7":
            # Few requests: what is around the text is held to the earlier generations'.
            early = {name: value / UNITS for name, value in fitted.WEIGHTS["claude"].items()}
            priors |= {
                name: Prior(early[name], known[name].spread) for name in ("call", "result", "parallel", "schema")
            }
        if profile in TEXT_PROFILES:
            own = [*own, *anchors(profile)]
            priors |= {
                f"tools_{kind}:{name}": Prior(value, 200)
                for name, values in CLAUDE_TOOLS.items()
                if SHARED.get(name, name) == profile
                for kind, value in zip(("auto", "any", "tool"), values, strict=True)
            }
        found = solve(own, priors)
        print(f"{profile}: {len(own)} rows")
        store(profile, found, own)


TEXT_PROFILES = ("claude", "claude_4_7")


def store(profile: str, found: Mapping[str, float], rows: Sequence[Row]) -> None:
    """Put a profile's weights into `fitted`, in thousandths."""
    text = {"text", *CLAUDE_MARKS} if profile in TEXT_PROFILES else set()
    weights = {name: round(value * UNITS) for name, value in found.items() if name not in text and ":" not in name}
    as_words = fitted.WEIGHTS[profile].get("as_words", 0)
    if as_words:
        weights["as_words"] = 1
    else:
        for name in ("definition", "schema_text"):
            weights[name] = share(name, found, rows) if text else UNITS + round(found[name] * UNITS)
    if text:
        fitted.TEXT[profile] = {name: round(found[name] * UNITS) for name in ("text", *CLAUDE_MARKS)}
    for name in [name for name, shared in SHARED.items() if shared == profile] or [profile]:
        tools = {key.split(":")[0]: round(value * UNITS) for key, value in found.items() if key.endswith(f":{name}")}
        fitted.WEIGHTS[name] = weights | (tools or fallback_tools(weights, found, profile))
    if not text and "tools_auto" in weights:
        fitted.WEIGHTS[profile] |= {"tools_any": weights["tools_auto"], "tools_tool": weights["tools_auto"]}


def fallback_tools(weights: Mapping[str, int], found: Mapping[str, float], profile: str) -> dict[str, int]:
    """Return the tools' weights of the family for a generation that has none of its own."""
    if profile not in TEXT_PROFILES:
        return {key: value for key, value in weights.items() if key.startswith("tools_")}
    return {key.split(":")[0]: round(value * UNITS) for key, value in found.items() if key.endswith(f":{profile}")}


def share(role: str, found: Mapping[str, float], rows: Sequence[Row]) -> int:
    """Return how often a definition's text counts, where its own weight comes on top of its text and marks."""
    extra = sum(row.features.get(role, 0) for row in rows) * found[role]
    # Definitions are JSON: their own rate of marks is nearly that of all text with definitions in it.
    held = [row for row in rows if row.features.get(role)]
    tokens = sum(row.features.get("text", 0) for row in held) or 1
    told = sum(found[name] * row.features.get(name, 0) for row in held for name in ("text", *CLAUDE_MARKS))
    inside = sum(row.features.get(role, 0) for row in held) * told / tokens or 1
    return UNITS + round(UNITS * extra / inside)


def fit_reach(records: Iterable[Mapping[str, Any]], catalog: Catalog) -> None:
    """Find how far billed counts lie outside what the texts' own ranges cover, by profile and group."""
    for groups in fitted.REACH.values():
        groups.clear()
        groups.update({"plain": (0, 0), "tools": (0, 0), "schema": (0, 0), "calls": (0, 0)})
    misses: dict[str, list[Miss]] = {}
    seen: set[str] = set()
    for record in records:
        how = tokenizer_of(record, catalog)
        counted = count_messages(**call_of(record), **how)
        group = group_of(read_messages(record["M"]), definitions_of(record))
        if how["tokenizer"] in {"openai", "gpt_oss"}:
            profile = form_name(how["tokenizer"], record["model"], interface_of(record))
        else:
            profile = profile_of(how["tokenizer"], record["model"], interface_of(record))
            if record["tools"]:
                seen.add(profile)
        miss = Miss(group, max(counted.low - record["inp"], 0), max(record["inp"] - counted.high, 0))
        if max(miss.below, miss.above) > INCOMPLETE_FROM:
            continue
        misses.setdefault(SHARED.get(profile, profile), []).append(miss)
    for profile in fitted.REACH:
        shared = SHARED.get(profile, profile)
        found = reach_of(misses.get(shared, []), LEAST_ESTIMATED if shared in TEXT_PROFILES else LEAST)
        if profile in SHARED and profile not in seen:
            found |= {
                group: (max(low, UNSEEN), max(high, UNSEEN)) for group, (low, high) in found.items() if group != "plain"
            }
        fitted.REACH[profile] = found


class Miss(NamedTuple):
    """How far a billed count lies outside the range of the texts alone."""

    group: str
    below: int
    above: int


FEW_LEAST = {"plain": (1, 2), "tools": (15, 25), "schema": (15, 25), "calls": (15, 25)}
"""The reach where fewer than five requests were recorded."""
FEW = 5
INCOMPLETE_FROM = 300
"""A request that is off by more tokens held something that the recording left out: media in a result."""
UNSEEN = 60
"""The reach of a generation's tools that no request was recorded of."""
LEAST = {"plain": (1, 1), "tools": (4, 8), "schema": (4, 8), "calls": (6, 12)}
"""The reach at the least: what was fitted leaves less on its own part than on what it has not seen."""
LEAST_ESTIMATED = {"plain": (3, 4), "tools": (16, 20), "schema": (12, 20), "calls": (16, 20)}
"""The same where the text itself is estimated."""
SPARE_BELOW_PERCENT, SPARE_ABOVE_PERCENT = 3, 2


def reach_of(misses: list[Miss], at_least: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Return the least reach of each group that leaves so many of a hundred requests outside, on each side."""
    below = sorted(misses, key=lambda miss: miss.below)[: len(misses) - len(misses) * SPARE_BELOW_PERCENT // 100]
    above = sorted(misses, key=lambda miss: miss.above)[: len(misses) - len(misses) * SPARE_ABOVE_PERCENT // 100]
    found: dict[str, tuple[int, int]] = {}
    for group, least in at_least.items():
        few = sum(miss.group == group for miss in misses) < FEW
        low, high = FEW_LEAST[group] if few else least
        lows = [miss.below for miss in below if miss.group == group]
        highs = [miss.above for miss in above if miss.group == group]
        found[group] = (max([low, *lows]), max([high, *highs]))
    return found


HEADER = '''"""Weights in thousandths of a token, fitted by scripts/fit_token_constants.py; made by it, not by hand.

The script says what each is and what it was held to; docs/tokens.md says what they reach. They were fitted on the
training part of recorded requests, with the vocabularies of Gemma, Mistral, Llama and Qwen at hand.
"""

from __future__ import annotations

'''


def write() -> None:
    """Write `fitted` back as a module."""
    parts = [
        (
            "TEXT: dict[str, dict[str, int]]",
            fitted.TEXT,
            "Claude's Latin text: factor to o200k, and marks.",
        ),
        ("WEIGHTS: dict[str, dict[str, int]]", fitted.WEIGHTS, "What each thing beside the texts costs, by profile."),
        ("REACH: dict[str, dict[str, tuple[int, int]]]", fitted.REACH, "Whole tokens below and above, by profile."),
    ]
    lines = [f'{name} = {value!r}\n"""{told}"""\n' for name, value, told in parts]
    TARGET.write_text(HEADER + "\n".join(lines), encoding="utf-8")
    ruff = Path(sys.executable).with_name("ruff")
    subprocess.run([str(ruff), "format", "--quiet", str(TARGET)], check=True)  # noqa: S603  # our own tool


def main() -> None:
    """Fit one of the two and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("weights", "reach"))
    parser.add_argument("calibration", type=Path)
    arguments = parser.parse_args()
    records, catalog = read_records(arguments.calibration), Catalog.packaged()
    (fit_weights if arguments.what == "weights" else fit_reach)(records, catalog)
    write()


if __name__ == "__main__":
    main()
