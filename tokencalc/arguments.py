"""The keyword arguments of reserve, record and settle, once for the engine and its async twin.

They are spread over two engines and a tool, so they are written as typed
dictionaries: type checkers see them at each call, and `checked` refuses unknown
names at run time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict, get_args

from tokencalc.counting import DescribedArguments
from tokencalc.errors import CallInvalid
from tokencalc.ledger.records import HoldState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class AboutArguments(TypedDict, total=False):
    """Who and what a call is for; what is left out is taken from `tokencalc.attribution`."""

    provider: str | None
    agent_id: str | None
    user_id: str | None
    project: str | None
    api_key_id: str | None
    operation: str | None
    tags: Mapping[str, str] | None
    context: Mapping[str, str] | None


class CountArguments(TypedDict, total=False):
    """What a call used, as plain counts; totals include their parts."""

    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None


class EstimateArguments(DescribedArguments, total=False):
    """What `estimate` takes besides the model: one of ``input_tokens``, ``text`` and ``messages``, and the rest.

    With text or messages, what `tokencalc.count` takes (``tools``, ``response_format``, ...) is counted too.
    ``operation_type`` is one of the nine of the table; ``operation`` the label under which such calls are booked,
    where that is another.
    """

    provider: str | None
    input_tokens: int | None
    text: str | None
    messages: Sequence[Any] | Mapping[str, Any] | None
    max_output_tokens: int | None
    choices: int | None
    operation_type: str | None
    operation: str | None
    context: Mapping[str, str] | None


class PromptArguments(TypedDict, total=False):
    """What `optimize_prompt` takes besides the text and the model."""

    provider: str | None
    operation_type: str | None
    max_output_tokens: int | None
    context: Mapping[str, str] | None
    at: datetime | str | None


class ReserveArguments(AboutArguments, DescribedArguments, total=False):
    """What `reserve` takes besides the model.

    ``provider``; one of ``input_tokens``, ``text``, ``messages``, the latter two with what `tokencalc.count` takes
    (``tools``, ``response_format``, ...); ``max_output_tokens``, ``choices``, ``operation_type``; or ``amount_usd``
    for a worst case of the caller's own. ``agent_id``, ``user_id``, ``project``, ``api_key_id``, ``operation``,
    ``tags``, ``context``; ``budget`` names budgets to add to those in scope; ``lifetime_s``, ``idempotency_key``.
    """

    input_tokens: int | None
    text: str | None
    messages: Sequence[Any] | Mapping[str, Any] | None
    max_output_tokens: int | None
    choices: int | None
    operation_type: str | None
    amount_usd: object
    budget: str | Sequence[str] | None
    lifetime_s: int | None
    idempotency_key: str | None


class SettleArguments(CountArguments, total=False):
    """What `settle` takes besides the hold and the usage; whom the call is for was said by the reserve.

    ``model`` and ``provider`` are those that served, where the usage does not say so;
    ``cost_usd`` is the caller's own figure.
    """

    model: str | None
    provider: str | None
    operation: str | None
    tags: Mapping[str, str] | None
    context: Mapping[str, str] | None
    cost_usd: object


class RecordArguments(AboutArguments, CountArguments, total=False):
    """What `record` takes; ``at`` is the instant of the call, ``source`` says where it was read."""

    model: str | None
    usage: object
    cost_usd: object
    at: datetime | str | None
    idempotency_key: str | None
    notional: bool
    source: str | None
    budget: str | Sequence[str] | None


ESTIMATE_NAMES = frozenset({"model", *EstimateArguments.__annotations__})
PROMPT_NAMES = frozenset(PromptArguments.__annotations__)
RESERVE_NAMES = frozenset({"model", *ReserveArguments.__annotations__})
SETTLE_NAMES = frozenset({"usage", *SettleArguments.__annotations__})
RECORD_NAMES = frozenset(RecordArguments.__annotations__)


def checked(arguments: Mapping[str, Any], allowed: frozenset[str], verb: str) -> Mapping[str, Any]:
    """Return the arguments; CallInvalid names one that the verb does not take."""
    if not isinstance(arguments, Mapping):
        raise CallInvalid(
            f"{verb}: expected a mapping of arguments, found {arguments!r:.60}", path="arguments", found=arguments
        )
    if not allowed.issuperset(arguments):
        unknown = sorted(set(arguments) - allowed)
        raise CallInvalid(
            f"{verb}: unknown argument {unknown[0]!r}; allowed: {', '.join(sorted(allowed))}",
            path=unknown[0],
            found=arguments[unknown[0]],
        )
    return arguments


def hold_state_from(state: str | None) -> HoldState | None:
    """Return the hold state of that name; CallInvalid lists the allowed ones."""
    states: tuple[HoldState, ...] = get_args(HoldState)
    if state is None or state in states:
        return state
    raise CallInvalid(f"state: expected one of {', '.join(states)}, found {state!r:.60}", path="state", found=state)
