"""What `update_pricing` answers: what an offered price table changes, and whether it was accepted.

In a file of its own because reading offers loads what no other answer needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokencalc.errors import CallInvalid
from tokencalc.pricing.offers import GENAI
from tokencalc.pricing.own import price_folder
from tokencalc.pricing.updating import apply_update, plan_update
from tokencalc.reports.prices import update_document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tokencalc.engine import Engine


def update_answer(engine: Engine, read: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """What an offered price table changes; with ``confirm`` it is accepted, and prices from now on.

    A jump of ten times or more is told in a dry run, and refused with ``confirm`` unless ``force`` is given.
    """
    file = read["file"]
    if "wheel" in read and file != GENAI:
        raise CallInvalid(f"wheel: goes with file={GENAI!r}", path="wheel", found=read["wheel"])
    update = plan_update(
        GENAI if file == GENAI else Path(file),
        folder=price_folder(engine.settings),
        now=now,
        provider=read.get("provider"),
        file=Path(read["wheel"]) if "wheel" in read else None,
    )
    written = apply_update(update, force=read.get("force", False)) if read.get("confirm", False) else ()
    if written:
        engine.reload_prices()
    return update_document(update, written)
