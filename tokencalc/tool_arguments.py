"""The actions of the tool as pydantic models: what each takes, how it is read, how it describes itself.

Arguments are read before anything is done, so a mistake costs nothing. The models
are strict. Counts, amounts, instants and labels are left to the rooms that own
them, because their rules are not pydantic's: a whole float is a count, a float of
money is its shortest text, text is no number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from itertools import chain
from typing import Annotated, Any, Literal, TypeGuard

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
)
from pydantic.json_schema import GenerateJsonSchema

from tokencalc.clock import instant_from
from tokencalc.context import MAX_LABEL_LENGTH, label_from
from tokencalc.counts import MAX_QUANTITY, whole_count
from tokencalc.errors import CallInvalid, InvalidInput
from tokencalc.ledger.records import DIMENSION_KEYS
from tokencalc.ledger.report import GROUP_KEYS
from tokencalc.money import amount_from
from tokencalc.periods import zone_from

FILTER_KEYS = DIMENSION_KEYS
"""What a report or a breakdown can be narrowed to."""


_MAX_BITS = 14_000
"""Python writes no integer of more than 4,300 digits."""

_MAX_DEPTH = 64
"""Deeper than this, what is nested cannot be answered as JSON, nor written at all."""

_NEAR = 0.62
"""As difflib counts: text is near context, and usage not near messages."""


def _unwritable(value: object) -> str | None:
    """Why a value has no place in any message or answer, or None."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        if any(isinstance(item, int) and item.bit_length() > _MAX_BITS for item in level):
            return "holds a huge integer"
        inner = (chain(item, item.values()) if isinstance(item, Mapping) else item for item in level if _holds(item))
        level = list(chain.from_iterable(inner))
        if not level:
            return None
    return "is nested too deep"


def _holds(value: object) -> TypeGuard[Iterable[object]]:
    return isinstance(value, Mapping | list | tuple | AbstractSet)


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 256:  # noqa: PLR2004
        return "a huge integer"
    reason = _unwritable(value)
    try:
        return f"{value!r:.60}" if reason is None else f"a {type(value).__name__} that {reason}"
    except (ValueError, RecursionError):  # the same inside a foreign object
        return f"a {type(value).__name__} that cannot be written"


def _nearest(found: object, known: tuple[str, ...]) -> str:
    nearest = get_close_matches(found, known, n=1, cutoff=_NEAR) if isinstance(found, str) else []
    return f"; did you mean {nearest[0]}?" if nearest else ""


def _wrong(name: str, expected: str, found: object) -> CallInvalid:
    return CallInvalid(f"{name}: expected {expected}, found {_shown(found)}", path=name, found=found)


def _not_among(name: str, allowed: tuple[str, ...], found: object) -> CallInvalid:
    message = f"{name}: expected one of {', '.join(allowed)}, found {_shown(found)}{_nearest(found, allowed)}"
    return CallInvalid(message, path=name, found=found, allowed=allowed)


def _count(value: object, *, name: str) -> int:
    return whole_count(value, path=name)


def _messages(value: object, *, name: str) -> object:
    if isinstance(value, list | tuple) and value:
        return value
    raise _wrong(name, 'a list such as [{"role": "user", "content": "..."}]', value)


def _pairs(value: object, *, name: str) -> dict[str, Any]:
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return dict(value)
    raise _wrong(name, 'a mapping such as {"team": "search"}', value)


def _keys(value: object) -> list[object]:
    # What is no list becomes one, so that its item is refused by name.
    return list(value) if isinstance(value, list | tuple) and value else [value]


def _by(read: Callable[..., object]) -> PlainValidator:
    """Leave a field to a reader of ours, which judges it under the field's name."""
    return PlainValidator(lambda value, info: read(value, name=info.field_name))


Amount = Annotated[
    Decimal, _by(amount_from), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]})
]
Content = Annotated[Any, WithJsonSchema({"type": "string", "minLength": 1})]
Count = Annotated[int, _by(_count), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MAX_QUANTITY})]
Choice = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]})]
Foreign = Annotated[Any, WithJsonSchema({"type": "object"})]
Images = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": "array",
            "items": {
                "anyOf": [
                    {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2},
                    {"type": "string"},
                    {"type": "object"},
                ]
            },
        }
    ),
]
Instant = Annotated[datetime, _by(instant_from), WithJsonSchema({"type": "string"})]
Label = Annotated[
    str, _by(label_from), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_LABEL_LENGTH})
]
Messages = Annotated[Any, _by(_messages), WithJsonSchema({"type": "array", "items": {"type": "object"}, "minItems": 1})]
Objects = Annotated[Any, WithJsonSchema({"type": "array", "items": {"type": "object"}})]
Pairs = Annotated[
    dict[str, Any], _by(_pairs), WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}})
]
Period = Literal["hour", "day", "week", "month", "total"]
Zone = Annotated[str, PlainValidator(lambda value: zone_from(value).key), WithJsonSchema({"type": "string"})]
GroupKeys = Annotated[
    list[Literal[GROUP_KEYS]],  # type: ignore[valid-type]  # a tuple of names, at run time the same as its names
    BeforeValidator(_keys),
    AfterValidator(lambda keys: tuple(dict.fromkeys(keys))),
]


class Arguments(BaseModel):
    """What an action takes; a field that was not given is None."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class EstimateCost(Arguments):
    """Count the tokens of a text or of messages and price the call before it is made."""

    model: str = Field(description="The model that would be called.")
    text: Content | None = Field(None, description="The prompt; give this, messages or input_tokens.")
    messages: Messages | None = Field(None, description="The messages of a chat, as the provider takes them.")
    input_tokens: Count | None = Field(None, description="The input tokens, where they are known already.")
    tools: Objects | None = Field(None, description="The tools that the call describes, in any provider's shape.")
    tool_choice: Choice | None = Field(None, description="Which tool it may or must call: a word, or as it is sent.")
    response_format: Foreign | None = Field(None, description="The schema of the answer, as it would be sent.")
    images: Images | None = Field(None, description="Images that messages lack: [width, height], data URLs or parts.")
    thinking: bool | None = Field(None, description="Whether extended thinking is on.")
    interface: Literal["chat", "responses", "vertex"] | None = Field(
        None, description="The provider's interface, where the shape does not tell."
    )
    choices: Count | None = Field(None, description="How many answers are asked for; else one.")
    operation: Label | None = Field(None, description="The operation that such calls are booked under, if another.")
    operation_type: str | None = Field(None, description="What the call does, as code_generation: the likely output.")
    provider: str | None = Field(None, description="Who would serve it, where the model's name is not enough.")
    max_output_tokens: Count | None = Field(None, description="The limit that the request would carry.")
    context: Pairs | None = Field(None, description="What decides the rate besides the model, as processing: batch.")
    at: Instant | None = Field(None, description="Price as of this instant (ISO 8601 with a zone) or date; else now.")


class TrackUsage(Arguments):
    """Book what a call used: give input_tokens and output_tokens, or usage, or cost_usd alone."""

    agent_id: Label = Field(description="The agent that made the call.")
    operation: Label = Field(description="What the call was for.")
    model: str = Field(description="The model that was called.")
    input_tokens: Count | None = Field(None, description="All input tokens, cached ones included.")
    output_tokens: Count | None = Field(None, description="All output tokens, reasoning included.")
    cost_usd: Amount | None = Field(None, description="Your own figure in dollars; it is kept beside ours.")
    provider: str | None = Field(None, description="Who served it, where the model's name is not enough.")
    usage: Foreign | None = Field(None, description="The provider's answer or its usage object, instead of counts.")
    cache_read_tokens: Count | None = Field(None, description="The part of input_tokens that was read from a cache.")
    cache_write_tokens: Count | None = Field(None, description="The part of input_tokens that was written to a cache.")
    reasoning_tokens: Count | None = Field(None, description="The part of output_tokens that was reasoning.")
    user_id: Label | None = Field(None, description="The user for whom the call was made.")
    project: Label | None = Field(None, description="The project that the call belongs to.")
    api_key_id: Label | None = Field(None, description="A name of the API key, never the key itself.")
    tags: Pairs | None = Field(None, description="Names and values of your own, as team: search.")
    context: Pairs | None = Field(None, description="What decides the rate besides the model, as processing: batch.")
    idempotency_key: str | None = Field(None, description="A name for this call; a repeat books nothing.")
    at: Instant | None = Field(None, description="When the call was made (ISO 8601 with a zone) or its date; else now.")
    notional: bool | None = Field(None, description="Whether a subscription paid, so that the cost is a list price.")


class GetMetrics(Arguments):
    """Tell how the tool itself fares: operations, errors, caches, limiter, breakers, ledger."""


class CheckBudget(Arguments):
    """Show one budget or all of them, and whether an amount would still fit."""

    name: str | None = Field(None, description="The budget; without it, every budget.")
    budget: str | None = Field(None, description="The same as name.")
    scope_value: str | None = Field(None, description="Whose share of a budget that has one for each value.")
    amount_usd: Amount | None = Field(None, description="Ask whether this amount in dollars would still fit.")


class GetCostBreakdown(Arguments):
    """Share the cost out by provider, model, agent and operation."""

    since: Instant | None = Field(None, description="From this instant (ISO 8601 with a zone) or date on.")
    until: Instant | None = Field(None, description="Before this instant (ISO 8601 with a zone) or date.")
    period: Period | None = Field(None, description="The current period, instead of since and until.")
    timezone: Zone | None = Field(None, description="The IANA zone of days and periods; else the settings'.")
    provider: Label | None = Field(None, description="Only calls to this provider.")
    model: Label | None = Field(None, description="Only calls of this model.")
    agent_id: Label | None = Field(None, description="Only calls of this agent.")
    user_id: Label | None = Field(None, description="Only calls for this user.")
    project: Label | None = Field(None, description="Only calls of this project.")
    api_key_id: Label | None = Field(None, description="Only calls with this API key.")
    operation: Label | None = Field(None, description="Only calls for this operation.")


class GetUsageReport(GetCostBreakdown):
    """Sum cost, calls and tokens by the wanted keys."""

    group_by: GroupKeys | None = Field(None, description="The keys of a row; else provider and model.")


class OptimizePrompt(Arguments):
    """Shorten a prompt and name cheaper models of its class, with what each change saves by count and rate card."""

    model: str = Field(description="The model that the prompt is for.")
    text: Content = Field(description="The prompt; code in it is left as it is.")
    operation_type: str | None = Field(None, description="What the call does, as code_generation: the likely output.")
    provider: str | None = Field(None, description="Who would serve it, where the model's name is not enough.")
    max_output_tokens: Count | None = Field(None, description="The limit that the request would carry.")
    context: Pairs | None = Field(None, description="What decides the rate besides the model, as processing: batch.")
    at: Instant | None = Field(None, description="Price as of this instant (ISO 8601 with a zone) or date; else now.")


class UpdatePricing(Arguments):
    """Show what a price table would change, and accept it with confirm."""

    file: str = Field(description="The path of a price table in the form of our own, or genai-prices for that set.")
    wheel: str | None = Field(None, description="With genai-prices: its wheel, where it is not installed.")
    provider: Label | None = Field(None, description="Take only this provider's prices.")
    confirm: bool | None = Field(None, description="Accept what differs; without it nothing is written.")
    force: bool | None = Field(None, description="Accept prices that move by ten times or more.")


ACTIONS: dict[str, type[Arguments]] = {
    "estimate_cost": EstimateCost,
    "track_usage": TrackUsage,
    "get_metrics": GetMetrics,
    "check_budget": CheckBudget,
    "get_usage_report": GetUsageReport,
    "get_cost_breakdown": GetCostBreakdown,
    "optimize_prompt": OptimizePrompt,
    "update_pricing": UpdatePricing,
}
"""Every action with its arguments, in the order in which messages list them."""


def read_arguments(action: object, given: Mapping[str, object]) -> dict[str, Any]:
    """Return the arguments of an action, read and checked; None counts as not given.

    Raises CallInvalid for an unknown action, an unknown or missing argument, or a
    value of the wrong kind, and what the rooms' own readers raise.
    """
    model = _model(action)
    present = {name: value for name, value in given.items() if value is not None or name not in model.model_fields}
    for name, value in present.items():
        if _unwritable(value):
            raise _wrong(name, "a plain value", value)
    try:
        read = model.model_validate(present)
    except ValidationError as error:
        raise _refusal(str(action), model, error) from None
    return {name: value for name, value in read if value is not None}


def action_schema(action: str) -> dict[str, Any]:
    """Return the JSON schema of an action's arguments, with descriptions, as function calling takes it.

    Raises CallInvalid for an unknown action.
    """
    return {**_model(action).model_json_schema(schema_generator=_WithoutNull), "title": action}


class _WithoutNull(GenerateJsonSchema):
    """Leaves out null, defaults and titles: an argument that need not be given is best not given."""

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    default_schema = nullable_schema

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


def _model(action: object) -> type[Arguments]:
    if not isinstance(action, str) or action not in ACTIONS:
        raise _not_among("action", tuple(ACTIONS), action)
    return ACTIONS[action]


def _refusal(action: str, model: type[Arguments], error: ValidationError) -> InvalidInput:
    """The first mistake as an error of our tree: an unknown name, else all missing ones, else a value."""
    details, known = error.errors(include_url=False), tuple(model.model_fields)
    for detail in details:
        # A name that is no Unicode is found without a place, as the input itself.
        name = str((*detail["loc"], detail["input"])[0])
        if detail["type"] == "extra_forbidden" or not detail["loc"]:
            message = f"{action}: unknown argument {name!r:.60}{_nearest(name, known)}"
            takes = ", ".join(known) or "no arguments"
            return CallInvalid(f"{message}; it takes {takes}", path=name, found=name, allowed=known)
    missing = tuple(str(detail["loc"][0]) for detail in details if detail["type"] == "missing")
    if missing:
        required = tuple(name for name in known if model.model_fields[name].is_required())
        message = f"{action}: missing {', '.join(missing)}; it needs {', '.join(required)}"
        return CallInvalid(message, path=missing[0], found=None, missing=missing, required=required, allowed=known)
    return _wrong_value(details[0])


_EXPECTED = {"bool_type": "True or False", "string_type": "text"}
"""pydantic's own kinds of errors, in our words."""


def _wrong_value(detail: Mapping[str, Any]) -> InvalidInput:
    kind, name, found, about = detail["type"], str(detail["loc"][0]), detail["input"], detail.get("ctx", {})
    ours = about.get("error")
    if isinstance(ours, InvalidInput):
        return ours
    if kind == "literal_error":
        return _not_among(name, tuple(re.findall(r"'(\w+)'", about["expected"])), found)
    # A reader that fails in another way met what Python cannot write into its message.
    return _wrong(name, _EXPECTED.get(kind, "a plain value"), found)
