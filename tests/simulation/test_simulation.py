"""Whole lives of a ledger, a seed each, against the model; `make simulate` runs any number of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulation.model import About
from tests.simulation.run import main, run, seeds_from
from tests.simulation.simulation import Broken
from tests.simulation.work import Work

if TYPE_CHECKING:
    from pathlib import Path

SEEDS = 120


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_random_life_agrees_with_the_model(tmp_path: Path, seed: int) -> None:
    run(seed, tmp_path)


def test_a_seed_replays_exactly(tmp_path: Path) -> None:
    traces: list[list[str]] = [[], []]
    for number, trace in enumerate(traces):
        folder = tmp_path / str(number)
        folder.mkdir()
        run(7, folder, trace.append)
    assert len(traces[0]) > 50
    assert traces[0] == traces[1]


def test_a_failing_seed_says_its_number_the_step_and_how_to_replay_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unasked(self: Work, _: object) -> None:
        self.model.append("charge", self.now, About(), self.now, amount=1)

    monkeypatch.setattr(Work, "reserve", unasked)
    with pytest.raises(Broken, match=r"seed 7, step \d+: (?s:.*)\nreplay: make simulate SEED=7$"):
        run(7, tmp_path)


@pytest.mark.parametrize(("expected", "text"), [([0, 1, 2], "3"), ([5, 6, 7], "5..7")])
def test_seeds_are_a_number_or_a_range(expected: list[int], text: str) -> None:
    assert expected == list(seeds_from(text))


def test_the_command_runs_one_seed_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["SEED=1"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) > 50
    assert said[-1] == "1 runs of 120 steps, 0 failed"
