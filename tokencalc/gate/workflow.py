"""A workflow for GitHub Actions that runs tests, measures them and judges a pull request by its base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.errors import CallInvalid
from tokencalc.gate.baseline import DEFAULT_FILE

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOW_FILE = ".github/workflows/llm-cost.yml"
"""Where the workflow goes."""

_WORKFLOW = """\
# What the tests spend on LLM calls, against the branch that a pull request goes to.
# After a wanted change: tokencalc ci --usage llm-run.json --save-baseline {baseline}, and commit it.
name: llm-cost
on:
  pull_request:
permissions:
  contents: read
jobs:
  llm-cost:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with:
          fetch-depth: 0 # the baseline is read from the base's revision
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: python -m pip install tokencalc-engine pytest
      - run: python -m pip install --editable .
      - run: python -m pytest --tokencalc-report=run:llm-run.json
      - if: always()
        env:
          BASE: ${{{{ github.base_ref }}}}
        run: >
          tokencalc ci --usage llm-run.json
          --baseline "git:origin/$BASE"
          --budget {budget} --fail {fail} --strict-prices --require-usage
          --report junit:llm-cost.xml
"""


def workflow_text(*, budget: str, fail: str) -> str:
    """Return the workflow; the name of the base comes by a variable, because a branch may be called anything."""
    return _WORKFLOW.format(baseline=DEFAULT_FILE, budget=budget, fail=fail)


def write_workflow(folder: Path, text: str, *, force: bool = False) -> Path:
    """Write the workflow below a repository's root and return its path; CallInvalid where one is there already."""
    path = folder / WORKFLOW_FILE
    if path.exists() and not force:
        raise CallInvalid(
            f"{WORKFLOW_FILE}: is there already; look at it, and use --force to write it anew",
            path="workflow",
            found=str(path),
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path
