"""The house as data: which room stands on which floor, and what may be imported where.

docs/architecture.md draws the same picture for people; this list is what the tests hold the code to.
A new file or folder directly under tokencalc/ is a room, and is added here first.
"""

from __future__ import annotations

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("money", "clock", "periods", "counts", "usage", "cost"),
    ("events", "config", "context", "jsontext"),
    ("pricing", "tokens", "providers", "limits", "ledger"),
    ("budgets",),
    (
        "counting",
        "arguments",
        "outputs",
        "estimation",
        "prompts",
        "drafts",
        "verbs",
        "spooling",
        "explaining",
        "repricing",
        "reader",
        "engine",
        "inbox",
        "async_engine",
    ),
    (
        "client",
        "reports",
        "alerts",
        "gate",
        "monitor",
        "importers",
        "tool_arguments",
        "tool_answers",
        "tool_functions",
        "tool_metrics",
        "tool_prices",
        "tool",
    ),
    ("cli", "pytest_plugin"),
    ("__init__", "__main__"),
)
"""Rooms from the ground up; a room imports from floors below its own."""

SIDEWAYS: dict[str, frozenset[str]] = {
    "usage": frozenset({"counts"}),
    "cost": frozenset({"money", "usage"}),
    "arguments": frozenset({"counting"}),
    "estimation": frozenset({"counting", "outputs"}),
    "prompts": frozenset({"arguments"}),
    "drafts": frozenset({"counting", "estimation", "outputs"}),
    "verbs": frozenset({"arguments", "drafts"}),
    "spooling": frozenset({"arguments", "verbs"}),
    "reader": frozenset({"drafts", "explaining", "outputs", "repricing", "spooling", "verbs"}),
    "engine": frozenset({"arguments", "counting", "drafts", "estimation", "prompts", "reader", "spooling", "verbs"}),
    "async_engine": frozenset(
        {"arguments", "engine", "estimation", "explaining", "inbox", "prompts", "repricing", "spooling", "verbs"}
    ),
    "limits": frozenset({"providers"}),
    "gate": frozenset({"reports"}),
    "alerts": frozenset({"reports"}),
    "monitor": frozenset({"alerts", "reports"}),
    "tool_answers": frozenset({"reports"}),
    "tool_functions": frozenset({"tool_arguments"}),
    "tool_prices": frozenset({"reports"}),
    "tool": frozenset({"tool_arguments", "tool_answers", "tool_functions", "tool_metrics", "tool_prices"}),
    "__main__": frozenset({"__init__"}),
}
"""The exceptions: a room and the earlier rooms of its own floor that it may import from."""

LIBRARIES: dict[str, tuple[str, ...]] = {
    "click": ("tokencalc/cli/",),
    "fastokens": ("tokencalc/tokens/backends/fast.py",),
    "platformdirs": ("tokencalc/config.py",),
    "psutil": ("tokencalc/ledger/files.py", "tokencalc/monitor/host.py"),
    "pynvml": ("tokencalc/monitor/gpu.py",),
    "pydantic": ("tokencalc/tool_arguments.py",),
    "rich": ("tokencalc/cli/",),
    "splintr": ("tokencalc/tokens/backends/bundled.py",),
    "tenacity": ("tokencalc/limits/retry.py",),
    "tiktoken": ("tokencalc/tokens/",),
}
"""Each library beyond the standard one, with the only files or folders (ending in /) that may import it."""

HOSTS: dict[str, tuple[str, ...]] = {"pytest": ("tokencalc/pytest_plugin.py",)}
"""Libraries that load a file of ours as their plugin: whoever loads it has them, so they are no dependencies."""

EXTRAS = ("exact", "fast", "gpu")
"""The extras of users; those of developers import nothing in the package."""

IMPORTED_AS = {"nvidia-ml-py": "pynvml", "splintr-rs": "splintr"}
"""Libraries whose name to import is not their name to install."""

DATA_ONLY = frozenset({"tzdata"})
"""Dependencies that nobody imports: zoneinfo reads tzdata where the machine has no time zones of its own."""

MAY_IMPORT_BY_NAME = frozenset({"tokencalc/__init__.py"})
"""Where a module may be imported by a name in a string: the lazy exports. Elsewhere that would hide an import."""
