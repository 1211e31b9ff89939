"""The built wheel works where there is no source tree: a price, an estimate and the command line."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.architecture.imports import ROOT

# Without `site` (-S) no .pth file is read, so that an editable install of the checkout cannot be found; the
# libraries that we depend on are put on the path by hand.
PROLOGUE = "import sys; sys.path[:0] = {paths!r}; "


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    run([*pip, "--disable-pip-version-check", "--target", str(target), str(wheel)], cwd=target)
    return target


def run(command: list[str], *, cwd: Path) -> str:
    """Run a command, and show what it said when it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_installed(code: str, installed: Path, cwd: Path) -> str:
    """Run code against the installed wheel, away from the checkout."""
    paths = [str(installed), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return run([sys.executable, "-I", "-S", "-W", "error", "-c", PROLOGUE.format(paths=paths) + code], cwd=cwd)


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    files = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "tokencalc").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert files - held == set(), "left out of the wheel; .gitignore or [tool.hatch.build] hides them"
    assert held - files == set(), "does not belong into the wheel"


@pytest.mark.parametrize(
    "pattern",
    [
        "tokencalc/py.typed",
        *(f"tokencalc/pricing/tables/{name}.json" for name in ("anthropic", "google", "groq", "mistral", "openai")),
        "tokencalc/tokens/*o200k*",
        "tokencalc/tokens/*cl100k*",
        "tokencalc/importers/sample/*.jsonl",
        "*.dist-info/licenses/LICENSE",
        "*.dist-info/licenses/NOTICE",
        "*.dist-info/entry_points.txt",
    ],
)
def test_the_wheel_carries(pattern: str, wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert any(Path(name).match(pattern) or _below(name, pattern) for name in names), f"nothing matches {pattern}"


def _below(name: str, pattern: str) -> bool:
    # "folder/*x" also means files deeper in the folder.
    folder, _, last = pattern.rpartition("/")
    return name.startswith(f"{folder}/") and Path(name).match(last)


def test_the_wheel_imports_itself_and_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    found = run_installed("import tokencalc; print(tokencalc.__file__)", installed, tmp_path)
    assert Path(found.strip()).is_relative_to(installed)


def test_the_wheel_prices_a_call(installed: Path, tmp_path: Path) -> None:
    code = (
        "from tokencalc import Engine, Usage; engine = Engine.open(':memory:'); "
        "usage = Usage(input_tokens=1_000_000, output_tokens=0); "
        "print(engine.price(provider='openai', model='gpt-4o', usage=usage, at='2026-01-15').total_usd)"
    )
    assert run_installed(code, installed, tmp_path).strip() == "2.5"


def test_the_wheel_estimates_a_call(installed: Path, tmp_path: Path) -> None:
    code = (
        "from tokencalc import Engine; engine = Engine.open(':memory:'); "
        "print(engine.estimate(model='gpt-4o', text='Hello world').input_tokens)"
    )
    assert int(run_installed(code, installed, tmp_path)) > 0


def test_the_wheel_has_its_command_line(installed: Path, tmp_path: Path) -> None:
    code = "import runpy; sys.argv = ['tokencalc', '--help']; runpy.run_module('tokencalc', run_name='__main__')"
    assert "estimate" in run_installed(code, installed, tmp_path)
