"""Read the imports of Python sources, and say which of them the house forbids; pure, over module -> source."""

from __future__ import annotations

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Floors = tuple[tuple[str, ...], ...]

ROOT = Path(__file__).parents[2]
PACKAGE = "tokencalc"


class Found(NamedTuple):
    """One import: the module that has it, the line, and the module or library that it names."""

    module: str
    line: int
    target: str

    def __str__(self) -> str:
        """Where and what, for messages."""
        return f"{self.module}:{self.line} imports {self.target}"


def sources() -> dict[str, str]:
    """Return every module of the package by its dotted name."""
    files = sorted((ROOT / PACKAGE).rglob("*.py"))
    return {module_name(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files}


def module_name(file: Path) -> str:
    """Return the dotted name of a file below the root; a package's __init__ is the package."""
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def file_of(module: str, modules: Iterable[str]) -> str:
    """Return the path of a module, told from the other modules: one with submodules is a folder's __init__."""
    is_package = any(other.startswith(f"{module}.") for other in modules)
    return module.replace(".", "/") + ("/__init__.py" if is_package else ".py")


def room_of(module: str) -> str:
    """Return the room of a module: the name directly under the package, __init__ for the package itself."""
    return module.split(".")[1] if "." in module else "__init__"


def imports(modules: Mapping[str, str]) -> list[Found]:
    """Return every import, also those inside functions and under TYPE_CHECKING."""
    return [
        Found(module, line, target)
        for module, source in modules.items()
        for line, target in sorted(_imports_of(ast.parse(source), module, modules))
    ]


def _imports_of(tree: ast.AST, module: str, modules: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, modules)
            for alias in node.names:
                # `from package import submodule` means the submodule, `from module import name` the module.
                inner = f"{base}.{alias.name}"
                yield node.lineno, inner if inner in modules else base


def _absolute(node: ast.ImportFrom, module: str, modules: Mapping[str, str]) -> str:
    if not node.level:
        return node.module or ""
    is_package = any(other.startswith(f"{module}.") for other in modules)
    parts = module.split(".")
    kept = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _inside(found: Found) -> bool:
    return found.target.split(".")[0] == PACKAGE


def upward(found: Iterable[Found], floors: Floors, sideways: Mapping[str, frozenset[str]]) -> list[str]:
    """Return the imports that go up, or sideways without leave."""
    floor_of = {room: number for number, floor in enumerate(floors) for room in floor}
    wrong = []
    for one in found:
        room, target = room_of(one.module), room_of(one.target)
        if not _inside(one) or room == target or target in sideways.get(room, ()):
            continue
        if floor_of.get(target, len(floors)) >= floor_of.get(room, -1):
            wrong.append(str(one))
    return wrong


def cycle(found: Iterable[Found]) -> str:
    """Return one import cycle as text, or nothing."""
    graph: dict[str, set[str]] = {}
    for one in found:
        if _inside(one) and one.target != one.module:
            graph.setdefault(one.module, set()).add(one.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " <- ".join(error.args[1])
    return ""


def foreign(found: Iterable[Found], libraries: Mapping[str, tuple[str, ...]], modules: Iterable[str]) -> list[str]:
    """Return the imports of libraries that are unlisted, or outside the files that their listing allows."""
    names = list(modules)
    wrong = []
    for one in found:
        library = one.target.split(".")[0]
        if _inside(one) or library in sys.stdlib_module_names:
            continue
        if not file_of(one.module, names).startswith(libraries.get(library, ("nowhere",))):
            wrong.append(str(one))
    return wrong


def by_name(modules: Mapping[str, str]) -> list[str]:
    """Return the modules that import by a name in a string: importlib.import_module or __import__."""
    return [
        f"{module}:{node.lineno}"
        for module, source in modules.items()
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Attribute) and node.attr == "import_module")
        or (isinstance(node, ast.Name) and node.id in {"__import__", "import_module"})
    ]
