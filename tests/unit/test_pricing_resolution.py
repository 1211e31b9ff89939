"""Which model a name means: every way to write one, and the names that stay unknown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tokencalc.errors import CallInvalid, PriceUnknown
from tokencalc.pricing.catalog import Catalog
from tokencalc.pricing.layers import ImportedLayer, PackagedLayer

CATALOG = Catalog.packaged()

# provider and model expected, then the name, then the provider that was given.
KNOWN = [
    ("openai", "gpt-4o", "gpt-4o", None),
    ("openai", "gpt-4o", "GPT-4o", None),
    ("openai", "gpt-4o", " gpt-4o ", None),
    ("openai", "gpt-4o", "gpt-4o", "OpenAI"),
    ("openai", "gpt-4o", "openai/gpt-4o", None),
    ("openai", "gpt-4o", "openai/gpt-4o", "openai"),
    ("openai", "gpt-4", "gpt-4-0613", None),
    ("openai", "gpt-4o-2024-08-06", "gpt-4o-2024-11-20", None),
    ("openai", "gpt-3.5-turbo", "gpt-3.5-turbo-0125", None),
    ("openai", "gpt-5.6-sol", "gpt-5.6", None),
    ("openai", "gpt-6.1-sol", "gpt-6.1-sol-2026-09-29", None),
    ("openai", "ft:gpt-4o-mini", "ft:gpt-4o-mini-2024-07-18:acme::abc123", None),
    ("openai", "text-embedding-3-small", "text-embedding-3-small", None),
    ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5", None),
    ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", None),
    ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5@20250929", None),
    ("anthropic", "claude-sonnet-4-5", "anthropic/claude-4.5-sonnet-20250929", None),
    ("anthropic", "claude-sonnet-4-0", "claude-sonnet-4-20250514", None),
    ("anthropic", "claude-3-5-sonnet", "claude-3.5-sonnet@abc", "anthropic"),
    ("anthropic", "claude-3-haiku", "claude-3-haiku-20240307", None),
    ("anthropic", "claude-3-5-haiku", "claude-3-5-haiku-latest", None),
    ("anthropic", "claude-opus-5", "claude-opus-5", "claude"),
    ("google", "gemini-2.5-flash", "models/gemini-2.5-flash", None),
    ("google", "gemini-2.5-flash", "gemini/gemini-2.5-flash", None),
    ("google", "gemini-2.5-flash", "publishers/google/models/gemini-2.5-flash", "google_genai"),
    ("google", "gemini-2.5-pro", "gemini-2.5-pro-preview-05-06", "google-gla"),
    ("google", "gemini-1.5-flash-8b", "gemini-1.5-flash-8b", None),
    ("google", "claude-sonnet-4-5", "claude-sonnet-4-5@20250929", "google-vertex"),
    ("groq", "openai/gpt-oss-120b", "openai/gpt-oss-120b", "groq"),
    ("groq", "openai/gpt-oss-120b", "groq/openai/gpt-oss-120b", None),
    ("groq", "llama-3.3-70b-versatile", "llama-3.3-70b-versatile", None),
    ("mistral", "mistral-large-2512", "mistral-large-latest", None),
    ("mistral", "mistral-large-2512", "mistralai/mistral-large-latest", None),
    # Imported: by a bare name of the vendor's own, by the seller, by the seller in front.
    ("deepseek", "deepseek-chat", "deepseek-chat", None),
    ("xai", "grok-4.5", "grok-4.5", "x-ai"),
    ("cohere", "command-r-plus", "command-r-plus", None),
    ("perplexity", "sonar-deep-research", "sonar-deep-research", None),
    ("bedrock", "openai.gpt-5.5", "openai.gpt-5.5", "aws"),
    ("openrouter", "anthropic/claude-sonnet-4.6", "anthropic/claude-4.6-sonnet-20260217", "openrouter"),
    ("openrouter", "openai/gpt-4o", "openrouter/openai/gpt-4o", None),
    # A path that is the vendor's name means the vendor, whoever else sells it under that name.
    ("openai", "gpt-4o", "openai/gpt-4o", None),
    ("deepseek", "deepseek-chat", "deepseek/deepseek-chat", None),
    # Vertex is Google's list first, and has models that only it sells.
    ("google", "gemini-2.5-flash", "gemini-2.5-flash", "vertex"),
    ("vertex", "mistral-medium-3", "mistral-medium-3", "vertex"),
]

UNKNOWN = [
    ("claude-sonnet-9", None, r"nearest known: claude-sonnet-"),
    ("claude-opus-5-9", None, r"no price is known for model 'claude-opus-5-9'"),
    ("gpt-4o-2099-01-01", None, r"no price is known"),
    ("gpt-4oo", None, r"nearest known: gpt-4o"),
    ("gpt-4o", "anthropic", r"no price is known for model 'gpt-4o' of anthropic"),
    ("gpt-4o", "azur", r"no prices for provider 'azur'; the nearest known: azure"),
    ("azur/gpt-4o", None, r"no price is known"),
    ("llama-3.3-70b-instruct", None, r"is sold by .* at their own prices; say which with provider="),
    ("openai/gpt-9", None, r"no price is known"),
    ("anthropic/claude-sonnet-4.6:batch", None, r"no price is known"),
    ("openai/claude-sonnet-4-5", None, r"no price is known"),
    ("groq/gpt-4o", "openai", r"no price is known"),
    ("claude-sonnet-4-5-20259999", None, r"no price is known"),
    ("<synthetic>", None, r"no price is known"),
    ("/", None, r"no price is known"),
    ("ft:", None, r"no price is known"),
]

IMPOSSIBLE = [
    ("gpt-4o\x00", "control characters are refused"),
    ("gpt-4o\n", "control characters are refused"),
    ("\u202egpt-4o", "control characters are refused"),
    ("", "expected the name of a model"),
    ("  ", "expected the name of a model"),
    ("x" * 201, "expected at most 200 characters"),
    (None, "expected the name of a model"),
    (5, "expected the name of a model"),
    (["gpt-4o"], "expected the name of a model"),
    ({"model": "gpt-4o"}, "expected the name of a model"),
]


@pytest.mark.parametrize(("provider", "model", "name", "given"), KNOWN)
def test_a_name_means_one_model(provider: str, model: str, name: str, given: str | None) -> None:
    facts = CATALOG.resolve(name, provider=given)

    assert (provider, model) == (facts.provider, facts.model)


@pytest.mark.parametrize(("name", "provider", "message"), UNKNOWN)
def test_an_unknown_name_never_gets_a_siblings_price(name: str, provider: str | None, message: str) -> None:
    with pytest.raises(PriceUnknown, match=message):
        CATALOG.resolve(name, provider=provider)


def test_an_unknown_name_is_refused_the_same_way_the_second_time() -> None:
    for _ in range(2):
        with pytest.raises(PriceUnknown, match="claude-sonnet-77") as caught:
            CATALOG.resolve("claude-sonnet-77")

        assert len(caught.value.nearest) == 3
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(("name", "message"), IMPOSSIBLE)
def test_what_cannot_be_a_name_is_refused(name: Any, message: str) -> None:
    with pytest.raises(CallInvalid, match=message):
        CATALOG.resolve(name)
    with pytest.raises(CallInvalid, match=message):
        CATALOG.timeline(name)


@pytest.mark.parametrize("provider", ["", "open\nai", 7, ["openai"]])
def test_what_cannot_be_a_provider_is_refused(provider: Any) -> None:
    with pytest.raises(CallInvalid, match="provider: expected"):
        CATALOG.timeline("gpt-4o", provider)
    with pytest.raises(CallInvalid, match="provider: expected"):
        CATALOG.resolve("gpt-4o", provider=provider)


def test_a_name_that_moves_means_the_model_of_the_day() -> None:
    autumn = datetime(2025, 11, 1, tzinfo=UTC)

    assert CATALOG.resolve("mistral-large-latest", at=autumn).model == "mistral-large-2411"
    assert CATALOG.resolve("mistral-large-latest").model == "mistral-large-2512"


def test_facts_carry_what_counting_and_the_worst_case_need() -> None:
    facts = CATALOG.resolve("gpt-4o")

    assert (facts.tokenizer, facts.encoding, facts.encoding_verified) == ("openai", "o200k_base", True)
    assert (facts.context_window_tokens, facts.output_limit_tokens) == (128_000, 16_384)
    assert facts.mode == "text"


@pytest.mark.parametrize(
    ("tokenizer", "encoding", "verified", "name"),
    [
        ("openai", "cl100k_base", True, "gpt-4"),
        ("openai", "cl100k_base", True, "gpt-3.5-turbo"),
        ("openai", "cl100k_base", True, "text-embedding-3-large"),
        ("openai", "o200k_base", True, "o3"),
        ("openai", "o200k_base", True, "gpt-5.6-luna"),
        ("openai", "o200k_base", False, "gpt-6-sol"),
        ("claude", None, False, "claude-opus-4-6"),
        ("claude_4_7", None, False, "claude-opus-4-7"),
        ("claude_4_7", None, False, "claude-sonnet-5"),
        ("gemini", "gemma_4", True, "gemini-2.5-flash"),
        ("gemini", None, False, "gemini-1.5-flash"),
        ("mistral", None, False, "mistral-small-latest"),
        ("llama", "llama_3", True, "llama-3.3-70b-versatile"),
        ("llama", None, False, "meta-llama/llama-4-scout-17b-16e-instruct"),
        ("gpt_oss", "o200k_base", True, "openai/gpt-oss-20b"),
        ("qwen", "qwen_3", True, "qwen/qwen3-32b"),
    ],
)
def test_each_family_names_its_tokenizer(
    tokenizer: str | None, encoding: str | None, *, verified: bool, name: str
) -> None:
    facts = CATALOG.resolve(name)

    assert (tokenizer, encoding, verified) == (facts.tokenizer, facts.encoding, facts.encoding_verified)


def test_what_one_seller_lacks_is_still_found_at_another_who_shares_its_list() -> None:
    """Vertex is looked up in Google's list first; that Google has a name not must not be remembered of Vertex."""
    catalog = Catalog((PackagedLayer(), ImportedLayer()))
    with pytest.raises(PriceUnknown, match="of google"):
        catalog.resolve("claude-sonnet-5", provider="google")
    assert catalog.resolve("claude-sonnet-5", provider="vertex").provider == "vertex"
