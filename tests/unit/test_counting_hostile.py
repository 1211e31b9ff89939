"""Objects of the caller's own may raise anything; what leaves us is an error of our tree."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from pydantic import BaseModel

from tokencalc import Engine, count
from tokencalc.errors import CallInvalid, TextInvalid

if TYPE_CHECKING:
    from typing import Self

HI = [{"role": "user", "content": "hi"}]


class _Dumps:
    """Sends itself by a method that raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def model_dump(self, *, exclude_none: bool) -> NoReturn:
        assert exclude_none
        raise self.error


class _Maps(Mapping[str, object]):
    """A mapping that cannot be read."""

    def __getitem__(self, key: str) -> NoReturn:
        raise RuntimeError(key)

    def __iter__(self) -> Iterator[str]:
        raise ArithmeticError

    def __len__(self) -> int:
        return 1


class _Lists(Sequence[object]):
    """A list that cannot be read."""

    def __getitem__(self, index: Any) -> NoReturn:
        raise OSError(index)

    def __len__(self) -> int:
        return 1


class _Doubts(list[object]):
    """Neither true nor false."""

    def __bool__(self) -> NoReturn:
        raise LookupError


class _Compares:
    """Equal to nothing, with noise."""

    __hash__ = None  # type: ignore[assignment]  # as one writes it

    def __eq__(self, other: object) -> NoReturn:
        raise ValueError


class _Words(str):
    """A text with ideas of its own."""

    __slots__ = ()

    def encode(self, *_: object, **__: object) -> NoReturn:
        raise OSError

    def isascii(self) -> NoReturn:
        raise OSError

    def strip(self, *_: object) -> Self:
        raise OSError


class _Calls(BaseModel):
    """A form of answer that has no JSON schema."""

    run: Callable[[], None]


ERRORS = (RuntimeError(), AttributeError("x"), KeyError("x"), RecursionError(), OSError(), TypeError(), ValueError())


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_object_that_cannot_be_dumped_is_refused(error: Exception) -> None:
    with pytest.raises(TextInvalid, match="expected an object that can be dumped, found _Dumps"):
        count("gpt-4o", [_Dumps(error)])


def _released() -> memoryview:
    view = memoryview(b"\x89PNG")
    view.release()
    return view


@pytest.mark.parametrize(
    "arguments",
    [
        {"messages": _Maps()},
        {"messages": _Lists()},
        {"messages": [_Maps()]},
        {"messages": [{"role": "user", "content": _Lists()}]},
        {"messages": HI, "tools": _Doubts([1])},
        {"messages": HI, "tools": [_Maps()]},
        {"messages": HI, "response_format": _Maps()},
        {"messages": HI, "images": [_released()]},
        {"messages": HI, "images": [deque([10, 10])]},
        {"messages": HI, "images": _Lists()},
        {"messages": HI, "response_format": _Calls},
        {"messages": HI, "response_format": BaseModel},
        {"messages": HI, "interface": _Compares()},
    ],
)
@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash"])
def test_an_object_that_raises_is_refused(model: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(TextInvalid, match=r"cannot be read|expected"):
        count(model, **arguments)


def test_a_body_that_raises_is_refused_by_an_estimate() -> None:
    with Engine.open(":memory:") as engine, pytest.raises(TextInvalid, match="messages: cannot be read"):
        engine.estimate(model="gpt-4o", messages=_Maps())


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash", "mistral-large-latest"])
def test_a_text_of_another_class_is_counted_as_its_characters(model: str) -> None:
    assert count(model, "Straße 7, été") == count(model, _Words("Straße 7, été"))
    said = [{"role": "user", "content": _Words("Straße 7, été")}]
    assert count(model, messages=[{**HI[0], "content": "Straße 7, été"}]) == count(model, messages=said)


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash", "mistral-large-latest"])
def test_a_schema_of_any_depth_is_counted_or_refused(model: str) -> None:
    refused = 0
    for depth in (100, 300, *range(440, 520, 4), 900, 5000):
        schema: dict[str, Any] = {"type": "string"}
        for _ in range(depth):
            schema = {"type": "object", "properties": {"a": schema}}
        try:
            found = count(model, messages=HI, tools=[{"name": "f", "parameters": schema}])
        except TextInvalid:
            refused += 1
        else:
            assert found.tokens > depth
    assert refused < 20


@pytest.mark.parametrize("kind", [["x"], {"a": 1}, _Maps(), 7, "essay"], ids=lambda kind: type(kind).__name__)
def test_an_operation_type_of_any_kind_is_refused(kind: object) -> None:
    with Engine.open(":memory:") as engine, pytest.raises(CallInvalid, match="operation_type: expected one of"):
        engine.estimate(model="gpt-4o", text="hi", operation_type=kind)  # type: ignore[arg-type]  # as it may come
