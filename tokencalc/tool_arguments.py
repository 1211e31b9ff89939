"""The actions of the tool and their arguments: names, kinds, and strict readers.

One table says what each action takes. Arguments are read before anything is
done, so a mistake costs nothing; counts and amounts are judged once more by the
rooms that own them. pydantic is not used here: its import would cost more than a
whole first estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from tokencalc.clock import instant_from
from tokencalc.context import label_from
from tokencalc.errors import CallInvalid, FeatureUnavailable, TextInvalid
from tokencalc.ledger.query import GROUP_KEYS
from tokencalc.ledger.records import DIMENSION_KEYS
from tokencalc.money import decimal_from
from tokencalc.periods import period_kind_from, zone_from
from tokencalc.usage import whole_count

if TYPE_CHECKING:
    from collections.abc import Callable

    Reader = Callable[[object, str], Any]

FILTER_KEYS = DIMENSION_KEYS
"""What a report or a breakdown can be narrowed to."""


def _count(value: object, name: str) -> int:
    return whole_count(value, path=name)


def _amount(value: object, name: str) -> Any:
    amount = decimal_from(value, name=name)
    if amount < 0:
        raise CallInvalid(f"{name}: expected an amount of at least 0, found {amount}", path=name, found=amount)
    return amount


def _instant(value: object, name: str) -> Any:
    return instant_from(value, name=name)


def _label(value: object, name: str) -> str:
    return label_from(value, name=name)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise CallInvalid(f"{name}: expected text, found {_shown(value)}", path=name, found=_shown(value))
    return value


def _content(value: object, name: str) -> str:
    """Text to count; none at all is nearly always a read that failed somewhere."""
    if not _text(value, name):
        raise TextInvalid(f"{name}: expected some text to count, found {_shown(value)}", path=name, found=value)
    return str(value)


def _messages(value: object, name: str) -> Any:
    if not isinstance(value, list | tuple) or not value:
        raise CallInvalid(
            f'{name}: expected a list such as [{{"role": "user", "content": "..."}}], found {_shown(value)}',
            path=name,
            found=_shown(value),
        )
    return value


def _mapping(value: object, name: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise CallInvalid(
            f'{name}: expected a mapping such as {{"team": "search"}}, found {_shown(value)}',
            path=name,
            found=_shown(value),
        )
    return dict(value)


def _any(value: object, name: str) -> object:
    del name
    return value


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise CallInvalid(f"{name}: expected True or False, found {_shown(value)}", path=name, found=_shown(value))
    return value


def _period(value: object, name: str) -> str:
    kind = period_kind_from(value)
    if kind == "run":
        raise CallInvalid(f"{name}: expected hour, day, week, month or total, found 'run'", path=name, found=value)
    return kind


def _zone(value: object, name: str) -> str:
    del name
    zone_from(value)
    return str(value)


def _group_by(value: object, name: str) -> tuple[str, ...]:
    keys = [value] if isinstance(value, str) else value
    if not isinstance(keys, list | tuple) or not keys:
        raise CallInvalid(
            f"{name}: expected some of {', '.join(GROUP_KEYS)}, found {_shown(value)}", path=name, found=_shown(value)
        )
    for key in keys:
        if not isinstance(key, str) or key not in GROUP_KEYS:
            raise CallInvalid(
                f"{name}: expected some of {', '.join(GROUP_KEYS)}, found {_shown(key)}{_nearest(key, GROUP_KEYS)}",
                path=name,
                found=_shown(key),
            )
    return tuple(dict.fromkeys(keys))


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 256:  # noqa: PLR2004
        return "a huge integer"
    return f"{value!r:.60}"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an action: how it is read, and whether it must be there."""

    read: Reader
    required: bool = False


_PERIOD_ARGUMENTS = {
    "since": Argument(_instant),
    "until": Argument(_instant),
    "period": Argument(_period),
    "timezone": Argument(_zone),
}
_FILTER_ARGUMENTS = {name: Argument(_label) for name in FILTER_KEYS}

ACTIONS: dict[str, dict[str, Argument]] = {
    "estimate_cost": {
        "model": Argument(_text, required=True),
        "text": Argument(_content),
        "messages": Argument(_messages),
        "operation_type": Argument(_text),
        "provider": Argument(_text),
        "max_output_tokens": Argument(_count),
        "context": Argument(_mapping),
        "at": Argument(_instant),
    },
    "track_usage": {
        "agent_id": Argument(_label, required=True),
        "operation": Argument(_label, required=True),
        "model": Argument(_text, required=True),
        "input_tokens": Argument(_count),
        "output_tokens": Argument(_count),
        "cost_usd": Argument(_amount),
        "provider": Argument(_text),
        "usage": Argument(_any),
        "cache_read_tokens": Argument(_count),
        "cache_write_tokens": Argument(_count),
        "reasoning_tokens": Argument(_count),
        "user_id": Argument(_label),
        "project": Argument(_label),
        "api_key_id": Argument(_label),
        "tags": Argument(_mapping),
        "context": Argument(_mapping),
        "idempotency_key": Argument(_text),
        "at": Argument(_instant),
        "notional": Argument(_flag),
    },
    "get_metrics": {},
    "check_budget": {
        "name": Argument(_text),
        "budget": Argument(_text),
        "scope_value": Argument(_text),
        "amount_usd": Argument(_amount),
    },
    "get_usage_report": {"group_by": Argument(_group_by), **_PERIOD_ARGUMENTS, **_FILTER_ARGUMENTS},
    "get_cost_breakdown": {**_FILTER_ARGUMENTS, **_PERIOD_ARGUMENTS},
    "optimize_prompt": {},
    "update_pricing": {},
}
"""Every action with its arguments, in the order in which messages list them."""

NOT_YET = ("optimize_prompt", "update_pricing")
"""Actions that later versions will answer."""


def read_arguments(action: object, given: Mapping[str, object]) -> dict[str, Any]:
    """Return the arguments of an action, read and checked; None counts as not given.

    Raises CallInvalid for an unknown action, an unknown or missing argument, or a
    value of the wrong kind, and FeatureUnavailable for the actions to come.
    """
    if not isinstance(action, str) or action not in ACTIONS:
        raise CallInvalid(
            f"action: expected one of {', '.join(ACTIONS)}, found {_shown(action)}{_nearest(action, ACTIONS)}",
            path="action",
            found=_shown(action),
            allowed=tuple(ACTIONS),
        )
    if action in NOT_YET:
        raise FeatureUnavailable(f"{action} is not available in this version of tokencalc", feature=action)
    known = ACTIONS[action]
    for name in given:
        if name not in known:
            raise _unknown_argument(action, name, known)
    present = {name: value for name, value in given.items() if value is not None}
    missing = tuple(name for name, argument in known.items() if argument.required and name not in present)
    if missing:
        raise _missing(action, missing, known)
    return {name: known[name].read(value, name) for name, value in present.items()}


def _unknown_argument(action: str, name: str, known: Mapping[str, Argument]) -> CallInvalid:
    allowed = ", ".join(known) if known else "no arguments"
    return CallInvalid(
        f"{action}: unknown argument {name!r:.60}{_nearest(name, known)}; it takes {allowed}",
        path=name,
        found=name,
        allowed=tuple(known),
    )


def _missing(action: str, missing: tuple[str, ...], known: Mapping[str, Argument]) -> CallInvalid:
    required = tuple(name for name, argument in known.items() if argument.required)
    return CallInvalid(
        f"{action}: missing {', '.join(missing)}; it needs {', '.join(required)}",
        path=missing[0],
        found=None,
        missing=missing,
        required=required,
        allowed=tuple(known),
    )


def _nearest(found: object, known: Mapping[str, object] | tuple[str, ...]) -> str:
    nearest = get_close_matches(found, list(known), n=1, cutoff=0.5) if isinstance(found, str) else []
    return f"; did you mean {nearest[0]}?" if nearest else ""
