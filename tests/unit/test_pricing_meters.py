"""Rates beyond text tokens: other units, hours and weekdays, least quantities, sizes and qualities."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tokencalc.errors import PriceTableInvalid
from tokencalc.pricing.catalog import Catalog
from tokencalc.pricing.evaluate import evaluate
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime.fromisoformat("2026-11-20T12:00:00+00:00")

TABLE = """
provider = "acme"

[[model]]
id = "ears"
[[model.card]]
effective_from = 2026-01-01
rates = { input_audio_second_per_hour = "0.111", output_per_mtok = "2" }
minimums = { input_audio_second = 10 }

[[model]]
id = "brush"
[[model.card]]
effective_from = 2026-01-01
rates = { output_image_piece_per_piece = "0.04", input_per_mtok = "5" }
variants = [
  { when = { image_quality = "hd" }, rates = { output_image_piece_per_piece = "0.08" }, unchanged = ["input"] },
  { when = { image_quality = "hd", image_size = "1792x1024" }, rates = { output_image_piece_per_piece = "0.12" } },
]

[[model]]
id = "reader"
[[model.card]]
effective_from = 2026-01-01
rates = { input_page_per_kpage = "2", annotated_page_per_kpage = "3", input_character_per_mcharacter = "15", cache_storage_token_hour_per_mtok_hour = "4.5", search_unit_per_kcall = "2" }

[[model]]
id = "owl"
[[model.card]]
effective_from = 2026-01-01
rates = { input_per_mtok = "1" }
variants = [
  { during = { hours = ["16:30-00:30"] }, rates = { input_per_mtok = "0.5" } },
  { during = { weekdays = ["sat", "sun"], timezone = "Asia/Shanghai" }, rates = { input_per_mtok = "0.25" } },
  { when = { processing = "batch" }, during = { hours = ["16:30-00:30"] }, rates = { input_per_mtok = "0.1" } },
]
multipliers = [{ when = { region = "us" }, factor = "1.1", meters = "tokens" }]
"""  # noqa: E501  # a table is easier to read with a card's rates on one line


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Give the packaged prices with a table of unusual meters on top."""
    path = tmp_path / "acme.toml"
    path.write_text(TABLE, encoding="utf-8")
    return Catalog.packaged().with_files([path])


@pytest.mark.parametrize(
    ("expected", "model", "meter", "quantity"),
    [
        # 0.111 / 3600 a second has no end as a decimal: rounded once, at the pico-dollar.
        ("0.003083333333", "ears", Meter.INPUT_AUDIO_SECOND, 100),
        ("0.111", "ears", Meter.INPUT_AUDIO_SECOND, 3600),
        ("0.000385416667", "ears", Meter.INPUT_AUDIO_SECOND, Decimal("12.5")),
        ("0.16", "brush", Meter.OUTPUT_IMAGE_PIECE, 4),
        ("0.006", "reader", Meter.INPUT_PAGE, 3),
        ("0.003", "reader", Meter.ANNOTATED_PAGE, 1),
        ("0.00003", "reader", Meter.INPUT_CHARACTER, 2),
        ("9", "reader", Meter.CACHE_STORAGE_TOKEN_HOUR, 2_000_000),
        ("0.002", "reader", Meter.SEARCH_UNIT, 1),
    ],
)
def test_each_unit_is_priced_as_it_is_published(
    catalog: Catalog, expected: str, model: str, meter: Meter, quantity: int | Decimal
) -> None:
    cost = evaluate(catalog, Usage.from_leaves([(meter, quantity)]), model=model, at=AT)
    assert Decimal(expected) == cost.total_usd


@pytest.mark.parametrize(
    ("billed", "seconds", "notes"),
    [
        (10, Decimal("0.5"), ("input_audio_second: 0.5 is billed as 10",)),
        (10, 10, ()),
        (11, 11, ()),
    ],
)
def test_a_call_is_billed_for_the_least_quantity(
    catalog: Catalog, billed: int, seconds: int | Decimal, notes: tuple[str, ...]
) -> None:
    usage = Usage.from_leaves([(Meter.INPUT_AUDIO_SECOND, seconds), (Meter.OUTPUT, 5)])
    cost = evaluate(catalog, usage, model="ears", at=AT)
    assert ([billed, 5], notes) == ([line.quantity for line in cost.lines], cost.notes)


def test_a_least_quantity_is_not_billed_for_what_was_not_used(catalog: Catalog) -> None:
    cost = evaluate(catalog, Usage(output_tokens=5), model="ears", at=AT)
    assert [line.meter for line in cost.lines] == [Meter.OUTPUT]


@pytest.mark.parametrize(
    ("expected", "context"),
    [
        ("0.04", {}),
        ("0.08", {"image_quality": "hd"}),
        ("0.12", {"image_size": "1792x1024", "image_quality": "hd"}),
        (None, {"image_size": "1792x1024"}),
    ],
)
def test_an_image_is_priced_by_its_quality_and_size(
    catalog: Catalog, expected: str | None, context: dict[str, str]
) -> None:
    usage = Usage.from_leaves([(Meter.OUTPUT_IMAGE_PIECE, 1)])
    cost = evaluate(catalog, usage, model="brush", at=AT, context=context)
    assert (None if expected is None else Decimal(expected)) == cost.total_usd


@pytest.mark.parametrize(
    ("expected", "at", "context"),
    [
        ("1", "2026-11-19T16:29:59+00:00", {}),
        ("0.5", "2026-11-19T16:30:00+00:00", {}),
        ("0.5", "2026-11-20T00:29:59+00:00", {}),
        ("1", "2026-11-20T00:30:00+00:00", {}),
        # Saturday in Shanghai begins on Friday at 16:00 UTC; where two windows hold, the one listed first.
        ("0.25", "2026-11-20T16:00:00+00:00", {}),
        ("0.5", "2026-11-20T16:30:00+00:00", {}),
        ("0.25", "2026-11-21T12:00:00+00:00", {}),
        ("0.55", "2026-11-19T17:00:00+00:00", {"region": "us"}),
        ("1.1", "2026-11-19T12:00:00+00:00", {"region": "us"}),
        ("0.1", "2026-11-19T17:00:00+00:00", {"processing": "batch"}),
        (None, "2026-11-19T12:00:00+00:00", {"processing": "batch"}),
    ],
)
def test_a_rate_holds_in_its_hours(catalog: Catalog, expected: str | None, at: str, context: dict[str, str]) -> None:
    cost = evaluate(catalog, Usage(input_tokens=1_000_000), model="owl", at=datetime.fromisoformat(at), context=context)
    assert (None if expected is None else Decimal(expected)) == cost.total_usd


def test_the_line_s_reader_is_told_the_hours(catalog: Catalog) -> None:
    night = datetime.fromisoformat("2026-11-19T17:00:00+00:00")
    assert evaluate(
        catalog, Usage(input_tokens=1), model="owl", at=night
    ).notes == ("the rates of 16:30-00:30 UTC",)  # fmt: skip
    cost = evaluate(catalog, Usage(input_tokens=1), model="owl", at=AT, context={"processing": "batch"})
    assert cost.notes == ("acme/owl@2026-01-01: rates for processing=batch are known at other hours only",)


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        (
            "input_audio_second_per_hour",
            "input_audio_second_per_mtok",
            "allowed: .*_per_second, .*_per_minute, .*_per_hour",
        ),
        ("input_per_mtok", "input_per_hour", "is no rate; did you mean 'input_per_mtok'"),
        ("input_audio_second = 10", "input_audio_second = 0.5", "expected a whole number of at least 1"),
        ("input_audio_second = 10", "audio = 10", "is not known"),
        ('"16:30-00:30"', '"16:30"', 'expected a span such as "16:30-00:30"'),
        ('"16:30-00:30"', '"16:30-16:30"', 'expected a span such as "16:30-00:30"'),
        ('"16:30-00:30"', '"16:30+01:00-17:30"', 'expected a span such as "16:30-00:30"'),
        ('hours = ["16:30-00:30"]', "", "expected hours, weekdays or both"),
        ('"sat"', '"saturday"', "did you mean 'sat'"),
        ("Asia/Shanghai", "Asia/Shangai", "Asia/Shangai"),
        ("during = { hours", "times = { hours", "is no key here"),
        ('image_quality = "hd" }, rates', 'quality = "hd" }, rates', "did you mean 'image_quality'"),
    ],
)
def test_a_fault_in_an_unusual_rate_is_refused_with_its_place(
    tmp_path: Path, good: str, bad: str, message: str
) -> None:
    path = tmp_path / "acme.toml"
    assert good in TABLE
    path.write_text(TABLE.replace(good, bad), encoding="utf-8")
    with pytest.raises(PriceTableInvalid, match=message):
        Catalog.packaged().with_files([path])


def test_a_card_says_from_which_set_it_was_imported(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(
        'provider = "acme"\nimported = "some-set 1.2"\nchecked_on = 2026-10-01\n[[model]]\nid = "m"\n'
        '[[model.card]]\neffective_from = 2026-01-01\nrates = { input_per_mtok = "1" }\n'
        '[[model]]\nid = "n"\n[[model.card]]\neffective_from = 2026-01-01\nimported = "other 2"\n'
        'rates = { input_per_mtok = "1" }\n',
        encoding="utf-8",
    )
    cards = [Catalog.packaged().with_files([path]).card(model=model, at=AT) for model in ("m", "n")]
    assert [(card.imported, card.source) for card in cards] == [
        ("some-set 1.2", ("some-set 1.2",)),
        ("other 2", ("other 2",)),
    ]
    assert [str(card.checked_on) for card in cards] == ["2026-10-01", "2026-10-01"]
