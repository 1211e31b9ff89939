"""Updates: what an offer changes, from when, what stays, and what lies on top of it later."""

from __future__ import annotations

import json
import os
import tomllib
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.config import Settings
from tokencalc.errors import CallInvalid, PriceJump, PriceTableInvalid
from tokencalc.pricing.accepted import accepted_tables, read_record
from tokencalc.pricing.catalog import Catalog
from tokencalc.pricing.evaluate import evaluate
from tokencalc.pricing.own import updates_of
from tokencalc.pricing.updating import apply_update, plan_update
from tokencalc.usage import Usage

if TYPE_CHECKING:
    from tokencalc.pricing.updating import Update

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MILLION = Usage(input_tokens=1_000_000)

GPT_4O = """
provider = "openai"
[[model]]
id = "gpt-4o"
[[model.card]]
effective_from = {start}
rates = {{ input_per_mtok = "{input}", cache_read_per_mtok = "1.25", output_per_mtok = "10" }}
source = "a letter"
checked_on = 2026-11-19
"""

# The shape of the set's module, with prices of our own making: o3 moves, gpt-4.1 stays, one is new.
GENAI = """
providers = [
    Provider(id='openai', models=[
        ModelInfo(id='o3', match=ClauseEquals(equals='o3'), prices=ModelPrice(
            input_mtok=Decimal('3'), cache_read_mtok=Decimal('0.5'), output_mtok=Decimal('8'))),
        ModelInfo(id='gpt-4.1', match=ClauseEquals(equals='gpt-4.1'), prices=ModelPrice(
            input_mtok=Decimal('2'), cache_read_mtok=Decimal('0.5'), output_mtok=Decimal('8'))),
        ModelInfo(id='gpt-4o', match=ClauseEquals(equals='gpt-4o'), prices=ModelPrice(
            input_mtok=Decimal('2.75'), output_mtok=Decimal('10'))),
        ModelInfo(id='gpt-99', match=ClauseOr(or_=[ClauseEquals(equals='gpt-99'), ClauseEquals(equals='o3')]),
            prices=ModelPrice(input_mtok=Decimal('4'), output_mtok=Decimal('8'))),
        ModelInfo(id='odd-unit', match=ClauseEquals(equals='odd-unit'), prices=ModelPrice(
            input_mtok=Decimal('0.0000004'), output_mtok=Decimal('8'))),
    ]),
    Provider(id='anthropic', models=[
        ModelInfo(id='claude-99', match=ClauseEquals(equals='claude-99'), prices=[
            ConditionalPrice(prices=ModelPrice(input_mtok=Decimal('9'), output_mtok=Decimal('45'))),
            ConditionalPrice(constraint=StartDateConstraint(start_date=datetime.date(2026, 11, 5)),
                             prices=ModelPrice(input_mtok=Decimal('8'), output_mtok=Decimal('40'))),
        ]),
    ]),
]
"""


DISCOUNT = '[[discount]]\nfactor = "0.9"\neffective_from = 2026-01-01\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "prices"


def offered(tmp_path: Path, text: str, name: str = "offer.toml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def gpt_4o(tmp_path: Path, usd: str = "3", start: str = "2026-11-15") -> Path:
    return offered(tmp_path, GPT_4O.format(start=start, input=usd))


def accept(what: str | Path, folder: Path, *, now: datetime = NOW, **options: Any) -> Update:
    force = options.pop("force", False)
    update = plan_update(what, folder=folder, now=now, **options)
    apply_update(update, force=force)
    return update


def price_on(folder: Path, day: str, model: str = "gpt-4o", provider: str = "openai") -> Decimal | None:
    catalog = Catalog.packaged().with_files((), updates=accepted_tables(folder))
    at = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return evaluate(catalog, MILLION, model=model, provider=provider, at=at).total_usd


def test_a_stated_day_after_the_card_that_applies_is_kept(tmp_path: Path, folder: Path) -> None:
    update = accept(gpt_4o(tmp_path), folder)
    change = update.changes.changed[0]
    assert (change.slot.meter, change.percent) == ("input", Decimal("20.0"))
    assert (price_on(folder, "2026-11-14"), price_on(folder, "2026-11-15")) == (Decimal("2.5"), Decimal(3))


def test_a_day_that_would_rewrite_history_becomes_today_and_says_so(tmp_path: Path, folder: Path) -> None:
    accept(gpt_4o(tmp_path, start="2024-10-02"), folder)
    assert (price_on(folder, "2026-11-19"), price_on(folder, "2026-11-20")) == (Decimal("2.5"), Decimal(3))
    (card,) = tomllib.loads((folder / "openai.toml").read_text(encoding="utf-8"))["model"][0]["card"]
    assert (card["effective_from"], card["effective_from_known"]) == (date(2026, 11, 20), False)


def test_an_announced_price_waits_for_its_day(tmp_path: Path, folder: Path) -> None:
    accept(gpt_4o(tmp_path, start="2027-02-01"), folder)
    assert (price_on(folder, "2027-01-31"), price_on(folder, "2027-02-01")) == (Decimal("2.5"), Decimal(3))


def test_a_second_update_appends_and_changes_no_card(tmp_path: Path, folder: Path) -> None:
    accept(gpt_4o(tmp_path), folder)
    before = read_record(folder)
    accept(offered(tmp_path, GPT_4O.format(start="2026-11-15", input="4"), "next.toml"), folder)
    assert (price_on(folder, "2026-11-19"), price_on(folder, "2026-11-20")) == (Decimal(3), Decimal(4))
    after = read_record(folder)[str(folder / "openai.toml")]
    assert after.items() > before[str(folder / "openai.toml")].items()


def test_two_updates_on_one_day_follow_each_other(tmp_path: Path, folder: Path) -> None:
    for index, usd in enumerate(("3", "4", "5")):
        accept(offered(tmp_path, GPT_4O.format(start="2024-10-02", input=usd), f"{index}.toml"), folder)
    assert price_on(folder, "2026-11-20T00:00:01") == Decimal(4)
    assert price_on(folder, "2026-11-20T12:00:00") == Decimal(5)


def test_what_does_not_differ_writes_nothing(tmp_path: Path, folder: Path) -> None:
    accept(gpt_4o(tmp_path), folder)
    update = plan_update(gpt_4o(tmp_path), folder=folder, now=NOW)
    assert (update.changes.changed, update.changes.new, dict(update.files)) == ((), (), {})
    assert apply_update(update) == ()


def test_past_cards_of_an_offer_are_history_and_left_alone(tmp_path: Path, folder: Path) -> None:
    past = '[[model.card]]\neffective_from = 2025-01-01\nrates = { input_per_mtok = "77", output_per_mtok = "99" }\n'
    text = GPT_4O.format(start="2026-11-15", input="3").replace("[[model.card]]\n", f"{past}[[model.card]]\n", 1)
    accept(offered(tmp_path, text), folder)
    assert price_on(folder, "2025-06-01") == Decimal("2.5")


def test_a_new_model_comes_with_all_that_its_table_says(tmp_path: Path, folder: Path) -> None:
    text = (
        'provider = "homelab"\naliases = ["home"]\n[priced_as]\nreasoning = "output"\n[sources]\nlist = "our wiki"\n'
        '[[alias]]\nname = "q-latest"\ntarget = [{ model = "q-1", effective_from = 2026-01-01 }]\n'
        '[[model]]\nid = "q-1"\naliases = ["q"]\noutput_limit_tokens = 512\n'
        '[[model.card]]\neffective_from = 2026-01-01\nrates = { input_per_mtok = "1", output_per_mtok = "2" }\n'
        'source = ["list"]\nchecked_on = 2026-01-02\n'
    )
    update = accept(offered(tmp_path, text), folder)
    assert [card.card_id for card in update.changes.new] == ["homelab/q-1@2026-01-01"]
    assert price_on(folder, "2026-01-01", "q-latest", "home") == Decimal(1)
    catalog = Catalog.packaged().with_files((), updates=accepted_tables(folder))
    assert catalog.resolve("q").output_limit_tokens == 512
    card = catalog.card(model="q", at=NOW)
    assert (card.source, str(card.priced_as)) == (
        ("our wiki",),
        "{<Meter.REASONING: 'reasoning'>: <Meter.OUTPUT: 'output'>}",
    )


def test_every_name_of_a_model_prices_by_the_update(tmp_path: Path, folder: Path) -> None:
    text = (
        GPT_4O.format(start="2026-11-15", input="3").replace("openai", "anthropic").replace("gpt-4o", "claude-opus-4-6")
    )
    accept(offered(tmp_path, text), folder)
    for name in ("claude-opus-4-6", "claude-4-6-opus", "claude-opus-4-6-20260205", "anthropic/claude-opus-4.6"):
        assert price_on(folder, "2026-11-16", name, "anthropic") == Decimal(3)


def test_a_moving_name_prices_by_the_update_of_the_model_that_it_means(tmp_path: Path, folder: Path) -> None:
    model = Catalog.packaged().card(model="mistral-large-latest", at=NOW).model
    text = GPT_4O.format(start="2026-11-15", input="3").replace("openai", "mistral").replace("gpt-4o", model)
    accept(offered(tmp_path, text), folder, force=True)
    before = evaluate(Catalog.packaged(), MILLION, model="mistral-large-latest", at=datetime(2025, 6, 1, tzinfo=UTC))
    assert price_on(folder, "2026-11-16", "mistral-large-latest", "mistral") == Decimal(3)
    assert price_on(folder, "2025-06-01", "mistral-large-latest", "mistral") == before.total_usd


def test_an_update_ends_where_a_later_list_has_news(tmp_path: Path, folder: Path) -> None:
    accept(gpt_4o(tmp_path), folder)
    news = offered(tmp_path, GPT_4O.format(start="2026-12-24", input="7"), "newer.toml")
    # A table below the update, as an upgrade's would be.
    catalog = Catalog.packaged().with_files([news]).with_files((), updates=accepted_tables(folder))
    days = ("2026-11-14", "2026-11-15", "2026-12-23", "2026-12-24")
    prices = [
        evaluate(catalog, MILLION, model="gpt-4o", at=datetime.fromisoformat(day).replace(tzinfo=UTC)).total_usd
        for day in days
    ]
    assert prices == [Decimal("2.5"), Decimal(3), Decimal(3), Decimal(7)]


@pytest.mark.parametrize(
    ("usd", "is_jump"), [("25", True), ("24.99", False), ("0.25", True), ("0.26", False), ("0", True)]
)
def test_ten_times_up_or_down_or_nothing_is_a_jump(is_jump: object, usd: str, tmp_path: Path, folder: Path) -> None:
    update = plan_update(gpt_4o(tmp_path, usd), folder=folder, now=NOW)
    assert is_jump == bool(update.jumps)


def test_a_jump_is_refused_by_name_and_accepted_with_force(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(PriceJump, match=r"a price moves by ten times.*openai/gpt-4o input \$2\.5 -> \$25") as caught:
        accept(gpt_4o(tmp_path, "25"), folder)
    assert caught.value.jumps == ("openai/gpt-4o input $2.5 -> $25",)
    assert not folder.exists()
    accept(gpt_4o(tmp_path, "25"), folder, force=True)
    assert price_on(folder, "2026-11-16") == Decimal(25)


@pytest.mark.parametrize(
    ("message", "good", "bad"),
    [
        (r"fails the check, nothing was changed: .*is no rate; did you mean", "input_per_mtok", "inptu_per_mtok"),
        (r"fails the check.*is outside \$0\.001", '"3"', '"0.000003"'),
        (
            r"a discount is no list price",
            "[[model]]",
            '[[discount]]\nfactor = "0.9"\neffective_from = 2026-01-01\n[[model]]',
        ),
    ],
)
def test_a_table_that_fails_leaves_everything_as_it_was(
    message: str, good: str, bad: str, tmp_path: Path, folder: Path
) -> None:
    accept(gpt_4o(tmp_path), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    text = GPT_4O.format(start="2026-11-16", input="3").replace(good, bad)
    with pytest.raises(PriceTableInvalid, match=message):
        accept(offered(tmp_path, text, "bad.toml"), folder)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_that_was_accepted_may_not_be_edited_but_grow(tmp_path: Path, folder: Path) -> None:
    accept(gpt_4o(tmp_path), folder)
    with pytest.raises(PriceTableInvalid, match="now charges something else; put it back, and append a new card"):
        accept(gpt_4o(tmp_path, "4"), folder)
    grown = GPT_4O.format(start="2026-11-15", input="3")
    grown += '[[model.card]]\neffective_from = 2026-11-18\nrates = { input_per_mtok = "4", output_per_mtok = "10" }\n'
    accept(offered(tmp_path, grown), folder)
    assert price_on(folder, "2026-11-18") == Decimal(4)


def test_an_accepted_table_that_was_edited_is_not_built_upon(tmp_path: Path, folder: Path) -> None:
    accept(gpt_4o(tmp_path), folder)
    path = folder / "openai.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('"3"', '"2.9"'), encoding="utf-8")
    with pytest.raises(PriceTableInvalid, match=r"an accepted table was changed by hand.*remove the file"):
        accept(offered(tmp_path, GPT_4O.format(start="2026-11-16", input="5"), "next.toml"), folder)


def test_removing_the_file_undoes_its_updates(tmp_path: Path, folder: Path) -> None:
    accept(gpt_4o(tmp_path), folder)
    (folder / "openai.toml").unlink()
    assert price_on(folder, "2026-11-16") == Decimal("2.5")
    update = plan_update(gpt_4o(tmp_path), folder=folder, now=NOW)
    assert update.files


def test_files_are_for_their_owner_and_none_is_left_half_written(tmp_path: Path, folder: Path) -> None:
    accept(gpt_4o(tmp_path), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["accepted.json", "openai.toml"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PriceTableInvalid, match="cannot be written"):
        accept(gpt_4o(tmp_path), tmp_path / "file" / "prices")


@pytest.mark.parametrize("content", ["[", "[]", '{"files": 1}', '{"files": {"a": {"b": 1}}}'])
def test_a_damaged_record_is_refused(content: str, tmp_path: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "accepted.json").write_text(content, encoding="utf-8")
    with pytest.raises(PriceTableInvalid, match=r"accepted\.json"):
        plan_update(gpt_4o(tmp_path), folder=folder, now=NOW)


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
def test_an_odd_path_is_refused(path: str, folder: Path) -> None:
    with pytest.raises(CallInvalid, match="file: "):
        plan_update(Path(path), folder=folder, now=NOW)


def test_a_table_of_another_provider_than_asked_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(CallInvalid, match="the table is of 'openai', not of 'google'"):
        plan_update(gpt_4o(tmp_path), folder=folder, now=NOW, provider="google")


def genai(tmp_path: Path, text: str = GENAI) -> Path:
    return offered(tmp_path, text, "data.py")


def test_a_public_set_changes_what_it_lists_and_keeps_the_rest(tmp_path: Path, folder: Path) -> None:
    update = accept("genai-prices", folder, file=genai(tmp_path), provider="openai")
    assert [(change.model, change.slot.meter) for change in update.changes.changed] == [("o3", "input")]
    catalog = Catalog.packaged().with_files((), updates=accepted_tables(folder))
    ours = Catalog.packaged().card(model="o3", at=NOW)
    card = catalog.card(model="o3", at=NOW)
    assert set(card.rates) == set(ours.rates)
    assert [variant.when for variant in card.variants] == [variant.when for variant in ours.variants]
    assert (card.effective_from, card.effective_from_known) == (datetime(2026, 11, 20, tzinfo=UTC), False)
    assert card.imported == "genai-prices"
    assert card.note is not None
    assert f"taken over from {ours.card_id}" in card.note
    assert price_on(folder, "2026-11-20", "o3") == Decimal(3)
    assert price_on(folder, "2026-11-20", "gpt-4.1") == Decimal(2)


def test_a_card_that_differs_on_purpose_is_kept_and_named(tmp_path: Path, folder: Path) -> None:
    update = accept("genai-prices", folder, file=genai(tmp_path), provider="openai")
    (kept,) = update.kept
    assert kept.startswith("openai/gpt-4o input $2.5 -> $2.75: ")
    assert price_on(folder, "2026-11-20", "gpt-4o") == Decimal("2.5")


def test_a_sets_new_model_takes_no_name_that_is_known(tmp_path: Path, folder: Path) -> None:
    update = accept("genai-prices", folder, file=genai(tmp_path), provider="openai")
    assert [card.model for card in update.changes.new] == ["gpt-99"]
    assert price_on(folder, "2026-11-20", "gpt-99") == Decimal(4)
    assert any(note.startswith("openai/odd-unit: ") and "is outside" in note for note in update.notes)


def test_a_sets_undated_past_is_left_out(tmp_path: Path, folder: Path) -> None:
    accept("genai-prices", folder, file=genai(tmp_path), provider="anthropic")
    assert price_on(folder, "2026-11-05", "claude-99", "anthropic") == Decimal(8)
    cards = tomllib.loads((folder / "anthropic.toml").read_text(encoding="utf-8"))["model"][0]["card"]
    assert [card["effective_from"] for card in cards] == [date(2026, 11, 5)]
    assert [card["checked_on"] for card in cards] == [date(2026, 11, 5)]


def test_the_installed_set_is_read_and_not_imported(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    (site / "genai_prices").mkdir(parents=True)
    (site / "genai_prices" / "data.py").write_text(GENAI + "\nraise SystemExit('imported')\n", encoding="utf-8")
    (site / "genai_prices-9.9.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: genai-prices\nVersion: 9.9\n"
    (site / "genai_prices-9.9.dist-info" / "METADATA").write_text(metadata, encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    update = plan_update("genai-prices", folder=folder, now=NOW)
    assert update.name == "genai-prices 9.9"
    assert {card.provider for card in update.changes.new} == {"openai", "anthropic"}


@pytest.mark.parametrize("text", ["", "((", "providers = [Provider(id='openai', models=[ModelInfo()])]", "(" * 5000])
def test_what_is_no_set_is_refused(text: str, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(PriceTableInvalid, match="genai-prices"):
        plan_update("genai-prices", folder=folder, now=NOW, file=genai(tmp_path, text))


def test_a_provider_that_the_set_lacks_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(CallInvalid, match="has no prices of 'groq'; it has anthropic, openai"):
        plan_update("genai-prices", folder=folder, now=NOW, file=genai(tmp_path), provider="groq")


def test_the_record_names_both_the_table_and_its_source(tmp_path: Path, folder: Path) -> None:
    accept(gpt_4o(tmp_path), folder)
    files = json.loads((folder / "accepted.json").read_text(encoding="utf-8"))["files"]
    assert set(files) == {str(folder / "openai.toml"), str(tmp_path / "offer.toml")}


def test_a_named_folder_has_to_open(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("nothing is closed to root")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    with pytest.raises(PriceTableInvalid, match="cannot be read"):
        updates_of(Settings(price_folder=closed))
