"""A permit: what a limiter let through, to be corrected, refunded and released, each at most once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

Demand = tuple[int, int, int]
"""Requests, input tokens, output tokens."""


class Issuer(Protocol):
    """The limiter, as its permits see it."""

    def correct(self, permit: Permit, used: tuple[int, int | None, int | None]) -> None:
        """Book what was used instead of what was asked for."""

    def refund(self, permit: Permit) -> None:
        """Take everything back."""

    def take_back(self, permit: SlotPermit) -> None:
        """Take the concurrency back; never blocks, so that finalizers may call it."""


class Permit:
    """Leave for one call. ``waited_s`` is how long its caller stood in line, in seconds.

    Each of `correct`, `refund` and `release` counts once, from any thread; repeats do nothing. As a
    context manager it releases at the end.
    """

    # Of the class, because most permits never get others and one is made for every call.
    waited_ns = 0
    _is_settled = False

    def __init__(self, issuer: Issuer, demand: Demand, marks: list[int], generation: int) -> None:
        """Belong to the limiter that issued it; the marks are of its gates."""
        self._issuer = issuer
        self.demand = demand
        self.marks = marks
        self.generation = generation

    @property
    def waited_s(self) -> float:
        """How long the caller waited, in seconds."""
        return self.waited_ns / 1e9

    def correct(self, *, input_tokens: int | None = None, output_tokens: int | None = None) -> None:
        """Say how many tokens were really used: fewer are given back, more are a debt that later callers wait for.

        None leaves the estimate. Raises CallInvalid for what is no whole number from 0.
        """
        self._issuer.correct(self, (self.demand[0], input_tokens, output_tokens))

    def refund(self) -> None:
        """Give everything back: the call never went out."""
        self._issuer.refund(self)

    def release(self) -> None:
        """Say that the call has ended: its place among the concurrent ones is free. Never blocks."""

    def settle(self) -> bool:
        """Return True the first time; for the limiter, under its lock."""
        first, self._is_settled = not self._is_settled, True
        return first

    def __enter__(self) -> Self:
        """Return the permit itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release."""
        self.release()


class SlotPermit(Permit):
    """A permit with a place among the concurrent calls, which comes back at the latest when nobody has the permit."""

    has_slot = False

    def release(self) -> None:
        """Say that the call has ended: its place among the concurrent ones is free. Never blocks."""
        if self.has_slot:
            self._issuer.take_back(self)

    def __del__(self) -> None:
        """Release what was forgotten."""
        self.release()
