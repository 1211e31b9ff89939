"""Every command is documented, shows an example and answers machines; the docs name none that does not exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import pytest

from tests.architecture.imports import ROOT
from tokencalc.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = "\n".join(
    page.read_text(encoding="utf-8") for page in (ROOT / "README.md", ROOT / "docs" / "cli.md") if page.exists()
)


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Return every command below this one, groups themselves left out, with its words."""
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, f"{path} lists {name} and does not have it"
            yield from commands(inner, f"{path} {name}")
    else:
        yield path, command


COMMANDS = dict(commands(main, "tokencalc"))


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_is_documented(path: str) -> None:
    assert path in PAGES, f"show `{path} ...` in docs/cli.md"


@pytest.mark.parametrize(("path", "command"), COMMANDS.items())
def test_a_command_shows_an_example(path: str, command: click.Command) -> None:
    shown = command.get_help(click.Context(command, info_name=path))
    assert re.search(rf"example.*{path}", shown, re.IGNORECASE | re.DOTALL)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_a_command_answers_in_json(command: click.Command) -> None:
    assert "--json" in {option for parameter in command.params for option in parameter.opts}


def test_the_docs_name_only_commands_that_exist() -> None:
    heads = {path.split()[1] for path in COMMANDS}
    named = set(re.findall(r"^(?:\$ )?tokencalc ([a-z][a-z-]*)", PAGES, re.MULTILINE))
    assert named - heads == set()
