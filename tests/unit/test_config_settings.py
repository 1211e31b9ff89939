"""Settings are found near, read strictly, overridden by variables, and never ignored in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tokencalc.config import Settings, default_ledger_path, load_settings
from tokencalc.errors import ConfigInvalid


def write(folder: Path, text: str, name: str = "tokencalc.toml") -> Path:
    """Write a settings file and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_without_files_and_variables_everything_has_its_default(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {}) == Settings()
    assert (Settings().requests_per_minute, Settings().hold_lifetime_s, Settings().suspect_close_after_s) == (
        300,
        600,
        86400,
    )


def test_a_file_sets_everything_and_its_paths_start_from_its_folder(tmp_path: Path) -> None:
    price_file = write(tmp_path / "prices", "", "ours.toml")
    file = write(
        tmp_path,
        """
        ledger = "data/usage.db"
        prices = ["prices/ours.toml"]
        durability = "normal"
        timezone = "Europe/Berlin"
        requests_per_minute = 60
        hold_lifetime_s = 86_400
        suspect_close_after_s = 3600
        run = "nightly"

        [[budgets]]
        name = "daily"
        limit_usd = "10"
        """,
    )
    assert load_settings(tmp_path, {}) == Settings(
        ledger=str(tmp_path / "data" / "usage.db"),
        prices=(price_file,),
        durability="normal",
        timezone="Europe/Berlin",
        requests_per_minute=60,
        hold_lifetime_s=86_400,
        suspect_close_after_s=3600,
        run="nightly",
        budgets=({"name": "daily", "limit_usd": "10"},),
        file=file,
    )


def test_pyproject_has_its_own_table_for_us(tmp_path: Path) -> None:
    file = write(tmp_path, '[project]\nname = "x"\n[tool.tokencalc]\ntimezone = "Asia/Tokyo"\n', "pyproject.toml")
    assert load_settings(tmp_path, {}) == Settings(timezone="Asia/Tokyo", file=file)


def test_our_own_file_wins_over_pyproject_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "[tool.tokencalc]\nrequests_per_minute = 1\n", "pyproject.toml")
    write(tmp_path, "requests_per_minute = 2\n")
    assert load_settings(tmp_path, {}).requests_per_minute == 2


@pytest.mark.parametrize("text", ["[tool.other]\nx = 1\n", "[project]\nname = 'tokencalc-x'\n", "not toml ["])
def test_a_pyproject_that_does_not_set_us_is_passed_over(text: str, tmp_path: Path) -> None:
    write(tmp_path, text, "pyproject.toml")
    assert load_settings(tmp_path, {}) == Settings()


def test_variables_win_over_the_file_one_by_one(tmp_path: Path) -> None:
    write(tmp_path, 'run = "file"\nrequests_per_minute = 2\n')
    found = load_settings(tmp_path, {"TOKENCALC_RUN": "variable", "OTHER_RUN": "x"})
    assert (found.run, found.requests_per_minute) == ("variable", 2)


def test_variables_say_what_a_file_would(tmp_path: Path) -> None:
    first, second = write(tmp_path, "", "a.toml"), write(tmp_path, "", "b.toml")
    found = load_settings(
        tmp_path,
        {
            "TOKENCALC_LEDGER": "usage.db",
            "TOKENCALC_PRICES": os.pathsep.join(["a.toml", str(second)]),
            "TOKENCALC_HOLD_LIFETIME_S": " 60 ",
            "TOKENCALC_DURABILITY": "normal",
        },
    )
    assert (found.ledger, found.prices, found.hold_lifetime_s, found.durability) == (
        str(tmp_path / "usage.db"),
        (first, second),
        60,
        "normal",
    )


@pytest.mark.parametrize("ledger", [":memory:", "~/usage.db", "/var/usage.db"])
def test_a_ledger_may_be_in_memory_at_home_or_anywhere(ledger: str, tmp_path: Path) -> None:
    expected = ledger if ledger.startswith(":") else str(Path(ledger).expanduser())
    assert expected == load_settings(tmp_path, {"TOKENCALC_LEDGER": ledger}).ledger


def test_settings_above_are_found_up_to_the_repository(tmp_path: Path) -> None:
    write(tmp_path, 'run = "outside"\n')
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    inner = tmp_path / "repository" / "src" / "deep"
    inner.mkdir(parents=True)
    assert load_settings(inner, {}) == Settings()
    file = write(tmp_path / "repository", 'run = "root"\n')
    assert load_settings(inner, {}) == Settings(run="root", file=file)
    assert load_settings(tmp_path / "repository", {}).run == "root"


def test_the_nearest_file_counts_alone(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    write(tmp_path, 'run = "far"\ntimezone = "Asia/Tokyo"\n')
    near = write(tmp_path / "near", 'run = "near"\n')
    assert load_settings(tmp_path / "near" / "below", {}) == Settings(run="near", file=near)


def test_settings_above_are_found_up_to_the_home_folder(tmp_path: Path) -> None:
    write(tmp_path, 'run = "outside"\n')
    write(tmp_path / "home", 'run = "home"\n')
    assert load_settings(tmp_path / "home" / "notes", {"HOME": str(tmp_path / "home")}).run == "home"


def test_outside_of_repository_and_home_only_the_folder_itself_counts(tmp_path: Path) -> None:
    write(tmp_path, 'run = "stranger"\n')
    assert load_settings(tmp_path / "mine", {"HOME": str(tmp_path / "home")}) == Settings()
    assert load_settings(tmp_path, {"HOME": "/"}).run == "stranger"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("requests_per_minit = 3", r"_minit: unknown setting; did you mean requests_per_minute\? known: ledger,"),
        ("zzz = 3", r"zzz: unknown setting; known: ledger, prices"),
        ("requests_per_minute = 0", r"requests_per_minute: expected a whole number from 1 to 1000000, found 0$"),
        ("requests_per_minute = -1", r"requests_per_minute: expected a whole number .*, found -1$"),
        ("requests_per_minute = 1.5", r"requests_per_minute: expected a whole number .*, found 1\.5$"),
        ("requests_per_minute = nan", r"requests_per_minute: expected a whole number .*, found nan$"),
        ("requests_per_minute = true", r"requests_per_minute: expected a whole number .*, found True$"),
        ('requests_per_minute = "300"', r"requests_per_minute: expected a whole number .*, found '300'$"),
        ("hold_lifetime_s = 99999999999", r"hold_lifetime_s: expected a whole number from 1 to 31622400, found"),
        ("suspect_close_after_s = 59", r"suspect_close_after_s: expected a whole number from 60 to"),
        ('durability = "fast"', r'durability: expected "full" .* or "normal" .*, found \'fast\'$'),
        ("durability = []", r"durability: expected "),
        ('timezone = "Mars/Base"', r"timezone: expected an IANA time zone such as .*, found 'Mars/Base'$"),
        ('ledger = ""', r"ledger: expected the path of a ledger file"),
        ("ledger = 1", r"ledger: expected the path of a ledger file"),
        ('ledger = "postgresql://host/db"', r"ledger: expected the path of a ledger file"),
        ('ledger = "~nobody-of-this-name/x"', r"ledger: expected a path whose ~ is a known home folder"),
        ('prices = "a.toml"', r"prices: expected a list of paths of price tables, found 'a.toml'$"),
        ('prices = ["a.toml"]', r"prices\[0\]: expected the path of a price table that exists, found 'a.toml'$"),
        ("prices = [1]", r"prices\[0\]: expected the path of a price table"),
        ('run = "a\\nb"', r"run: expected a printable name of 1 to 200 characters, found 'a\\nb'$"),
        ('run = " "', r"run: expected a printable name"),
        ("budgets = 1", r"budgets: expected a list of tables, \[\[budgets\]\], found 1$"),
        ("budgets = [1]", r"budgets\[0\]: expected a table, found 1$"),
        ("[budgets]\nname = 'daily'", r"budgets: expected a list of tables"),
        ("not toml [", r"cannot be read as TOML: "),
        ("run = 'a'\nrun = 'b'", r"cannot be read as TOML: Cannot overwrite a value \(at end of"),
    ],
)
def test_a_fault_in_a_file_names_the_file_the_key_and_what_is_allowed(text: str, message: str, tmp_path: Path) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigInvalid, match=message) as caught:
        load_settings(tmp_path, {})
    assert str(caught.value).startswith(f"{file}: ")
    assert caught.value.file == str(file)


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("TOKENCALC_LEGDER", "x", r"unknown setting; did you mean TOKENCALC_LEDGER\? known: TOKENCALC_LEDGER, "),
        (
            "TOKENCALC_LEDGER",
            "",
            r'the path of a ledger file, or ":memory:"; unset the variable to use the default',
        ),
        ("TOKENCALC_RUN", "  ", r"unset the variable"),
        ("TOKENCALC_BUDGETS", "[]", r"tables do not fit in a variable; write \[\[budgets\]\] in tokencalc.toml$"),
        ("TOKENCALC_REQUESTS_PER_MINUTE", "1e3", r"expected a whole number from 1 to 1000000, found '1e3'$"),
        ("TOKENCALC_REQUESTS_PER_MINUTE", "9" * 5000, r"expected a whole number from 1 to 1000000, found '9+"),
        ("TOKENCALC_REQUESTS_PER_MINUTE", "٣٠٠", r"expected a whole number from 1 to 1000000, found"),
        ("TOKENCALC_TIMEZONE", "CEST+2", r"expected an IANA time zone"),
        ("TOKENCALC_PRICES", "missing.toml", r"expected the path of a price table that exists, found 'missing.toml'$"),
    ],
)
def test_a_fault_in_a_variable_names_it(variable: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=message) as caught:
        load_settings(tmp_path, {variable: text})
    assert str(caught.value).startswith(variable)
    assert caught.value.file == variable
    assert len(str(caught.value)) < 400


def test_bytes_that_are_no_text_are_an_error_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "tokencalc.toml").write_bytes(b"run = '\xff'")
    with pytest.raises(ConfigInvalid, match=r"tokencalc.toml: cannot be read as TOML: 'utf-8' codec"):
        load_settings(tmp_path, {})


def test_a_folder_in_place_of_the_file_is_an_error_and_not_no_file(tmp_path: Path) -> None:
    (tmp_path / "tokencalc.toml").mkdir()
    with pytest.raises(ConfigInvalid, match=r"tokencalc.toml: cannot be read as TOML: .*directory"):
        load_settings(tmp_path, {})


def test_a_table_of_ours_in_pyproject_must_be_a_table(tmp_path: Path) -> None:
    write(tmp_path, "[tool]\ntokencalc = 1\n", "pyproject.toml")
    with pytest.raises(ConfigInvalid, match=r"pyproject.toml: tool.tokencalc: expected a table, found 1$"):
        load_settings(tmp_path, {})


def test_the_working_folder_and_the_real_variables_are_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "requests_per_minute = 5\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKENCALC_RUN", "here")
    found = load_settings()
    assert (found.requests_per_minute, found.run) == (5, "here")


def test_a_working_folder_that_is_gone_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigInvalid, match="the working folder does not exist any more"):
        load_settings()


def test_the_default_ledger_is_in_the_users_data_folder() -> None:
    assert default_ledger_path().is_relative_to(Path.home())
    assert default_ledger_path().name == "ledger.db"
