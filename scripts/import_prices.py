"""Compare pricing/*.toml with the public price sets, and append what is new.

    python -m scripts.import_prices --genai genai_prices-0.2.3-py3-none-any.whl
        --litellm litellm-1.109.1-...whl [--provider openai] [--write]

Get the sets with ``pip download --no-deps genai-prices==0.2.3 litellm==1.109.1``
(litellm is large; one of the two is enough). The file inside a wheel may be given
instead: ``genai_prices/data.py``, ``model_prices_and_context_window_backup.json``.

Without ``--write`` it prints a diff for review: models that we do not have, and
every rate that differs, with both values. Differences that a card keeps on
purpose (``differs_because``) are listed apart, with the reason. ``--write``
appends only: new models, and new cards where a set dates a change after our last
card. It never edits a card; a rate that was wrong from its first day is for a
person to correct, with a note. Look at the result with ``git diff`` before you
commit it, and at the provider's own page.
"""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.compile_prices import EDITED
from tokencalc.pricing.dump import dump_table
from tokencalc.pricing.loader import read_toml
from tokencalc.pricing.schema import TableChecker
from tokencalc.pricing.sets import PriceSet, append_new, compare, genai_facts, is_for_us, litellm_facts, models_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def _report(provider: str, raw: Mapping[str, Any], price_set: PriceSet) -> int:
    """Print the diff of one provider and return how many differences want a decision."""
    found = compare(provider, raw, price_set)
    theirs = dict(models_of(provider, price_set))
    print(f"== {provider} against {price_set.name}")
    for name in found.not_ours:
        print(f"   not ours    {name}" + ("" if is_for_us(theirs[name]) else " (meters or names that we do not have)"))
    print(f"   {found.agreements} rates agree, {found.only_ours} rates of ours are not in the set")
    for item in found.differences:
        mark = "on purpose" if item.because else "differs   "
        print(f"   {mark}  {item.model} {item.day} {item.key}: ours {item.ours}, theirs {item.theirs}")
    for because in dict.fromkeys(f"{item.model}: {item.because}" for item in found.differences if item.because):
        print(f"   because     {because}")
    return sum(not item.because for item in found.differences)


def main() -> int:
    """Print the diff, or append what is new."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genai", type=Path, help="genai-prices: its wheel, or data.py from it")
    parser.add_argument("--genai-name", default="genai-prices 0.2.3", help="what the cards' sources call it")
    parser.add_argument("--genai-day", type=date.fromisoformat, default=date(2026, 11, 9), help="the newest day in it")
    parser.add_argument("--litellm", type=Path, help="litellm: its wheel, or the JSON of prices from it")
    parser.add_argument("--litellm-name", default="litellm 1.109.1", help="what the cards' sources call it")
    parser.add_argument(
        "--litellm-day", type=date.fromisoformat, default=date(2026, 10, 26), help="the newest day in it"
    )
    parser.add_argument("--provider", action="append", help="one of ours; all of them by default")
    parser.add_argument("--write", action="store_true", help="append new models and new dated cards")
    arguments = parser.parse_args()
    sets = []
    if arguments.genai:
        sets.append(PriceSet(arguments.genai_name, arguments.genai_day, genai_facts(arguments.genai)))
    if arguments.litellm:
        sets.append(PriceSet(arguments.litellm_name, arguments.litellm_day, litellm_facts(arguments.litellm)))
    if not sets:
        parser.error("give --genai, --litellm, or both")
    open_questions = 0
    for path in sorted(EDITED.glob("*.toml")):
        if arguments.provider and path.stem not in arguments.provider:
            continue
        raw = read_toml(path)
        for price_set in sets:
            if arguments.write:
                print(*append_new(path.stem, raw, price_set), sep="\n")
            else:
                open_questions += _report(path.stem, raw, price_set)
        if arguments.write:
            text = path.read_text(encoding="utf-8")
            head = [line for line in text.splitlines() if line.startswith("#")]
            TableChecker(path.name, packaged=True).table(raw)
            path.write_text(dump_table(raw, "\n".join(head)), encoding="utf-8")
    print(f"{open_questions} differences want a decision" if not arguments.write else "look at it: git diff pricing/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
