"""anthropic 2.x: Messages, beta ones too, are held; counting tokens, files and batches pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokencalc.client.asking import read_messages
from tokencalc.client.stainless import Dialect, guard_client

if TYPE_CHECKING:
    from tokencalc.client.guarding import Guard

_PROVIDERS = {"AnthropicBedrock": "bedrock", "AnthropicBedrockMantle": "bedrock", "AnthropicVertex": "vertex"}

DIALECT = Dialect(
    sdk="anthropic",
    # The beta's paths carry a query, which is cut off before they are looked up.
    routes={"/v1/messages": read_messages},
    provider_of=lambda client: _PROVIDERS.get(type(client).__name__.removeprefix("Async"), "anthropic"),
)


def wrap_anthropic(client: Any, guard: Guard) -> Any:
    """Return a guarded copy of an Anthropic or AsyncAnthropic client."""
    return guard_client(client, guard, DIALECT)
