"""Reading what a run used from files: JSON Lines of calls, or runs that were written before."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokencalc.arguments import RECORD_NAMES
from tokencalc.errors import CallInvalid, TokencalcError
from tokencalc.gate.run import DEFAULT_KEY, Run, merged, run_of
from tokencalc.gate.run_file import RUN_SCHEMA, RunVersionUnknownError, is_run, run_from

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokencalc.engine import Engine

_MAX_BYTES = 512 * 1024 * 1024
_SQLITE = b"SQLite format 3\0"


def run_of_files(
    engine: Engine, files: Sequence[str], *, by: str | None, where: Mapping[str, str] | None = None
) -> Run:
    """Return what the calls in files used, priced by the engine's tables; they are booked in the engine's ledger.

    A line holds the arguments of `Engine.record`, or a provider's answer as it came. A file that
    `tokencalc ci --save-baseline` or the pytest plugin wrote is taken with the names that it has, so that it cannot be
    filtered or named otherwise. Raises CallInvalid with file and line.
    """
    runs = {file: run for file, run in ((file, _read(engine, file)) for file in files) if run is not None}
    for file, run in runs.items():
        _refuse_other_names(file, run, by, where)
    booked = run_of(engine, by=by or DEFAULT_KEY, where=where)
    if not runs:
        return booked
    kinds = {run.by for run in runs.values()} | ({booked.by} if booked.calls else set())
    calls = merged(calls for run in (*runs.values(), booked) for calls in run.calls)
    return replace(booked, by=" and ".join(sorted(kinds)), calls=calls)


def _refuse_other_names(file: str, run: Run, by: str | None, where: Mapping[str, str] | None) -> None:
    said = "--where" if where else f"--by {by}" if by not in {None, run.by} else None
    if said is not None:
        raise CallInvalid(
            f"{said:.80}: {file} is a run that was saved by {run.by!r:.60}, and knows nothing else of its calls; leave "
            "that out, or give the calls as JSON Lines",
            path=said[2:].partition(" ")[0],
            found=by or where,
        )


def _read(engine: Engine, file: str) -> Run | None:
    """Return the run of a file; None for JSON Lines, whose calls are in the engine's ledger then."""
    text = _text(file)
    whole = _parsed(text)
    if is_run(whole):
        try:
            return run_from(whole, place=file)
        except RunVersionUnknownError as error:
            raise CallInvalid(
                f"{file}: this run is {error.schema!r}, expected {RUN_SCHEMA!r}; write it anew with this tokencalc",
                path="usage",
                found=error.schema,
            ) from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            _book(engine, line, f"{file}, line {number}")
    return None


def _book(engine: Engine, line: str, place: str) -> None:
    call = _parsed(line)
    if not isinstance(call, dict):
        raise CallInvalid(
            f"{place}: expected one JSON object on a line, with a call's model and usage (jq -c writes them so), found "
            f"{line.strip()!r:.60}",
            path="usage",
            found=line[:60],
        )
    try:
        engine.record(**_arguments(call))
    except TokencalcError as error:
        raise CallInvalid(f"{place}: {error.message}", path="usage", found=line[:60]) from error


def _arguments(call: dict[str, Any]) -> dict[str, Any]:
    # An answer as it came has names that no call has (id, choices, usageMetadata), and says its model itself.
    if RECORD_NAMES.issuperset(call):
        return call
    is_answer = bool({"usage", "usageMetadata", "usage_metadata"} & set(call)) and not {"cost_usd", "at"} & set(call)
    return {"usage": call} if is_answer else call


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _text(file: str) -> str:
    try:
        with Path(file).open("rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise CallInvalid(f"usage: {file}: {error.strerror}", path="usage", found=file) from error
    if raw.startswith(_SQLITE):
        raise CallInvalid(f"usage: {file} is a ledger; give it with --ledger", path="usage", found=file)
    if len(raw) > _MAX_BYTES:
        raise CallInvalid(f"usage: {file}: expected at most {_MAX_BYTES} bytes", path="usage", found=file)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CallInvalid(
            f"usage: {file}: expected UTF-8 text; byte {error.start} is not", path="usage", found=file
        ) from error
