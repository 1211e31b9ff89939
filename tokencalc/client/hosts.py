"""Whose prices a client pays, told by the host that it talks to: many providers speak OpenAI's format."""

from __future__ import annotations

from urllib.parse import urlsplit

_HOSTS = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "xai",
    "api.perplexity.ai": "perplexity",
    "api.cerebras.ai": "cerebras",
    "api.fireworks.ai": "fireworks",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "api.deepinfra.com": "deepinfra",
    "api.sambanova.ai": "sambanova",
    "api.moonshot.ai": "moonshot",
    "api.cohere.ai": "cohere",
    "openrouter.ai": "openrouter",
    "generativelanguage.googleapis.com": "google",
}
_SUFFIXES = {".openai.azure.com": "azure", ".services.ai.azure.com": "azure"}


def provider_of_url(url: object, default: str) -> str:
    """Return the provider of a base URL; the default for a host that nobody knows, a proxy for example."""
    host = (urlsplit(str(url)).hostname or "").lower()
    by_suffix = next((name for suffix, name in _SUFFIXES.items() if host.endswith(suffix)), default)
    return _HOSTS.get(host, by_suffix)
