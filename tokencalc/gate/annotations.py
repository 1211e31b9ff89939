"""The verdict as GitHub annotations: ``::error title=...::text``, escaped so that no name is a command.

Source: GitHub's documentation of workflow commands; data escapes ``%``, CR and LF,
a property ``:`` and ``,`` as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.gate.words import log_text

if TYPE_CHECKING:
    from tokencalc.gate.judging import Verdict

_LEVELS = {"failed": "error", "warning": "warning", "notice": "notice"}
_MOST = 10
"""GitHub shows ten of each level for a step."""


def verdict_annotations(verdict: Verdict) -> str:
    """Return a line for each check that is not well, ten of a level at most, worst first."""
    lines = []
    for state, level in _LEVELS.items():
        checks = [check for check in verdict.checks if check.state == state]
        lines += [
            f"::{level} title={_property(f'tokencalc: {check.what}')}::{_data(check.text)}" for check in checks[:_MOST]
        ]
    return "".join(f"{line}\n" for line in lines)


def _data(text: str) -> str:
    # Line ends, which the runner reads escaped, are none in a line for a log.
    return log_text(text, longest=1000).replace("%", "%25")


def _property(text: str) -> str:
    return _data(log_text(text)).replace(":", "%3A").replace(",", "%2C")
