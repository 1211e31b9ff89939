"""A price table with a fault is refused as a whole, and the message says where, what is allowed and what is near."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokencalc.errors import PriceTableInvalid
from tokencalc.pricing.loader import read_table

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
provider = "acme"

[[model]]
id = "rocket-1"

[[model.card]]
effective_from = 2026-01-01
rates = { input_per_mtok = "1", output_per_mtok = "2" }
"""

# What is put in place of what, and words of the message.
FAULTS = [
    ('"1"', "1.5", r"table\.toml.*input_per_mtok: 1\.5 expected a quoted decimal"),
    ('"1"', "1", r"input_per_mtok: 1 expected a quoted decimal"),
    ('"1"', '"-1"', r"expected a price of at least 0"),
    ('"1"', '"a lot"', r"expected a finite decimal number"),
    ('"1"', '"NaN"', r"expected a finite decimal number"),
    ("input_per_mtok", "inptu_per_mtok", r"is no rate; did you mean 'input_per_mtok'"),
    ("input_per_mtok", "input_per_ktok", r"is no rate; did you mean 'input_per_mtok'"),
    ("input_per_mtok", "input", r"is no rate"),
    ("rates =", "rate =", r"is no key here; did you mean 'rates'\?; allowed: checked_on"),
    ("effective_from =", "effective_form =", r"did you mean 'effective_from'"),
    ("effective_from = 2026-01-01\n", "", r"effective_from is missing"),
    ("2026-01-01", '"soon"', r"expected a date, or an instant with a time zone"),
    ("2026-01-01", "2026-01-01T00:00:00", r"expected a date, or an instant with a time zone"),
    ('id = "rocket-1"', 'id = "Rocket-1"', r"expected a name in lower case"),
    ('id = "rocket-1"', 'id = " "', r"expected a name in lower case"),
    ('id = "rocket-1"', 'id = "rocket\\u0007"', r"expected printable characters"),
    ('id = "rocket-1"', 'name = "rocket-1"', r"is no key here; .*allowed: aliases"),
    ('id = "rocket-1"', 'id = "rocket-1"\naliases = ["rocket-1"]', r"is taken by model 'rocket-1'"),
    ('id = "rocket-1"', 'id = "rocket-1"\naliases = "rocket"', r"expected a list"),
    ('id = "rocket-1"', 'id = "rocket-1"\ndated = "yes"', r"expected true or false"),
    ('id = "rocket-1"', 'id = "rocket-1"\noutput_limit_tokens = 0', r"whole number of at least 1"),
    ('id = "rocket-1"', 'id = "rocket-1"\ncacheable_from_tokens = 0', r"whole number of at least 1"),
    ('id = "rocket-1"', 'id = "rocket-1"\nreasoning = "often"', r"reasoning: .*never"),
    ('id = "rocket-1"', 'id = "rocket-1"\nmode = "txt"', r"did you mean 'text'"),
    ('id = "rocket-1"', 'id = "rocket-1"\ntokenizer = "cluade"', r"did you mean 'claude'"),
    ('provider = "acme"', 'provider = "acme"\n[priced_as]\nreasoning = "outptu"', r"did you mean 'output'"),
    ('provider = "acme"', 'provider = "acme"\n[priced_as]\noutput = "output"', r"expected another meter"),
    (
        'provider = "acme"',
        'provider = "acme"\n[standard]\ntier = ["x"]',
        r"is not known; .*allowed: image_quality, .*processing",
    ),
    ('provider = "acme"', "", r"provider is missing"),
    ("[[model]]", "[[modle]]", r"did you mean 'model'"),
    ("2026-01-01", "2026-01-01\neffective_until = 2025-12-31", r"expected an instant after effective_from"),
    (
        '"2" }',
        '"2" }\n[[model.card]]\neffective_from = 2026-01-01\nrates = {}',
        r"in the order of effective_from",
    ),
    (
        '"2" }',
        '"2" }\neffective_until = 2026-06-01\n[[model.card]]\neffective_from = 2026-05-01\nrates = {}',
        r"overlaps the one from 2026-05-01",
    ),
    (
        '"2" }',
        '"2" }\ntiers = [{ over_input_tokens = 200000, rates = { input_per_mtok = "2" } }]',
        r"expected a rate for each token meter of the base",
    ),
    ('"2" }', '"2" }\ntiers = [{ rates = {} }]', r"expected one of over_input_tokens and from_input_tokens"),
    (
        '"2" }',
        '"2" }\nvariants = [{ when = { processing = "batch" }, rates = {}, unchanged = ["web_serach"] }]',
        r"did you mean 'web_search'",
    ),
    ('"2" }', '"2" }\nvariants = [{ when = {}, rates = {} }]', r"expected at least one condition"),
    (
        '"2" }',
        '"2" }\nvariants = [{ when = { processing = "batch" }, effective_from = 2025-01-01, rates = {} }]',
        r"expected an interval inside the card's own",
    ),
    (
        '"2" }',
        '"2" }\nmultipliers = [{ when = { region = "us" }, factor = "0", meters = "tokens" }]',
        r"expected a factor above zero",
    ),
    (
        "[[model]]",
        '[[alias]]\nname = "r"\ntarget = [{ model = "rokcet-1", effective_from = 2026-01-01 }]\n[[model]]',
        r"did you mean 'rocket-1'",
    ),
    ('"2" }', '"2" }\nnote = 5', r"card\[0\]\.note: 5 expected text"),
    ('provider = "acme"', 'provider = "acme"\nschema = 2', r"schema: 2 expected 1; a newer tokencalc wrote this table"),
    ("[[model]]", "[[model]", r"is not valid TOML"),
]  # fmt: skip


def _written(folder: Path, text: str) -> Path:
    path = folder / "table.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_short_table_of_ones_own_is_enough(tmp_path: Path) -> None:
    table = read_table(_written(tmp_path, GOOD))

    assert table.provider == "acme"
    assert table.models == ("rocket-1",)


@pytest.mark.parametrize(("good", "bad", "message"), FAULTS)
def test_a_fault_is_refused_with_its_place(tmp_path: Path, good: str, bad: str, message: str) -> None:
    assert good in GOOD

    with pytest.raises(PriceTableInvalid, match=message):
        read_table(_written(tmp_path, GOOD.replace(good, bad)))


def test_the_refusal_keeps_file_path_and_nearest_as_attributes(tmp_path: Path) -> None:
    path = _written(tmp_path, GOOD.replace("input_per_mtok", "inptu_per_mtok"))

    with pytest.raises(PriceTableInvalid, match="is no rate") as caught:
        read_table(path)

    assert str(path) == caught.value.file
    assert caught.value.path == "model 'rocket-1'.card[0].rates.inptu_per_mtok"
    assert caught.value.values["nearest"] == ("input_per_mtok",)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PriceTableInvalid, match=r"missing\.toml: the price table does not exist"):
        read_table(tmp_path / "missing.toml")


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PriceTableInvalid, match="the price table cannot be read"):
        read_table(tmp_path)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "table.toml"
    path.write_bytes(b'provider = "\xff"')

    with pytest.raises(PriceTableInvalid, match=r"is not UTF-8 text \(byte 12\)"):
        read_table(path)


def test_an_absurdly_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "table.toml"
    with path.open("wb") as file:
        file.truncate(17 * 2**20)

    with pytest.raises(PriceTableInvalid, match="is larger than 16777216 bytes"):
        read_table(path)
