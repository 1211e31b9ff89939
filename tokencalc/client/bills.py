"""What a call has used, from what came back: a body, or a stream as far as it was read.

Figures that the provider said are taken as they are. Where the last one never came,
the prompt is taken as it was counted or said, and the output as it was received;
the usage is then marked interrupted, with a note that says what was estimated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencalc.client.steps import Step
from tokencalc.client.tally import generated
from tokencalc.errors import UsageInvalid
from tokencalc.providers.registry import read_usage
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from tokencalc.client.asking import Ask
    from tokencalc.client.capturing import Capture
    from tokencalc.client.sizes import Size
    from tokencalc.client.steps import Steps
    from tokencalc.client.tally import Tally


def usage_of_body(ask: Ask, size: Size, capture: Capture) -> Steps[Usage]:
    """Return the usage of a whole answer; what it does not say is estimated."""
    body = capture.payload
    try:
        return read_usage(body, ask.provider)
    except UsageInvalid as error:
        said = error.message
    text = "".join(generated(body)) if isinstance(body, dict) else ""
    output = yield from _count(ask, text)
    return _estimated(size.input_tokens, output, f"the answer's usage could not be read ({said:.200})")


def usage_unread(size: Size, why: str) -> Usage:
    """Return what was expected of a call whose answer came, and was not read as far as its usage."""
    return _estimated(size.input_tokens, size.output_tokens, why)


def usage_of_stream(ask: Ask, size: Size, tally: Tally, how: str) -> Steps[Usage | None]:
    """Return the usage of a stream that ended in some way; None where the provider only said that it will not."""
    usage: Usage | None = None
    said = ""
    try:
        usage = read_usage(tally.events, ask.provider)
    except UsageInvalid as error:
        said = f" ({error.message:.200})"
    if tally.failure is not None and not tally.is_answered and (usage is None or not usage.leaves):
        return None
    if usage is not None and not usage.is_interrupted and usage.leaves:
        return usage
    received = yield from _count(ask, tally.text)
    if usage is None or not usage.leaves:
        return _estimated(size.input_tokens, received, f"the stream was {how} before it said its usage{said}")
    if usage.parts:
        return usage
    return _completed(usage, size, received, how)


def _completed(usage: Usage, size: Size, received: int, how: str) -> Usage:
    """Return the figures that were said until then, with the prompt and the output that they leave out."""
    leaves = list(usage.leaves)
    if usage.input_tokens == 0 and size.input_tokens:
        leaves.append((Meter.INPUT, size.input_tokens))
    missing = received - usage.output_tokens
    if missing > 0:
        said = usage.quantity(Meter.OUTPUT)
        leaves = [leaf for leaf in leaves if leaf[0] != Meter.OUTPUT]
        leaves.append((Meter.OUTPUT, said + missing))
    note = f"estimated: the stream was {how}; the output is what had been received"
    return with_note(usage.replace(leaves=leaves, is_interrupted=True), note)


def with_note(usage: Usage, note: str) -> Usage:
    """Return the usage with one note more."""
    return usage.replace(notes=(*usage.notes, note))


def _estimated(input_tokens: int, output_tokens: int, why: str) -> Usage:
    return Usage.from_leaves(
        ((Meter.INPUT, input_tokens), (Meter.OUTPUT, output_tokens)),
        notes=(f"estimated: {why}; the prompt is as counted before the call, the output as far as it was received",),
        is_interrupted=True,
    )


def _count(ask: Ask, text: str) -> Steps[int]:
    if not text:
        return 0
    counted = yield Step("book", ("count", {"model": ask.model, "text": text}))
    return int(counted.tokens)
