"""What README and docs show is run: their Python blocks, in order, in an empty folder and without a network."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.architecture.imports import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


class Block(NamedTuple):
    """One fenced block: its language, its first line in the page, its text."""

    language: str
    line: int
    text: str


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    return [Block(found[1], page.count("\n", 0, found.start(2)) + 1, found[2]) for found in FENCE.finditer(page)]


def run_blocks(page: Path) -> dict[str, object]:
    """Run a page's Python blocks in one namespace and one event loop; an error names the page's own line."""
    names: dict[str, object] = {"__name__": "page"}
    with asyncio.Runner() as runner:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language == "python":
                padded = "\n" * (block.line - 1) + block.text
                code = compile(padded, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                waiting = eval(code, names)  # noqa: S307  # our own pages
                if inspect.iscoroutine(waiting):
                    runner.run(waiting)
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_blocks(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_its_language(page: Path) -> None:
    unnamed = [block.line for block in blocks(page.read_text(encoding="utf-8")) if not block.language]
    assert unnamed == [], "write the language behind the fence (text for output)"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


def test_the_readme_has_at_most_150_lines_and_shows_code_by_line_30() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    code = [block.line for block in blocks(readme) if block.language == "python"]
    assert len(readme.splitlines()) <= 150
    assert code[:1] <= [30]
    assert code


def test_the_docs_never_name_the_package_that_is_not_ours() -> None:
    # On the public index, the name without "-engine" belongs to somebody else.
    for page in (*PAGES, ROOT / "CONTRIBUTING.md"):
        assert not re.search(r"pip install +['\"]?tokencalc\b(?!-engine)", page.read_text(encoding="utf-8"))


def test_the_runner_runs_blocks_in_order_and_awaits(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\na = 1\n```\n```bash\nexit 1\n```\n"
        "```python\nimport asyncio\nawait asyncio.sleep(0)\nb = a + 1\n```\n",
        encoding="utf-8",
    )
    assert run_blocks(page)["b"] == 2


def test_the_runner_names_the_line_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n\n```python\n\n1 / 0\n```\n", encoding="utf-8")
    with pytest.raises(ZeroDivisionError, match="division by zero") as caught:
        run_blocks(page)
    assert caught.traceback[-1].lineno + 1 == 5
