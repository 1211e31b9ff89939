"""What an image costs in tokens, by family and size: the rules that providers publish, and what was measured.

Sources: OpenAI's guide to images (tiles of 512 px after two reductions, or patches of 32 px with a factor for each
model); Anthropic's (patches of 28 px, a longest side and a largest number); Google's (258 for each tile; Gemini 3 by
resolution); Mistral's open preprocessing (patches and one token for the end of each row). The factors were compared
with billed usage where recordings hold an image.
"""

from __future__ import annotations

import re
from math import ceil, sqrt
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokencalc.tokens.request import Image


class ImageCost(NamedTuple):
    """Tokens of one image, and the range that they lie in."""

    tokens: int
    low: int
    high: int


class _Tiles(NamedTuple):
    base: int
    tile: int


_TILE_PX = 512
_TILES_LONG_PX, _TILES_SHORT_PX = 2048, 768
_TILES_MAX = 8
"""Tiles of the dearest picture that is left after both reductions: 768 by 2,048."""
_OPENAI_TILES: tuple[tuple[str, _Tiles], ...] = (
    (r"gpt-4o-mini", _Tiles(2833, 5667)),
    (r"gpt-5", _Tiles(70, 140)),
    (r"o[13](?!-mini)", _Tiles(75, 150)),
    (r"computer-use", _Tiles(65, 129)),
    (r"", _Tiles(85, 170)),
)
_PATCH_PX = 32
_PATCHES_MAX = 1536
_OPENAI_PATCHES: tuple[tuple[str, int], ...] = (
    (r"gpt-(?:4\.1|5[\w.]*)-mini", 1620),
    (r"gpt-(?:4\.1|5[\w.]*)-nano", 2460),
    (r"o4-mini", 1720),
)
"""Models that count patches, each with its factor in thousandths."""

_CLAUDE_PX = 28
_CLAUDE_SIDE_MAX, _CLAUDE_PATCHES_MAX = 1568, 1568
_CLAUDE_NEW_SIDE_MAX, _CLAUDE_NEW_PATCHES_MAX = 2576, 4784
_CLAUDE_AROUND = 3

_GEMINI_TILE = 258
_GEMINI_SMALL_PX, _GEMINI_TILE_PX, _GEMINI_SIDE_MAX = 384, 768, 3072
_GEMINI_3 = ImageCost(1092, 1050, 1120)

_MISTRAL_SIDE_MAX, _PIXTRAL_SIDE_MAX = 1540, 1024
_MISTRAL_PX, _PIXTRAL_PX = 28, 16


def image_cost(image: Image, tokenizer: str | None, model: str | None) -> ImageCost | None:
    """Return what an image costs; None where the family's rule is not known.

    Where the size is not known, ``tokens`` and ``high`` are those of the dearest image that the family accepts.
    """
    rule = _RULES.get(tokenizer or "")
    return rule(image, re.sub(r"^.*/", "", model or "")) if rule else None


def _openai(image: Image, model: str) -> ImageCost:
    for pattern, thousandths in _OPENAI_PATCHES:
        if re.match(pattern, model):
            return _openai_patches(image, thousandths)
    base, tile = next(tiles for pattern, tiles in _OPENAI_TILES if re.match(pattern, model))
    if image.detail == "low":
        return ImageCost(base, base, base)
    if image.width is None or image.height is None:
        dearest = base + _TILES_MAX * tile
        return ImageCost(dearest, base, dearest)
    width, height = _shrunk(image.width, image.height, _TILES_LONG_PX)
    short = min(width, height)
    if short > _TILES_SHORT_PX:
        width, height = width * _TILES_SHORT_PX / short, height * _TILES_SHORT_PX / short
    tokens = base + tile * ceil(width / _TILE_PX) * ceil(height / _TILE_PX)
    # Asked for "auto", the model may settle for the low detail.
    return ImageCost(tokens, tokens if image.detail == "high" else base, tokens)


def _openai_patches(image: Image, thousandths: int) -> ImageCost:
    dearest = ceil(_PATCHES_MAX * thousandths / 1000)
    if image.width is None or image.height is None:
        return ImageCost(dearest, 1, dearest)
    patches = min(ceil(image.width / _PATCH_PX) * ceil(image.height / _PATCH_PX), _PATCHES_MAX)
    tokens = ceil(patches * thousandths / 1000)
    # Above the largest number the picture is shrunk until its patches fit, which leaves a few less.
    return ImageCost(tokens, tokens * 9 // 10 if patches == _PATCHES_MAX else tokens - 1, tokens + 2)


def _claude(image: Image, model: str) -> ImageCost:
    new = re.search(r"opus-(?:4-[789]|[5-9])|(?:sonnet|haiku)-(?:4-[789]|[5-9])|fable|mythos", model) is not None
    side_max = _CLAUDE_NEW_SIDE_MAX if new else _CLAUDE_SIDE_MAX
    patches_max = _CLAUDE_NEW_PATCHES_MAX if new else _CLAUDE_PATCHES_MAX
    dearest = patches_max + _CLAUDE_AROUND
    if image.width is None or image.height is None:
        return ImageCost(dearest, 1, dearest)
    width, height = _shrunk(image.width, image.height, side_max)
    patches = ceil(width / _CLAUDE_PX) * ceil(height / _CLAUDE_PX)
    if patches > patches_max:
        scale = sqrt(patches_max / patches)
        patches = min(ceil(width * scale / _CLAUDE_PX) * ceil(height * scale / _CLAUDE_PX), patches_max)
    tokens = patches + _CLAUDE_AROUND
    return ImageCost(tokens, tokens * 19 // 20, tokens * 21 // 20 + 1)


def _gemini(image: Image, model: str) -> ImageCost:
    if not re.match(r"gemini-[12]", model):
        return _GEMINI_3
    tiles_max = (_GEMINI_SIDE_MAX // _GEMINI_TILE_PX) ** 2
    if image.width is None or image.height is None:
        return ImageCost(tiles_max * _GEMINI_TILE, _GEMINI_TILE, tiles_max * _GEMINI_TILE)
    if max(image.width, image.height) <= _GEMINI_SMALL_PX:
        return ImageCost(_GEMINI_TILE, _GEMINI_TILE, _GEMINI_TILE)
    width, height = _shrunk(image.width, image.height, _GEMINI_SIDE_MAX)
    crop = min(max(min(width, height) / 1.5, 256), _GEMINI_TILE_PX)
    tokens = _GEMINI_TILE * ceil(width / crop) * ceil(height / crop)
    # Vertex bills one tile whatever the size.
    return ImageCost(tokens, _GEMINI_TILE, tokens)


def _mistral(image: Image, model: str) -> ImageCost:
    side_max, patch = (_PIXTRAL_SIDE_MAX, _PIXTRAL_PX) if "pixtral" in model else (_MISTRAL_SIDE_MAX, _MISTRAL_PX)
    width, height = _shrunk(image.width or side_max, image.height or side_max, side_max)
    rows, columns = ceil(height / patch), ceil(width / patch)
    tokens = rows * (columns + 1)
    return ImageCost(tokens, tokens if image.width and image.height else 1, tokens)


def _shrunk(width: float, height: float, side_max: int) -> tuple[float, float]:
    """Return the size after the longest side was brought down to the largest that is taken."""
    scale = min(side_max / max(width, height), 1)
    return width * scale, height * scale


_RULES: dict[str, Callable[[Image, str], ImageCost]] = {
    "openai": _openai,
    "claude": _claude,
    "claude_4_7": _claude,
    "gemini": _gemini,
    "mistral": _mistral,
}
