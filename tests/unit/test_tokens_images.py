"""Images: sizes from headers, and what they cost by family and size."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from tokencalc.errors import TextInvalid
from tokencalc.tokens.count import count_messages
from tokencalc.tokens.image_costs import image_cost
from tokencalc.tokens.images import read_images, size_of_bytes, size_of_text
from tokencalc.tokens.request import Image


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height) + b"\x08\x06\x00\x00\x00"


def _vp8x(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00" + size


def _vp8l(width: int, height: int) -> bytes:
    return b"RIFF\x00\x00\x00\x00WEBPVP8L\x00\x00\x00\x00\x2f" + struct.pack("<I", width - 1 | (height - 1) << 14)


def _vp8(width: int, height: int) -> bytes:
    frame = b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", width, height)
    return b"RIFF\x00\x00\x00\x00WEBPVP8 \x00\x00\x00\x00" + frame


def _jpeg(width: int, height: int) -> bytes:
    preview = b"\xff\xe1" + struct.pack(">H", 5000) + bytes(4998)
    table = b"\xff\xc4" + struct.pack(">H", 4) + b"\x00\x00"
    frame = b"\xff\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + preview + table + frame


FILES = {
    "png": png(640, 480),
    "gif87": b"GIF87a" + struct.pack("<HH", 640, 480),
    "gif89": b"GIF89a" + struct.pack("<HH", 640, 480),
    "webp extended": _vp8x(640, 480),
    "webp lossless": _vp8l(640, 480),
    "webp lossy": _vp8(640, 480),
    "jpeg": _jpeg(640, 480),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_header_tells_the_size(data: bytes) -> None:
    assert size_of_bytes(data) == (640, 480)
    text = base64.b64encode(data).decode()
    assert size_of_text(text) == (640, 480)
    assert size_of_text(f"data:image/any;base64,{text}") == (640, 480)


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_header_that_is_cut_off_tells_nothing_and_never_fails(data: bytes) -> None:
    for end in range(len(data)):
        assert size_of_bytes(data[:end]) in {None, (640, 480)}


@pytest.mark.parametrize(
    "data", [b"", b"BM", b"\xff\xd8\x00", b"\xff\xd8" + b"\xff" * 50, png(0, 3), b"RIFF\x00\x00\x00\x00WEBPVP9 "]
)
def test_what_is_no_known_image_has_no_size(data: bytes) -> None:
    assert size_of_bytes(data) is None


@pytest.mark.parametrize("text", ["https://example.org/a.png", "data:image/png;base64,???", "not base64 at all", "é"])
def test_what_is_no_image_in_base64_has_no_size(text: str) -> None:
    assert size_of_text(text) is None


@pytest.mark.parametrize(
    ("expected", "tokenizer", "model", "width", "height", "detail"),
    [
        (85 + 4 * 170, "openai", "gpt-4o-2024-08-06", 1024, 1024, "high"),
        (85 + 6 * 170, "openai", "gpt-4o", 2048, 4096, "high"),
        (85 + 170, "openai", "gpt-4.1", 512, 512, None),
        (85, "openai", "gpt-4o", 4096, 4096, "low"),
        (2833 + 5667, "openai", "gpt-4o-mini", 100, 100, None),
        (70 + 4 * 140, "openai", "gpt-5", 1024, 1024, None),
        (75 + 150, "openai", "o3-2025-04-16", 300, 300, None),
        (2520, "openai", "gpt-4.1-nano", 1024, 1024, None),
        (1659, "openai", "gpt-5-mini", 1024, 1024, None),
        (1762, "openai", "o4-mini", 1024, 1024, None),
        (36 * 36 + 3, "claude", "claude-sonnet-4-5", 1000, 1000, None),
        (258, "gemini", "gemini-2.5-flash", 300, 384, None),
        (4 * 258, "gemini", "gemini-2.0-flash", 960, 960, None),
        (1092, "gemini", "gemini-3-flash-preview", 64, 64, None),
        (64 * 65, "mistral", "pixtral-12b-latest", 1024, 1024, None),
    ],
)
def test_an_image_costs_what_its_family_takes(  # columns of a table
    expected: int, tokenizer: str, model: str, width: int, height: int, detail: str | None
) -> None:
    cost = image_cost(Image(width, height, detail, "images[0]"), tokenizer, model)
    assert cost is not None
    assert expected == cost.tokens
    assert cost.low <= cost.tokens <= cost.high


@pytest.mark.parametrize("tokenizer", ["openai", "claude", "claude_4_7", "gemini", "mistral"])
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-nano", "claude-opus-4-8", "gemini-2.5-pro", "gemini-3-pro", None])
@pytest.mark.parametrize("size", [(1, 1), (4000, 3000), (100, 9000), (65535, 1), (768, 2048)])
def test_no_image_costs_more_than_one_of_an_unknown_size(
    tokenizer: str, model: str | None, size: tuple[int, int]
) -> None:
    known = image_cost(Image(*size, None, "i"), tokenizer, model)
    unknown = image_cost(Image(None, None, None, "i"), tokenizer, model)
    assert known is not None
    assert unknown is not None
    assert known.high <= unknown.high * 21 // 20 + 2


DATA = base64.b64encode(png(1024, 1024)).decode()
URL = f"data:image/png;base64,{DATA}"
PARTS: dict[str, dict[str, Any]] = {
    "openai_chat": {"type": "image_url", "image_url": {"url": URL, "detail": "high"}},
    "openai_text": {"type": "image_url", "image_url": URL},
    "openai_responses": {"type": "input_image", "image_url": URL},
    "anthropic": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
    "gemini": {"inlineData": {"mimeType": "image/png", "data": DATA}},
    "size": {"type": "image", "width": 1024, "height": 1024},
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_an_image_is_counted_in_every_shape(part: dict[str, Any]) -> None:
    said = {"role": "user", "content": [{"type": "text", "text": "What is this?"}]}
    shown = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, part]}
    plain = count_messages([said], tokenizer="openai", encoding="o200k_base", model="gpt-4o")
    counted = count_messages([shown], tokenizer="openai", encoding="o200k_base", model="gpt-4o")
    beside = count_messages([said], tokenizer="openai", encoding="o200k_base", model="gpt-4o", images=[part])
    assert counted.tokens - plain.tokens == 85 + 4 * 170
    assert (counted.unaccounted, counted.method) == ((), "modelled")
    assert beside == counted


@pytest.mark.parametrize("image", [(1024, 1024), [1024, 1024], png(1024, 1024), URL, DATA])
def test_images_beside_the_messages_may_be_sizes_bytes_or_text(image: object) -> None:
    assert [found[:2] for found in read_images([image])] == [(1024, 1024)]


def test_an_image_of_unknown_size_is_counted_at_its_dearest() -> None:
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]}
    counted = count_messages([message], tokenizer="openai", encoding="o200k_base", model="gpt-4o")
    assert counted.high >= 85 + 8 * 170
    assert counted.low < counted.high


def test_an_image_of_a_family_without_a_known_rule_is_named() -> None:
    counted = count_messages(["hi"], tokenizer="llama", encoding=None, model="llama-4-scout", images=[(64, 64)])
    assert counted.unaccounted == ("images[0]: image",)


@pytest.mark.parametrize(
    ("match", "images"),
    [
        ("images: expected a list of images, found int 3", 3),
        (r"images\[0\]: expected width and height in pixels, bytes, a data URL or an image part, found int 3", [3]),
        (r"images\[0\]: expected width and height", [(0, 5)]),
        (r"images\[0\]: expected width and height", [(1, 2, 3)]),
        (r"images\[0\]: expected width and height", [{"type": "image"}]),
    ],
)
def test_what_is_no_image_is_refused(match: str, images: object) -> None:
    with pytest.raises(TextInvalid, match=match):
        list(read_images(images))


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
@pytest.mark.parametrize("size", [(640, 480), (1023, 767), (4095, 4093), (255, 62)])
def test_base64_of_any_kind_tells_the_size(data: bytes, size: tuple[int, int]) -> None:
    for sent, expected in ((data, (640, 480)), (png(*size), size)):
        url_safe = base64.urlsafe_b64encode(sent).decode()
        wrapped = base64.encodebytes(sent * 3).decode().replace("\n", "\r\n")
        for text in (url_safe, url_safe.rstrip("="), wrapped, f"data:image/png;base64,{wrapped}"):
            assert expected == size_of_text(text)


def test_a_url_safe_alphabet_is_read_at_every_size() -> None:
    for width in range(1, 4096, 7):
        assert (width, 62) == size_of_text(base64.urlsafe_b64encode(png(width, 62)).decode())


def test_bytes_that_an_sdk_holds_are_the_image_that_rest_sends() -> None:
    data = png(300, 200)
    text = base64.b64encode(data).decode()
    parts: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (
            {"inlineData": {"mimeType": "image/png", "data": text}},
            {"inline_data": {"mime_type": "image/png", "data": data}},
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": text}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        ),
    ]
    for rest, sdk in parts:
        found = [
            count_messages([{"role": "user", "content": [part]}], tokenizer="gemini", encoding=None, model=MODEL)
            for part in (rest, sdk)
        ]
        assert found[0] == found[1]
        assert found[0].tokens < 400


MODEL = "gemini-2.5-flash"
PDF = base64.b64encode(b"%PDF-1.7\n1 0 obj").decode()


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": f"data:application/pdf;base64,{PDF}"}},
        {"type": "input_image", "image_url": f"data:application/pdf;base64,{PDF}"},
        {"type": "image", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
        {"type": "image", "source": {"type": "base64", "data": PDF}},
        {"inline_data": {"mime_type": "application/pdf", "data": PDF}},
    ],
)
def test_a_document_in_an_images_place_is_named(part: dict[str, Any]) -> None:
    counted = count_messages([{"role": "user", "content": [part]}], tokenizer="openai", encoding="o200k_base")
    assert len(counted.unaccounted) == 1


def test_a_document_among_the_images_is_refused() -> None:
    with pytest.raises(TextInvalid, match=r"images\[0\]: expected width and height in pixels"):
        list(read_images([f"data:application/pdf;base64,{PDF}"]))
