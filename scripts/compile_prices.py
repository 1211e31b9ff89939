"""Check pricing/*.toml and compile them into the JSON tables that the package ships.

Usage: ``python scripts/compile_prices.py`` writes ``tokencalc/pricing/tables/``;
``--check`` writes nothing and ends with 1 where the tables are out of step or where
`tokencalc prices check` would find an error. ``--release`` also writes the digest of
every card to ``tokencalc/pricing/released.json``: from then on a card may not change.
``--release --correct CARD --because REASON`` lets one change all the same, and keeps
the reason there.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tokencalc.errors import PriceTableInvalid
from tokencalc.pricing.build import ProviderTable
from tokencalc.pricing.history import RELEASED, broken, cards_of, corrections, digests_of, released, released_text
from tokencalc.pricing.loader import read_toml
from tokencalc.pricing.review import Finding, review
from tokencalc.pricing.schema import TableChecker
from tokencalc.pricing.units import instant_of

ROOT = Path(__file__).resolve().parents[1]
EDITED = ROOT / "pricing"
COMPILED = ROOT / "tokencalc" / "pricing" / "tables"


def compiled(folder: Path = EDITED) -> dict[str, str]:
    """Return the compiled text of every table by file name; PriceTableInvalid at the first fault."""
    curated, imported = _tables(folder, "*.toml"), _tables(folder, "imported/*.toml")
    texts = {f"{raw['provider']}.json": _text(_shipped(raw)) for raw in (*curated, *imported)}
    return texts | {"index.json": _text(_index(curated)), "imported.json": _text(_index(imported))}


def _tables(folder: Path, pattern: str) -> list[dict[str, Any]]:
    raws = []
    for path in sorted(folder.glob(pattern)):
        raw = read_toml(path)
        TableChecker(str(path.relative_to(folder.parent)), packaged=True).table(raw)
        if raw["provider"] != path.stem:
            raise PriceTableInvalid(
                f"{path.name}: the provider is {raw['provider']!r}; the file must bear its name",
                file=path.name,
                path="provider",
                found=raw["provider"],
            )
        raws.append(raw)
    return raws


def reviewed(folder: Path = EDITED) -> list[Finding]:
    """Return what `tokencalc prices check` finds in the tables that people edit."""
    record = released()
    return [
        finding
        for raw in (*_tables(folder, "*.toml"), *_tables(folder, "imported/*.toml"))
        for finding in review(
            raw, f"pricing/{raw['provider']}.toml", packaged=True, record=cards_of(raw["provider"], record)
        )
    ]


def release(correct: list[str], because: str | None, path: Path = RELEASED) -> list[str]:
    """Write the digests of all cards; return what forbids it: released cards that changed and were not named."""
    before, found = released(path), {}
    for raw in (*_tables(EDITED, "*.toml"), *_tables(EDITED, "imported/*.toml")):
        found.update(digests_of(ProviderTable(raw)))
    changed = broken(before, found)
    unnamed = [f"{item.card_id} is {item.what}" for item in changed if item.card_id not in correct]
    needless = sorted(set(correct) - {item.card_id for item in changed})
    if unnamed or needless or (correct and not because):
        asked = ["--correct needs --because"] if correct and not because else []
        return [*unnamed, *(f"{card_id} did not change" for card_id in needless), *asked]
    new = [{"card": item.card_id, "was": before[item.card_id], "because": because or ""} for item in changed]
    path.write_text(released_text(found, [*corrections(path), *new]), encoding="utf-8")
    return []


def _index(raws: list[dict[str, Any]]) -> dict[str, Any]:
    names: dict[str, list[str]] = {}
    for raw in raws:
        table = ProviderTable(raw)
        for name in (*table.names, *table.moving):
            names.setdefault(name, []).append(table.provider)
    checked = [
        instant_of(card.get("checked_on", raw.get("checked_on"))).date()
        for raw in raws
        for model in raw["model"]
        for card in model["card"]
    ]
    return {
        "checked_on": max(checked, default=date.min).isoformat(),
        "providers": {raw["provider"]: raw.get("aliases", []) for raw in raws},
        "names": {name: " ".join(owners) for name, owners in sorted(names.items())},
    }


def _shipped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shipped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shipped(item) for item in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def main() -> int:
    """Compile, or compare with what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; end with 1 where the tables are out of step"
    )
    parser.add_argument(
        "--release", action="store_true", help="write the digests of all cards, which then may not change"
    )
    parser.add_argument(
        "--correct", action="append", default=[], metavar="CARD", help="a released card that changes all the same"
    )
    parser.add_argument("--because", help="why the named cards change")
    arguments = parser.parse_args()
    try:
        texts = compiled()
    except PriceTableInvalid as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.release:
        forbidding = release(arguments.correct, arguments.because)
        print(*forbidding or [f"written: {RELEASED.relative_to(ROOT)}"], sep="\n")
        if forbidding:
            return 1
    errors = [finding for finding in reviewed() if finding.severity == "error"]
    for finding in errors:
        print(f"{finding.file}: {finding.path}: {finding.message}", file=sys.stderr)
    if errors:
        return 1
    stale = {path.name for path in COMPILED.glob("*.json")} - set(texts)
    changed = [name for name, text in texts.items() if not _same(COMPILED / name, text)]
    if not arguments.check:
        COMPILED.mkdir(exist_ok=True)
        for name in changed:
            (COMPILED / name).write_text(texts[name], encoding="utf-8")
        for name in stale:
            (COMPILED / name).unlink()
    for name in sorted({*changed, *stale}):
        print(f"{'out of step' if arguments.check else 'written'}: {name}")
    return 1 if arguments.check and (changed or stale) else 0


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
