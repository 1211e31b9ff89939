"""The script that packs vocabularies: what it makes is what the package ships, and it refuses anything else."""

from __future__ import annotations

import base64
import runpy
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.tokens import vocabularies

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "pack_vocabularies.py"))


def _ranks(name: str) -> bytes:
    tokens = vocabularies.read_tokens(name)
    return b"".join(b"%b %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens))


@pytest.mark.parametrize("name", sorted(vocabularies.SPECS))
def test_packing_the_published_file_gives_the_shipped_pack(name: str, script: dict[str, Any]) -> None:
    shipped = (vocabularies.VOCABULARIES / f"{name}.bin").read_bytes()
    # Compared unpacked, because builds of zlib may compress differently.
    assert zlib.decompress(shipped) == zlib.decompress(script["pack"](_ranks(name)))


def test_the_script_writes_the_pack_of_a_published_file(
    script: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main: Callable[[list[str]], int] = script["main"]
    main.__globals__["VOCABULARIES"] = tmp_path
    (tmp_path / "ranks").write_bytes(_ranks("cl100k_base"))
    assert main([f"cl100k_base={tmp_path / 'ranks'}"]) == 0
    assert "cl100k_base.bin: 1,681,126 -> " in capsys.readouterr().out
    assert len((tmp_path / "cl100k_base.bin").read_bytes()) < 500_000


def test_the_script_refuses_a_file_that_is_not_the_published_one(
    script: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ranks").write_bytes(b"IQ== 0\n")
    assert script["main"]([f"o200k_base={tmp_path / 'ranks'}"]) == 2
    assert "expected 446a9538" in capsys.readouterr().err


def test_ranks_with_a_gap_do_not_fit_the_format(script: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="rank 2 follows 0: this format needs ranks without a gap"):
        script["pack"](b"IQ== 0\nIg== 2\n")


@pytest.mark.parametrize("arguments", [[], ["o200k_base"], ["p50k_base=ranks"]])
def test_the_script_says_what_it_needs(
    arguments: list[str], script: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert script["main"](arguments) == 2
    assert "expected NAME=PATH with NAME one of o200k_base, cl100k_base" in capsys.readouterr().err
