"""What OpenAI adds around messages, in chat completions and in Responses, as fitted on recorded requests.

Plain messages are exact. Tools are rendered (`tokencalc.tokens.typescript`) behind the first system message in
chat, and apart in Responses. Figures here are whole tokens of the vocabulary, found one by one: with the right form
at hand, hundreds of requests leave no remainder. What remains is in the reach.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencalc.tokens.fitted import REACH
from tokencalc.tokens.layout import UNITS, Layout, Reach, group_of
from tokencalc.tokens.typescript import HEADER, Renderer

if TYPE_CHECKING:
    from tokencalc.tokens.definitions import Definitions, Json, Schema
    from tokencalc.tokens.request import Request, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Tokens of one generation and interface.

    ``call`` is for a call and its result together, beside twice the tool's name and the arguments; ``headed`` for
    parameters that are titled or described as a whole; ``follows`` for a call behind the assistant's text, and a
    result behind a result. ``exact`` forms have added nothing else to plain text on any recording that we fitted on.
    """

    request: int = 3
    message: int = 4
    assistant: int = 0
    name: int = 1
    call: int = 5
    parallel: int = 32
    parallel_more: int = 10
    follows: int = 0
    tools: int = -1
    forced: int = 16
    schema: int = 7
    schema_alone: int = 0
    schema_system: int = 0
    system: int = 0
    joined: bool = True
    inline: bool = True
    headed: int = 0
    exact: bool = False


CHAT = Form(schema_alone=4, schema_system=2, exact=True)
# Now and then Responses bills 18 tokens more for a plain text, and nothing in the request says why: it is not exact.
RESPONSES = Form(call=6, parallel=0, follows=-3, tools=-3, joined=False)
CHAT_REASONING = Form(
    message=3,
    assistant=2,
    call=12,
    parallel=0,
    tools=81,
    forced=0,
    inline=False,
    headed=2,
    schema_alone=4,
    schema_system=2,
)
RESPONSES_REASONING = Form(
    message=3, assistant=2, call=13, parallel=0, tools=2, forced=-1, joined=False, inline=False, headed=2
)
GPT_OSS = Form(request=67, message=4, assistant=1, call=10, parallel=0, tools=-7, forced=0, inline=False, system=27)


FORMS = {
    "chat": CHAT,
    "responses": RESPONSES,
    "chat_reasoning": CHAT_REASONING,
    "responses_reasoning": RESPONSES_REASONING,
    "gpt_oss": GPT_OSS,
}

_REASONING = re.compile(r"o[1-9]|gpt-[5-9]")


def form_name(tokenizer: str | None, model: str | None, interface: str | None) -> str:
    """Return the name of the form that a model and an interface have."""
    if tokenizer == "gpt_oss":
        return "gpt_oss"
    name = re.sub(r"^.*/", "", model or "")
    chosen = "responses" if interface == "responses" else "chat"
    return f"{chosen}_reasoning" if _REASONING.match(name) else chosen


def lay_out_openai(request: Request, definitions: Definitions, name: str) -> Layout:
    """Lay a request out in the form of that name."""
    layout, form = Layout(), FORMS[name]
    added = form.request
    tools, added_tools = _tools(definitions, form)
    added += added_tools
    before: str | None = None
    for turn in request.turns:
        added += _turn(layout, turn, form, before)
        joined = tools if form.joined and turn.role == "system" else ""
        tools = "" if joined else tools
        _texts(layout, turn, joined)
        before = turn.role
    if tools:
        layout.add(tools, "tools")
        added += form.message if form.joined else 0
    if definitions.schema is not None:
        added += _schema(layout, definitions, definitions.schema, form, "system" in request.roles)
    layout.around = added * UNITS
    group = group_of(request, definitions)
    layout.method = "exact" if form.exact and group == "plain" and not request.unaccounted else "modelled"
    layout.reach = Reach(0, 0) if layout.method == "exact" else Reach(*REACH[name][group])
    return layout


def _tools(definitions: Definitions, form: Form) -> tuple[str, int]:
    """Return the tools as text, and what they cost beside it."""
    if not definitions.tools or definitions.choice.kind == "none":
        return "", 0
    renderer = Renderer(inline=form.inline)
    text = HEADER + renderer.tools(definitions.tools)
    choice = definitions.choice
    forced = choice.kind == "tool" and (choice.named or len(definitions.tools) == 1)
    # An object inside another costs one token less than its text.
    headed = sum(bool(tool.parameters.get("title") or tool.parameters.get("description")) for tool in definitions.tools)
    return text, form.tools + forced * form.forced + headed * form.headed - renderer.nested


def _turn(layout: Layout, turn: Turn, form: Form, before: str | None) -> int:
    """Add a turn's calls and names to the layout; return the tokens around the turn."""
    added = form.message + form.name * len(turn.texts("name"))
    if turn.role == "system":
        added += form.system
    if turn.role == "assistant" and not turn.calls:
        added += form.assistant
    if before == turn.role and (turn.role == "tool" or (turn.role == "assistant" and turn.calls)):
        added += form.follows
    several = turn.calls > 1 and form.parallel
    if several:
        added += form.parallel + (turn.calls - 2) * form.parallel_more
    else:
        added += form.call * turn.calls
    for part in turn.parts:
        if part.kind == "call":
            layout.add(part.text, part.path, UNITS if several else 2 * UNITS)
        elif part.kind == "arguments":
            layout.add(_compact(part.text), part.path)
        elif part.kind == "name":
            layout.add(part.text, part.path)
    return added


def _texts(layout: Layout, turn: Turn, tools: str) -> None:
    """Add what a turn says; tools behind a system message are counted together with its end, as they merge with it."""
    parts = turn.texts("text", "result")
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        layout.add(f"{part.text}\n\n{tools}" if tools and last else part.text, part.path)
    if tools and not parts:
        layout.add(tools, "tools")


def _schema(layout: Layout, definitions: Definitions, schema: Schema, form: Form, has_system: bool) -> int:  # noqa: FBT001
    layout.add(schema.name or "response", "response_format.name")
    layout.add(
        json.dumps(_without_rules(schema.schema, 0), ensure_ascii=False, separators=(",", ":")), "response_format"
    )
    if definitions.tools:
        return form.schema
    return form.schema + form.schema_system + (0 if has_system else form.schema_alone)


_RULES = frozenset({"required", "additionalProperties"})
_DEPTH_MAX = 64


def _without_rules(schema: Json, depth: int) -> Json:
    """Return a schema without what strict output implies: every property is required, and no other is allowed."""
    if depth > _DEPTH_MAX:
        return schema
    if isinstance(schema, list):
        return [_without_rules(one, depth + 1) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _without_rules(inner, depth + 1) for name, inner in value.items()}
        if key == "properties" and isinstance(value, dict)
        else _without_rules(value, depth + 1)
        for key, value in schema.items()
        if key not in _RULES
    }


def _compact(arguments: str) -> str:
    """Return arguments as the model is shown them, without spaces between."""
    if not arguments.lstrip().startswith(("{", "[")):
        return arguments
    try:
        return json.dumps(json.loads(arguments), ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return arguments
