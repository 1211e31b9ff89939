"""`tokencalc doctor`: what is installed, where the ledger is and how it fares, how old the prices are."""

from __future__ import annotations

import os
import platform
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from tokencalc.alerts.channels import BrokenChannel
from tokencalc.alerts.outbox import waiting
from tokencalc.alerts.settings import channels_from, rules_from
from tokencalc.budgets.checks import verify
from tokencalc.cli.alerts import waiting_text
from tokencalc.cli.exits import FAILED, OK
from tokencalc.cli.logs import log_folders
from tokencalc.cli.options import examples, json_option, ledger_option, ledger_path
from tokencalc.cli.output import counted, number, put_json, table
from tokencalc.cli.versions import tokencalc_version
from tokencalc.clock import SystemClock, micros_from_instant
from tokencalc.config import load_settings
from tokencalc.errors import TokencalcError
from tokencalc.ledger.files import file_system
from tokencalc.ledger.sample_history import dropped_so_far
from tokencalc.ledger.schema import SCHEMA_VERSION
from tokencalc.ledger.spool import Spool
from tokencalc.ledger.sqlite import SqliteStore
from tokencalc.pricing.catalog import STALE_AFTER_DAYS
from tokencalc.pricing.own import catalog_with, updates_of
from tokencalc.tokens.backends.fast import WORTH_CHARS, check
from tokencalc.tokens.backends.installed import backends
from tokencalc.tokens.count import count_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokencalc.alerts.outbox import Waiting
    from tokencalc.config import Settings

State = Literal["ok", "note", "bad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at; ``bad`` makes the doctor exit with 1."""

    name: str
    state: State
    text: str


@click.command(epilog=examples("tokencalc doctor --json"))
@ledger_option
@json_option
def doctor(*, ledger: str | None, as_json: bool) -> int:
    """Look at everything that a first question would be about. Exits with 1 where something is broken."""
    checks = list(_checks(ledger))
    healthy = all(check.state != "bad" for check in checks)
    if as_json:
        put_json({"healthy": healthy, "checks": checks})
    else:
        table(("", "", ""), [(check.name, check.state, check.text) for check in checks], texts=(0, 1, 2))
    return OK if healthy else FAILED


def _checks(ledger: str | None) -> Iterator[Check]:
    yield Check(name="tokencalc", state="ok", text=tokencalc_version())
    yield Check(
        name="python", state="ok", text=f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )
    try:
        settings = load_settings()
        path = ledger_path(ledger)
    except TokencalcError as error:
        yield Check(name="settings", state="bad", text=error.message)
        return
    yield Check(name="settings", state="ok", text=str(settings.file) if settings.file else "no file; defaults")
    yield _time_zone(settings)
    yield from _alerts(settings)
    yield from _ledger(path, settings)
    yield from _prices(settings)
    yield from _tokenizers()
    yield from _logs()


def _time_zone(settings: Settings) -> Check:
    local = SystemClock().now().astimezone()
    text = f"days begin at midnight in {settings.timezone}; this machine's clock is at {local:UTC%z}"
    return Check(name="time zone", state="ok", text=text)


def _alerts(settings: Settings) -> Iterator[Check]:
    try:
        rules = rules_from(settings)
        found = [one.channel for one in channels_from(settings, environ=os.environ)]
    except TokencalcError as error:
        yield Check(name="alerts", state="bad", text=error.message)
        return
    names = ", ".join(channel.name for channel in found) or "none, a console is told"
    yield Check(name="alerts", state="ok", text=f"{counted(len(rules), 'rule')}; channels: {names}")
    for channel in found:
        if isinstance(channel, BrokenChannel):
            yield Check(name="", state="bad", text=f"channel {channel.name} cannot be used: {channel.problem}")


def _waiting(found: list[Waiting]) -> Iterator[Check]:
    for one in found:
        # What is given up is over, and nobody can mend it; what is in trouble now, somebody can.
        state: State = "bad" if one.messages and one.problem else "note"
        yield Check(name="alerts", state=state, text=waiting_text(one))


def _ledger(path: str, settings: Settings) -> Iterator[Check]:
    if path == ":memory:":
        yield Check(name="ledger", state="note", text="in memory: gone when the program ends")
        return
    file = Path(path).expanduser()
    yield from _spool(file)
    if not file.exists():
        yield Check(name="ledger", state="note", text=f"none yet; the first booking makes {file}")
        return
    try:
        # Looking must not write: no budget of the settings is set, nothing of the spool is read back.
        with closing(SqliteStore(file, clock=SystemClock(), durability=settings.durability)) as store:
            size, found = store.size_bytes, verify(store)
            with store.reading() as connection:
                dropped = dropped_so_far(connection)
                waits = waiting(connection, micros_from_instant(SystemClock().now()))
    except TokencalcError as error:
        yield Check(name="ledger", state="bad", text=error.message)
        return
    yield Check(name="ledger", state="ok", text=f"{file}, {_size(size)}, schema {SCHEMA_VERSION}")
    yield Check(name="file system", state="ok", text=file_system(file.absolute().parent))
    yield from _samples(dropped)
    yield from _waiting(waits)
    if found.ok:
        yield Check(name="verify", state="ok", text=f"clean, {counted(found.entries, 'entry', 'entries')}")
    else:
        more = f" (and {len(found.problems) - 1} more: tokencalc verify)" if len(found.problems) > 1 else ""
        yield Check(name="verify", state="bad", text=f"{found.problems[0]}{more}")


def _samples(dropped: int) -> Iterator[Check]:
    if dropped:
        text = f"{counted(dropped, 'sample')} dropped so far, because there was no time to write them; money never is"
        yield Check(name="samples", state="note", text=text)


def _spool(ledger: Path) -> Iterator[Check]:
    try:
        found = Spool(ledger.absolute()).state()
    except OSError as error:
        yield Check(name="spool", state="bad", text=f"cannot be read: {error}")
        return
    if found.waiting:
        text = f"{counted(found.waiting, 'call')} not booked yet, in {found.path}: the next command that opens the "
        yield Check(name="spool", state="note", text=f"{text}ledger books what waits, if the ledger works")
    if found.refused:
        text = f"{counted(len(found.refused), 'call')} could not be booked, kept in {found.refused_path}: "
        advice = "book by hand what is right, then remove the file"
        yield Check(name="spool", state="bad", text=f"{text}{found.refused[0]}; {advice}")


def _size(size_bytes: int) -> str:
    return f"{number(-(-size_bytes // 1024))} KiB"


def _prices(settings: Settings) -> Iterator[Check]:
    try:
        updates = updates_of(settings)
        catalog = catalog_with(settings, settings.prices)
        now = SystemClock().now()
        age_days, models = catalog.age_days(now), len(catalog.models())
    except TokencalcError as error:
        yield Check(name="prices", state="bad", text=error.message)
        return
    own = f", {counted(len(settings.prices), 'file')} of your own" if settings.prices else ""
    text = f"{number(models)} models{own}; checked on {catalog.checked_on}, {counted(max(0, age_days), 'day')} ago"
    if age_days <= STALE_AFTER_DAYS:
        yield Check(name="prices", state="ok", text=text)
    else:
        advice = "upgrade tokencalc, or accept newer ones: tokencalc prices update"
        yield Check(name="prices", state="note", text=f"{text}, more than {STALE_AFTER_DAYS}; {advice}")
    for path in updates:
        checked_on = catalog.checked_on_for(path.stem)
        checked = "not checked" if checked_on == date.min else f"checked on {checked_on}"
        text = f"accepted from updates, on top of the packaged ones: {path}, {checked}"
        yield Check(name="", state="note", text=f"{text}; remove the file to undo them")


def _tokenizers() -> Iterator[Check]:
    for name in ("o200k_base", "cl100k_base"):
        count_text("a", tokenizer="openai", encoding=name)
        check(name)
    plain, quick, bundled = backends()
    text = f"{', '.join(plain.vocabularies)} by {plain.name} {plain.version}, offline"
    yield Check(name="tokenizers", state="ok", text=text)
    if quick.refused:
        text = f"{quick.name} {quick.version} does not give tiktoken's counts here: {plain.name} counts instead"
        yield Check(name="", state="note", text=text)
    elif quick.version:
        text = f"the same by {quick.name} {quick.version} after {number(WORTH_CHARS)} characters in one process"
        yield Check(name="", state="ok", text=text)
    else:
        yield _without(quick.extra, "long texts are counted 15 times quicker")
    if bundled.version:
        text = f"{', '.join(bundled.vocabularies)} by {bundled.name} {bundled.version}"
        yield Check(name="", state="ok", text=text)
    else:
        yield _without(
            bundled.extra, "Gemini, Mistral, Llama, Qwen, DeepSeek and Kimi are counted by their vocabularies"
        )


def _without(extra: str, gain: str) -> Check:
    return Check(name="", state="ok", text=f"with pip install 'tokencalc-engine[{extra}]', {gain}")


def _logs() -> Iterator[Check]:
    folders = log_folders()
    if not folders:
        yield Check(name="logs", state="note", text="no logs of Claude Code found (~/.claude/projects)")
        return
    for folder, files in folders:
        yield Check(name="logs", state="ok", text=f"{folder}, {counted(files, 'file')} of Claude Code")
    yield Check(
        name="",
        state="note",
        text="Claude Code deletes logs after 30 days (its setting cleanupPeriodDays); a ledger keeps what was imported",
    )
