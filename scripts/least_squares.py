"""Linear least squares of relative errors, held to priors and robust against outliers; in plain Python, small."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROUNDS = 30
FLOOR_TOKENS = 30
"""Below this many tokens an error counts as if the request had so many: one token of ten is no 10 % of a price."""
STIFFNESS = 0.03
RESIDUE_MIN, RESIDUE_SCALE = 0.003, 0.02


class Prior(NamedTuple):
    """What was known of a weight before, and how far it may move; in tokens."""

    value: float
    spread: float


class Row(NamedTuple):
    """One recorded request: what counts in it, and what was billed beyond what is already known."""

    features: Mapping[str, float]
    billed: float
    size: float
    weight: float = 1.0


def solve(rows: Sequence[Row], priors: Mapping[str, Prior]) -> dict[str, float]:
    """Return the weights that leave the least relative error, each held to its prior."""
    names = list(priors)
    found = {name: prior.value for name, prior in priors.items()}
    pull = [1.0] * len(rows)
    for _ in range(ROUNDS):
        matrix = [[0.0] * (len(names) + 1) for _ in names]
        for place, name in enumerate(names):
            stiffness = (STIFFNESS / priors[name].spread) ** 2
            matrix[place][place] += stiffness
            matrix[place][-1] += stiffness * priors[name].value
        for row, factor in zip(rows, pull, strict=True):
            scale = row.weight * (factor / max(row.size, FLOOR_TOKENS)) ** 2
            held = [(place, row.features[name]) for place, name in enumerate(names) if row.features.get(name)]
            for place, value in held:
                for other, also in held:
                    matrix[place][other] += scale * value * also
                matrix[place][-1] += scale * value * row.billed
        found = dict(zip(names, eliminate(matrix), strict=True))
        pull = [reweighted(row, found) for row in rows]
    return found


def reweighted(row: Row, found: Mapping[str, float]) -> float:
    """Return how strongly a row pulls: less, the further it is off."""
    told = sum(found.get(name, 0.0) * count for name, count in row.features.items())
    residue = abs(row.billed - told) / max(row.size, FLOOR_TOKENS)
    return math.sqrt(RESIDUE_SCALE / max(residue, RESIDUE_MIN))


def eliminate(matrix: list[list[float]]) -> list[float]:
    """Solve linear equations by Gauss's elimination; the last column is the right side."""
    size = len(matrix)
    for place in range(size):
        best = max(range(place, size), key=lambda row: abs(matrix[row][place]))
        matrix[place], matrix[best] = matrix[best], matrix[place]
        for row in range(size):
            if row != place and matrix[row][place]:
                factor = matrix[row][place] / matrix[place][place]
                matrix[row] = [one - factor * other for one, other in zip(matrix[row], matrix[place], strict=True)]
    return [matrix[place][-1] / matrix[place][place] for place in range(size)]
