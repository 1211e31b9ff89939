"""`tokencalc prices check`: what is wrong or odd about price tables, ours or one's own."""

from __future__ import annotations

from pathlib import Path

import click

from tokencalc.cli.exits import FAILED, OK
from tokencalc.cli.options import examples, json_option
from tokencalc.cli.output import counted, put, put_json
from tokencalc.config import load_settings
from tokencalc.pricing.accepted import read_record
from tokencalc.pricing.own import price_folder, updates_of
from tokencalc.pricing.review import Finding, review_file, review_packaged


@click.command("check", epilog=examples("tokencalc prices check", "tokencalc prices check our-prices.toml --json"))
@click.argument("files", nargs=-1, type=click.Path(dir_okay=False, path_type=Path), metavar="[FILE]...")
@json_option
def check_prices(*, files: tuple[Path, ...], as_json: bool) -> int:
    """Check price tables: schema, dates, sources, plausible prices, no edited history.

    Without FILE: the packaged tables, those accepted from updates, and those in the settings. Exits with 1 where there
    is an error; a warning wants a look, or a note on its card.
    """
    settings = load_settings()
    folder = price_folder(settings)
    record = read_record(folder)
    own = files or (*updates_of(settings), *settings.prices)
    findings: list[Finding] = []
    tables = len(own)
    if not files:
        packaged = review_packaged()
        tables += packaged.tables
        findings += packaged.findings
    for path in own:
        findings += review_file(path, record=record.get(str(path.absolute()), {}))
    errors = [finding for finding in findings if finding.severity == "error"]
    if as_json:
        put_json({"ok": not errors, "tables": tables, "findings": findings})
        return FAILED if errors else OK
    for finding in findings:
        put(f"{finding.severity}: {_told(finding)}", style="red" if finding.severity == "error" else "")
    warnings = counted(len(findings) - len(errors), "warning")
    put(f"{counted(tables, 'table')} checked: {counted(len(errors), 'error')}, {warnings}.")
    return FAILED if errors else OK


def _told(finding: Finding) -> str:
    """The message with its file and place, where it does not name them itself."""
    named = [part for part in (finding.file, finding.path) if part and part not in finding.message]
    return ": ".join((*named, finding.message))
