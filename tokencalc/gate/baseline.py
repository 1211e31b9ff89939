"""The baseline: a run that was kept, in a file or in a revision of a git repository.

One that is not there yet is no error, and neither is one of another version: the
check says so and nothing is compared. A revision that does not exist is an error,
because a gate with a misspelt one would be green for ever.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokencalc.errors import CallInvalid
from tokencalc.gate.run_file import RUN_SCHEMA, RunVersionUnknownError, is_run, run_from

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from tokencalc.gate.run import Run

DEFAULT_FILE = "tokencalc-baseline.json"
"""Where a baseline in a revision is looked for, if nobody says otherwise."""

_GIT = "git:"
_GIT_TIMEOUT_S = 60
_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Where a baseline was looked for, and the run; or why there is none."""

    place: str
    run: Run | None = None
    missing: str | None = None


def read_baseline(given: str, *, folder: Path | None = None) -> Baseline:
    """Read ``FILE``, ``git:REV`` (then its `DEFAULT_FILE`) or ``git:REV:FILE``, from ``folder`` on.

    Raises CallInvalid for a file that is no run, and for a revision that cannot be found.
    """
    here = Path() if folder is None else folder
    if not given.startswith(_GIT):
        return _from_file(given, here / given)
    revision, _, file = given[len(_GIT) :].partition(":")
    return _from_git(revision, file or DEFAULT_FILE, here)


def refuse_other_names(baseline: Baseline, by: str) -> None:
    """Raise CallInvalid for a baseline by operation where the run is by model: no name would ever be compared."""
    if baseline.run is None or baseline.run.by == by:
        return
    raise CallInvalid(
        f"baseline: {baseline.place} was saved by {baseline.run.by!r:.60}, and this run is by {by!r:.60}, so that none "
        "of their names can be compared; give the same --by, or save it anew with --save-baseline",
        path="baseline",
        found=baseline.run.by,
    )


def _from_file(given: str, path: Path) -> Baseline:
    if not path.exists():
        return _missing(given, f"there is no file {given}")
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise CallInvalid(f"baseline: {given}: {error.strerror}", path="baseline", found=given) from error
    return _parsed(given, raw)


def _from_git(revision: str, file: str, folder: Path) -> Baseline:
    place = f"{revision}:{file}"
    if not revision or revision.startswith("-"):
        raise CallInvalid(
            f"baseline: expected git:REVISION or git:REVISION:FILE, found git:{revision!r:.60}",
            path="baseline",
            found=revision,
        )
    known = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if known.returncode != 0:
        why = known.stderr.decode("utf-8", "replace").strip()
        raise CallInvalid(
            f"baseline: git knows no revision {revision!r:.60} here{f' ({why:.120})' if why else ''}; fetch it first "
            "(actions/checkout does with fetch-depth: 0)",
            path="baseline",
            found=revision,
        )
    commit = known.stdout.decode("ascii", "replace").strip()
    # With ./ git takes the path from the working folder on, as it was given.
    shown = _git(folder, "show", "--end-of-options", f"{commit}:./{file}")
    if shown.returncode != 0:
        return _missing(place, f"there is no {file} in {revision}")
    return _parsed(place, shown.stdout)


def _git(folder: Path, *arguments: str) -> CompletedProcess[bytes]:
    import subprocess  # noqa: PLC0415  # 15 ms that a baseline in a file does not need

    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=_GIT_TIMEOUT_S)  # noqa: S603  # no shell
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CallInvalid(
            f"baseline: git could not be run: {error}; give a file instead", path="baseline", found="git"
        ) from error


def _missing(place: str, why: str) -> Baseline:
    return Baseline(
        place=place,
        missing=(
            f"No baseline yet: {why}; nothing was compared. `tokencalc ci --save-baseline {DEFAULT_FILE}` makes one."
        ),
    )


def _parsed(place: str, raw: bytes) -> Baseline:
    try:
        document: Any = json.loads(raw) if len(raw) <= _MAX_BYTES else None
    except (ValueError, RecursionError):
        document = None
    if not is_run(document):
        raise CallInvalid(
            f"baseline: {place}: expected a run as `tokencalc ci --save-baseline` writes it, found another file",
            path="baseline",
            found=place,
        )
    try:
        return Baseline(place=place, run=run_from(document, place=place))
    except RunVersionUnknownError as error:
        text = (
            f"The baseline {place} is {error.schema!r}, this tokencalc reads {RUN_SCHEMA!r}: nothing was compared. "
            "Write it anew with --save-baseline."
        )
        return Baseline(place=place, missing=text)
