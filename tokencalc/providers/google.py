"""Google's wire formats: Gemini's ``usageMetadata`` in camelCase and snake_case, and the Interactions API's usage.

``promptTokenCount`` includes cached tokens; ``candidatesTokenCount`` excludes
thoughts; tool-use prompts are outside the prompt. Lists by modality may leave
text out, so text is what the other modalities leave over of the count. Searches
are billed beside the tokens.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from tokencalc.counts import MAX_QUANTITY, remainder, whole_count
from tokencalc.providers.dialect import with_more
from tokencalc.providers.grounding import COUNT, counted, searches_of
from tokencalc.providers.partition import INPUT_MODALITIES, input_leaves, least_overlap, output_leaves
from tokencalc.providers.payload import (
    payload_int,
    payload_sections,
    payload_text,
    require_any,
    said,
    total_notes,
)
from tokencalc.providers.survey import Counters, survey
from tokencalc.usage import Meter, Usage

if TYPE_CHECKING:
    from tokencalc.providers.payload import Body


@dataclass(frozen=True, slots=True)
class Names:
    """What one spelling of the format calls its counts, and its lists by modality."""

    at: str
    prompt: str
    candidates: str
    thoughts: str
    cached: str
    tool_prompt: str
    total: str
    prompt_list: str
    candidates_list: str
    cached_list: str
    tool_prompt_list: str
    item_count: str

    def counters(self) -> Counters:
        """Return every counter of the spelling."""
        counts = (self.prompt, self.candidates, self.thoughts, self.cached, self.tool_prompt)
        lists = (self.prompt_list, self.candidates_list, self.cached_list, self.tool_prompt_list)
        mapped = {f"{self.at}.{name}" for name in counts} | {f"{self.at}.{name}[].{self.item_count}" for name in lists}
        # Vertex writes enumerations as numbers when its messages are dumped as they are.
        enumerations = {f"{self.at}.trafficType", f"{self.at}.traffic_type"}
        enumerations |= {f"{self.at}.{name}[].modality" for name in lists}
        if self.at == "usage":
            mapped.add(f"{self.at}.{COUNT}[].count")
        return Counters(frozenset(mapped), frozenset(enumerations | {f"{self.at}.{self.total}"}))


CAMEL = Names(
    at="usageMetadata",
    prompt="promptTokenCount",
    candidates="candidatesTokenCount",
    thoughts="thoughtsTokenCount",
    cached="cachedContentTokenCount",
    tool_prompt="toolUsePromptTokenCount",
    total="totalTokenCount",
    prompt_list="promptTokensDetails",
    candidates_list="candidatesTokensDetails",
    cached_list="cacheTokensDetails",
    tool_prompt_list="toolUsePromptTokensDetails",
    item_count="tokenCount",
)
SNAKE = Names(
    at="usage_metadata",
    prompt="prompt_token_count",
    candidates="candidates_token_count",
    thoughts="thoughts_token_count",
    cached="cached_content_token_count",
    tool_prompt="tool_use_prompt_token_count",
    total="total_token_count",
    prompt_list="prompt_tokens_details",
    candidates_list="candidates_tokens_details",
    cached_list="cache_tokens_details",
    tool_prompt_list="tool_use_prompt_tokens_details",
    item_count="token_count",
)
INTERACTION = Names(
    at="usage",
    prompt="total_input_tokens",
    candidates="total_output_tokens",
    thoughts="total_thought_tokens",
    cached="total_cached_tokens",
    tool_prompt="total_tool_use_tokens",
    total="total_tokens",
    prompt_list="input_tokens_by_modality",
    candidates_list="output_tokens_by_modality",
    cached_list="cached_tokens_by_modality",
    tool_prompt_list="tool_use_tokens_by_modality",
    item_count="tokens",
)
SPELLINGS = (CAMEL, SNAKE, INTERACTION)
# The Live API calls the candidates the response.
_LIVE = {
    CAMEL: replace(CAMEL, candidates="responseTokenCount", candidates_list="responseTokensDetails"),
    SNAKE: replace(SNAKE, candidates="response_token_count", candidates_list="response_tokens_details"),
}

_COUNTERS = {names: names.counters() for names in (*SPELLINGS, *_LIVE.values())}
_PLAIN_KEYS = {
    names: frozenset(value for key, value in asdict(names).items() if key not in {"at", "item_count"})
    | {"serviceTier", "service_tier", "trafficType", "traffic_type"}
    for names in SPELLINGS
}
_INPUT, _CACHE_READ, _OUTPUT, _REASONING = Meter.INPUT, Meter.CACHE_READ, Meter.OUTPUT, Meter.REASONING
_MODALITY_BY_NUMBER = {1: "text", 2: "image", 3: "video", 4: "audio", 5: "document"}
# Vertex calls a tier a type of traffic.
_TIER_BY_TRAFFIC = {"ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority"}
_TRAFFIC_BY_NUMBER = {1: "ON_DEMAND", 2: "PROVISIONED_THROUGHPUT"}


def read(usage: Body, body: Body, names: Names) -> Usage:
    """Read a Google usage in the given spelling; the quick way for plain text, else the careful one."""
    tokens = read_plain(usage, body, names) or read_any(usage, body, names)
    if "candidates" not in body and COUNT not in usage:
        return tokens
    leaves, notes = counted(usage, tokens.model) if COUNT in usage else searches_of(body, tokens.model)
    return with_more(tokens, leaves=leaves, notes=notes) if leaves or notes else tokens


def read_plain(usage: Body, body: Body, names: Names) -> Usage | None:
    """Read whole counts of text only, with a total that agrees; None when the usage is any other."""
    get = usage.get
    prompt, candidates, thoughts = get(names.prompt), get(names.candidates, 0), get(names.thoughts, 0)
    cached, tool_prompt, total = get(names.cached, 0), get(names.tool_prompt, 0), get(names.total)
    if not (
        int is type(prompt) is type(candidates) is type(thoughts) is type(cached) is type(tool_prompt) is type(total)
        and usage.keys() <= _PLAIN_KEYS[names]
    ):
        return None
    if (
        prompt < cached or cached < 0 or candidates < 0 or thoughts < 0 or tool_prompt < 0
        or total != prompt + candidates + thoughts + tool_prompt or total > MAX_QUANTITY
        or type(get("trafficType")) is int or type(get("traffic_type")) is int
    ):  # fmt: skip
        return None
    lists = (get(names.prompt_list), get(names.candidates_list), get(names.cached_list), get(names.tool_prompt_list))
    for items in lists:
        if items is not None and not _only_text(items, names.item_count):
            return None
    return Usage.from_leaves(
        (
            (_INPUT, prompt - cached + tool_prompt),
            (_CACHE_READ, cached),
            (_OUTPUT, candidates),
            (_REASONING, thoughts),
        ),
        model=_model(body),
        service_tier=_tier(usage, body),
        ignored=_text_only_paths(names, tuple([len(items) if items else 0 for items in lists])),
    )


@lru_cache(maxsize=256)
def _text_only_paths(names: Names, lengths: tuple[int, ...]) -> tuple[str, ...]:
    """Return the paths of what says text again: the total, and each item of lists of text only."""
    keys = (names.prompt_list, names.candidates_list, names.cached_list, names.tool_prompt_list)
    items = [
        _item_path(names, key, index) for key, length in zip(keys, lengths, strict=True) for index in range(length)
    ]
    return tuple(sorted([f"{names.at}.{names.total}", *items]))


def _item_path(names: Names, key: str, index: int) -> str:
    return f"{names.at}.{key}[{index}].{names.item_count}"


def _only_text(items: object, count: str) -> bool:
    if type(items) is not list:
        return False
    for item in items:
        if type(item) is not dict or len(item) != 2 or item.get("modality") != "TEXT":  # noqa: PLR2004  # two fields
            return False
        number = item.get(count)
        if type(number) is not int or not 0 <= number <= MAX_QUANTITY:
            return False
    return True


def read_any(usage: Body, body: Body, names: Names) -> Usage:
    """Read any Google usage; raises UsageInvalid with the path of what cannot be."""
    live = _LIVE.get(names, names)
    if usage.get(names.candidates) is None and (live.candidates in usage or live.candidates_list in usage):
        names = live
    prompt = payload_int(usage, names.prompt, at=names.at)
    candidates = payload_int(usage, names.candidates, at=names.at)
    thoughts = payload_int(usage, names.thoughts, at=names.at)
    cached = said(payload_int(usage, names.cached, at=names.at))
    tool_prompt = said(payload_int(usage, names.tool_prompt, at=names.at))
    total = payload_int(usage, names.total, at=names.at)
    # A blocked or unfinished answer has no candidates, and zeros are left out: only a missing prompt is worth a note.
    notes = require_any({names.prompt: prompt, names.candidates: candidates, names.total: total}, at=names.at)
    restated: list[str] = []
    prompt_by, cached_by, tool_by, output_by = (
        _by_modality(usage, key, names, restated)
        for key in (names.prompt_list, names.cached_list, names.tool_prompt_list, names.candidates_list)
    )
    total_in, total_out = said(prompt) + tool_prompt, said(candidates) + said(thoughts)
    unsaid: tuple[str, ...] = ()
    if cached and prompt_by and not usage.get(names.cached_list):
        cached_by = least_overlap(said(prompt), cached, 0, prompt_by)
        listed = ", ".join(prompt_by)
        unsaid = (f"{names.at} does not say which cached tokens are {listed}; taken to be text where the sum allows",)
    leaves = input_leaves(
        total_in,
        whole=f"{names.prompt} + {names.tool_prompt}",
        cached=cached,
        cached_name=names.cached,
        writes={},
        by_modality={kind: prompt_by.get(kind, 0) + tool_by.get(kind, 0) for kind in prompt_by | tool_by},
        cached_by_modality=cached_by,
    ) + output_leaves(
        total_out,
        whole=f"{names.candidates} + {names.thoughts}",
        reasoning=said(thoughts),
        audio=output_by.get("audio", 0),
        image=output_by.get("image", 0),
        video=output_by.get("video", 0),
    )
    remainder(said(prompt), names.prompt, **{names.cached: cached})
    found = survey(usage, _COUNTERS[names], at=names.at)
    sums = total_notes(
        total,
        total_in + total_out,
        path=f"{names.at}.{names.total}",
        rule="prompt + candidates + thoughts + tool prompt",
    )
    return Usage.from_leaves(
        leaves,
        model=_model(body),
        service_tier=_tier(usage, body),
        ignored=tuple(sorted(found.ignored + restated)),
        notes=(*(note for note in notes if names.prompt in note), *unsaid, *sums, *found.notes),
    )


def _by_modality(usage: Body, key: str, names: Names, restated: list[str]) -> dict[str, int]:
    """Return counts of modalities with meters of their own; text items are restated by the rest."""
    counts: dict[str, int] = {}
    for index, item in enumerate(payload_sections(usage, key, at=names.at)):
        count = item.get(names.item_count)
        if count is None:
            continue
        number = whole_count(count, path=f"{names.at}.{key}[{index}].{names.item_count}")
        modality = _modality(item.get("modality"))
        if modality in INPUT_MODALITIES:
            counts[modality] = counts.get(modality, 0) + number
        else:
            restated.append(_item_path(names, key, index))
    return counts


def _modality(value: object) -> str:
    if isinstance(value, str):
        # SDKs hand out enumerations that are texts; their value is what counts.
        return str(getattr(value, "value", value)).lower()
    return _MODALITY_BY_NUMBER.get(value, "unspecified") if isinstance(value, int) else "unspecified"


def _model(body: Body) -> str | None:
    model = payload_text(body, "modelVersion") or payload_text(body, "model_version") or payload_text(body, "model")
    return None if model is None else model.rpartition("models/")[2] or None


def _tier(usage: Body, body: Body) -> str | None:
    """Return the served tier in the provider's own word."""
    for holder, key in _TIER_KEYS:
        value = (usage if holder == "usage" else body).get(key)
        if isinstance(value, str) and value:
            word = str(getattr(value, "value", value))
            return _TIER_BY_TRAFFIC.get(word, word)
        if type(value) is int:
            return _TRAFFIC_BY_NUMBER.get(value)
    return None


_TIER_KEYS = (
    ("usage", "serviceTier"),
    ("usage", "service_tier"),
    ("body", "service_tier"),
    ("usage", "trafficType"),
    ("usage", "traffic_type"),
)
