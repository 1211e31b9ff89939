"""Writing a verdict into files: ``json:FILE``, ``junit:FILE``, ``md:FILE``, ``text:FILE``, ``run:FILE``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tokencalc.errors import CallInvalid
from tokencalc.gate.document import verdict_document, verdict_json
from tokencalc.gate.junit import verdict_junit
from tokencalc.gate.markdown import verdict_markdown
from tokencalc.gate.run_file import run_json
from tokencalc.gate.text import verdict_text

if TYPE_CHECKING:
    from tokencalc.gate.judging import Verdict

FORMATS = ("text", "json", "junit", "md", "run")
"""What a report may be; ``run`` is what `tokencalc ci` reads again."""

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable with the file that GitHub shows as a job's summary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A format, and the file that it goes to."""

    form: str
    file: Path


def target_from(text: str) -> Target:
    """Read ``FORMAT:FILE``; CallInvalid says which formats there are."""
    form, colon, file = text.strip().partition(":")
    if not colon or form not in FORMATS or not file:
        raise CallInvalid(
            f"report: expected FORMAT:FILE with one of {', '.join(FORMATS)}, found {text!r:.80}",
            path="report",
            found=text,
        )
    return Target(form=form, file=Path(file))


def write_reports(verdict: Verdict, targets: tuple[Target, ...], *, exit_code: int) -> list[str]:
    """Write each report into its file, in folders that are made where they are missing; return what failed, and why."""
    return [
        failure
        for target in targets
        for failure in write_file(target.file, formatted(verdict, target.form, exit_code=exit_code))
    ]


def write_file(file: Path, text: str) -> list[str]:
    """Write a file, in folders that are made where they are missing; return why it could not be, in a sentence."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # In bytes, so that no platform turns line ends and encodings into its own.
        file.write_bytes(text.encode())
    except OSError as error:
        return [f"{file}: could not be written: {error.strerror}"]
    return []


def formatted(verdict: Verdict, form: str, *, exit_code: int) -> str:
    """Return the verdict in one of `FORMATS`."""
    if form == "json":
        return verdict_json(verdict_document(verdict, exit_code=exit_code))
    if form == "junit":
        return verdict_junit(verdict)
    if form == "md":
        return verdict_markdown(verdict)
    if form == "run":
        return run_json(verdict.run)
    return verdict_text(verdict)


def append_summary(verdict: Verdict) -> list[str]:
    """Append the verdict as Markdown to the job's summary, where there is one; return why that failed, if it did."""
    file = os.environ.get(STEP_SUMMARY)
    if not file:
        return []
    try:
        with Path(file).open("ab") as stream:
            stream.write(verdict_markdown(verdict).encode())
    except OSError as error:
        return [f"{STEP_SUMMARY} {file}: could not be written: {error.strerror}"]
    return []
