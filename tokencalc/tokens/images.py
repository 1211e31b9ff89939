"""Images in a request: their sizes, given or read from the first bytes of what is sent. No image is decoded."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeGuard

from tokencalc.tokens.reading import is_list, mapping_of, plain, refused, text_of
from tokencalc.tokens.request import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE_TYPES = frozenset({"image_url", "input_image", "image"})
"""Types of a part that holds an image, in any of the shapes."""

SIDE_MAX = 65_535
"""Longest side in pixels that is believed; the formats that we read hold no longer one, PNG excepted."""

_HEAD_CHARS = 1 << 20
"""Base64 characters that are looked at; a JPEG may have a long preview before its size."""
_WRAPPED = re.compile(r"\s+")
_DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)

_PNG, _GIF = b"\x89PNG\r\n\x1a\n", (b"GIF87a", b"GIF89a")
_PNG_SIZE, _GIF_SIZE = slice(16, 24), slice(6, 10)
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG's frame header, which holds its size; the three others between them are tables."""
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})


def read_image(part: Mapping[object, object], path: str) -> Image | None:
    """Read a part that holds an image; None where there is no image in it."""
    held = mapping_of(part, "image_url", "source") or {}
    url = text_of(part, "image_url", "url", "file_id") or text_of(held, "url", "data", "file_id")
    sent = held.get("data", held.get("bytes"))
    size = _given(part) or _given(held)
    if (not url and size is None and not _is_bytes(sent)) or _is_no_image(held, url):
        return None
    width, height = size or (size_of_bytes(bytes(sent)) if _is_bytes(sent) else size_of_text(url)) or (None, None)
    return Image(width, height, text_of(part, "detail") or text_of(held, "detail") or None, path)


def read_inline(data: Mapping[object, object], path: str) -> Image | None:
    """Read Gemini's inline data; None where it is no image."""
    if not text_of(data, "mimeType", "mime_type").startswith("image/"):
        return None
    sent = data.get("data")
    width, height = (size_of_bytes(bytes(sent)) if _is_bytes(sent) else size_of_text(text_of(data, "data"))) or _UNKNOWN
    return Image(width, height, None, path)


_UNKNOWN: tuple[None, None] = (None, None)
_PDF_BASE64 = "JVBERi"
"""How the base64 of a PDF begins."""


def _is_bytes(sent: object) -> TypeGuard[bytes | bytearray | memoryview]:
    return isinstance(sent, (bytes, bytearray, memoryview))


def _is_no_image(held: Mapping[object, object], url: str) -> bool:
    """Say whether what stands in an image's place says of itself that it is something else, such as a PDF."""
    kind = text_of(held, "media_type", "mimeType", "mime_type") or (url[5:] if url[:5].lower() == "data:" else "image/")
    return not kind.lower().startswith("image/") or url.startswith(_PDF_BASE64)


def read_images(images: object) -> Iterator[Image]:
    """Read images that are handed in beside the messages.

    Each is a pair of width and height in pixels, the image's bytes, a data URL, or a part in any of the
    providers' shapes. TextInvalid for anything else.
    """
    found = plain(images)
    if not is_list(found):
        raise refused("images", "a list of images", images)
    for index, raw in enumerate(found):
        path, item = f"images[{index}]", plain(raw)
        image: Image | None = None
        if isinstance(item, (bytes, bytearray, memoryview)):
            width, height = size_of_bytes(bytes(item)) or (None, None)
            image = Image(width, height, None, path)
        elif isinstance(item, str) and item and not _is_no_image({}, item):
            width, height = size_of_text(item) or (None, None)
            image = Image(width, height, None, path)
        elif isinstance(item, Mapping):
            image = read_image(item, path) or read_inline(mapping_of(item, "inlineData", "inline_data") or item, path)
        elif isinstance(item, (list, tuple)) and (pair := _pair(*item[:3])):
            image = Image(*pair, None, path)
        if image is None:
            raise refused(path, "width and height in pixels, bytes, a data URL or an image part", raw)
        yield image


def size_of_text(text: str) -> tuple[int, int] | None:
    """Return width and height of an image in base64, alone or as a data URL; None where they cannot be read."""
    match = _DATA_URL.match(text)
    if not match and "://" in text[:16]:
        return None
    start = match.end() if match else 0
    # Some wrap lines, and some write the alphabet for URLs.
    head = _WRAPPED.sub("", text[start : start + _HEAD_CHARS]).replace("-", "+").replace("_", "/").rstrip("=")
    head = head[:-1] if len(head) % 4 == 1 else head
    try:
        return size_of_bytes(base64.b64decode(head + "=" * (-len(head) % 4), validate=False))
    except (binascii.Error, ValueError):
        return None


def size_of_bytes(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG, GIF, WEBP or JPEG by its header; None for anything else."""
    if data.startswith(_PNG) and len(data) >= _PNG_SIZE.stop:
        size = data[_PNG_SIZE]
        return _pair(int.from_bytes(size[:4], "big"), int.from_bytes(size[4:], "big"))
    if data.startswith(_GIF) and len(data) >= _GIF_SIZE.stop:
        size = data[_GIF_SIZE]
        return _pair(int.from_bytes(size[:2], "little"), int.from_bytes(size[2:], "little"))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    return _jpeg(data) if data.startswith(b"\xff\xd8") else None


_WEBP_SIZE = {b"VP8X": slice(24, 30), b"VP8L": slice(21, 25), b"VP8 ": slice(26, 30)}


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    place = _WEBP_SIZE.get(kind)
    if place is None or len(data) < place.stop:
        return None
    size = data[place]
    if kind == b"VP8X":
        return _pair(int.from_bytes(size[:3], "little") + 1, int.from_bytes(size[3:], "little") + 1)
    bits = int.from_bytes(size, "little")
    if kind == b"VP8L":
        return _pair((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    return _pair(bits & 0x3FFF, bits >> 16 & 0x3FFF)


def _jpeg(data: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(data):
        if data[place] != 0xFF:  # noqa: PLR2004  # a marker begins with it
            return None
        marker = data[place + 1]
        if marker in _JPEG_FRAMES:
            return _pair(
                int.from_bytes(data[place + 7 : place + 9], "big"), int.from_bytes(data[place + 5 : place + 7], "big")
            )
        place += 1 if marker == 0xFF else 2  # noqa: PLR2004  # fill bytes before a marker
        if marker != 0xFF and marker not in _JPEG_ALONE:  # noqa: PLR2004  # the same
            place += int.from_bytes(data[place : place + 2], "big") or len(data)
    return None


def _given(part: Mapping[object, object]) -> tuple[int, int] | None:
    return _pair(part.get("width"), part.get("height"))


def _pair(*sides: object) -> tuple[int, int] | None:
    """Return width and height where they are two whole numbers of pixels."""
    if len(sides) != 2:  # noqa: PLR2004  # width and height
        return None
    width, height = sides
    if type(width) is not int or type(height) is not int:
        return None
    return (width, height) if 0 < width <= SIDE_MAX and 0 < height <= SIDE_MAX else None
