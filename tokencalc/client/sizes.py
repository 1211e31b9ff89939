"""What a call may cost, known before it goes out: the size that its permits and its hold are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokencalc.client.asking import UNNAMED
from tokencalc.client.steps import Step
from tokencalc.errors import CallInvalid, InvalidInput, PriceUnknown

if TYPE_CHECKING:
    from tokencalc.client.asking import Ask
    from tokencalc.client.guarding import Guard
    from tokencalc.client.steps import Steps
    from tokencalc.estimation import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Tokens of a request: the best count, the highest, what is expected and what is allowed to come out."""

    input_tokens: int = 0
    input_tokens_high: int = 0
    output_tokens: int = 0
    output_tokens_max: int = 0

    def permits(self, ask: Ask) -> dict[str, int]:
        """Return the permits to wait for; without a limit of the caller's, the output that is expected."""
        asked = ask.max_output_tokens
        output = self.output_tokens if asked is None else asked * ask.choices
        return {"requests": 1, "input_tokens": self.input_tokens, "output_tokens": output}


NOTHING_KNOWN = Size()
"""The size of what is known from its answer only."""


def size_of(guard: Guard, ask: Ask) -> Steps[Size]:
    """Count a request.

    What cannot be counted (a file by its id, a conversation that the provider keeps)
    is taken at the whole context window of the model: more cannot go in.
    """
    if not ask.counted:
        return NOTHING_KNOWN
    if ask.model == UNNAMED:
        if guard.hold_usd is None:
            raise CallInvalid(
                "the request names no model (a stored prompt has its own), so what it may cost is not known; name one "
                'in the call, or wrap the client with hold_usd="..." to set a fixed amount aside for each call',
                path="model",
                found=None,
            )
        return NOTHING_KNOWN
    arguments = {"model": ask.model, **ask.estimate_arguments()}
    try:
        found: Estimate = yield Step("book", ("estimate", arguments))
    except InvalidInput as error:
        # The output limit is not known: the window would not help.
        if isinstance(error, CallInvalid) and error.path == "max_output_tokens":
            if guard.hold_usd is None:
                raise _limit_unknown(ask, error) from error
            return NOTHING_KNOWN
        found = yield Step("book", ("estimate", _at_the_window(guard, ask, arguments, error)))
    except PriceUnknown:
        if guard.hold_usd is None:
            raise
        return NOTHING_KNOWN
    if found.unaccounted:
        counted = found
        what = CallInvalid(f"{', '.join(found.unaccounted)} cannot be counted", path="messages", found=None)
        found = yield Step("book", ("estimate", _at_the_window(guard, ask, arguments, what)))
        return Size(
            input_tokens=counted.input_tokens,
            input_tokens_high=found.high,
            output_tokens=found.output_tokens,
            output_tokens_max=found.output_tokens_max,
        )
    return Size(
        input_tokens=found.input_tokens,
        input_tokens_high=found.high,
        output_tokens=found.output_tokens,
        output_tokens_max=found.output_tokens_max,
    )


def _at_the_window(guard: Guard, ask: Ask, arguments: dict[str, Any], error: InvalidInput) -> dict[str, Any]:
    facts = guard.engine.catalog.resolve(ask.model, provider=ask.provider)
    if facts.context_window_tokens is None:
        raise CallInvalid(
            f"{error.message}, and the context window of {facts.provider}/{facts.model} is not known; wrap the client "
            'with hold_usd="..." to set a fixed amount aside for each call',
            path="hold_usd",
            found=None,
        ) from error
    kept = {name: value for name, value in arguments.items() if name not in ask.counted}
    return {**kept, "input_tokens": facts.context_window_tokens}


def _limit_unknown(ask: Ask, error: CallInvalid) -> CallInvalid:
    return CallInvalid(
        f"the output limit of {ask.provider}/{ask.model} is not known; say in the request how many tokens it may "
        'generate, or wrap the client with hold_usd="..." to set a fixed amount aside for each call',
        path=error.path,
        found=None,
    )
