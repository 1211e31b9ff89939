"""Messages in OpenAI's, Anthropic's or Gemini's shape to turns to count, and a list of what nobody can count.

Nothing is dropped in silence: a key or a part that is neither text, nor known to
cost nothing, is named in ``unaccounted`` by its path.
"""

from __future__ import annotations

from collections.abc import Mapping

from tokencalc.errors import TextInvalid
from tokencalc.tokens.bodies import (
    BESIDE,
    CHOICES,
    DEPTH_MAX,
    FREE,
    KEPT,
    LISTS,
    NESTED,
    OUTPUT_LIMITS,
    SCHEMA_KEYS,
    SYSTEMS,
    unread_reasoning,
)
from tokencalc.tokens.images import IMAGE_TYPES, read_image, read_inline
from tokencalc.tokens.reading import as_json, is_list, kind_of, mapping_of, plain, refused, text_of
from tokencalc.tokens.request import UNACCOUNTED_MAX, PartKind, Request, TextPart

__all__ = ["MESSAGES_MAX", "UNACCOUNTED_MAX", "TextPart", "read_messages"]

MESSAGES_MAX = 1_000_000
"""Messages that one request may hold before it is refused."""

_DEPTH_MAX = 16

_FREE_KEYS = frozenset(
    {"role", "type", "id", "status", "phase", "index", "object", "call_id", "callId", "tool_call_id", "tool_use_id"}
    | {"cache_control", "prefix", "is_error", "annotations", "logprobs", "toolCallId", "model", "stop_reason"}
    | {"stop_sequence", "usage", "caller", "namespace", "cache_breakpoint"}
)
"""Keys that name, order or steer and reach no prompt as text of their own."""

_CONTENT_KEYS = ("content", "parts", "output", "text", "refusal", "input_text", "output_text")
_CALL_KEYS = ("tool_calls", "function_call", "functionCall", "function", "custom")
_RESULT_KEYS = ("functionResponse", "function_response")
_INLINE_KEYS = ("inlineData", "inline_data")
_RESULT_TYPES = frozenset({"tool_result", "function_call_output", "custom_tool_call_output"})
_CALL_TYPES = frozenset({"tool_use", "function_call", "custom_tool_call"})
_TEXT_TYPES = frozenset({None, "text", "input_text", "output_text", "refusal", "summary_text", "message"})
_ROLES = {"model": "assistant", "developer": "system", "function": "tool"}
"""Other names of the roles that are counted alike."""


def read_messages(messages: object) -> Request:
    """Read messages, or a request's body that holds them; TextInvalid for anything else."""
    request = Request()
    body = plain(messages)
    if isinstance(body, Mapping):
        body = _read_body(request, body)
    if not is_list(body) or not 0 < len(body) <= MESSAGES_MAX:
        raise refused("messages", f"a list of 1 to {MESSAGES_MAX} messages", messages)
    for index, message in enumerate(body):
        _read_message(request, plain(message), f"messages[{index}]")
    return request


def _read_body(request: Request, body: Mapping[object, object]) -> object:
    """Read what stands beside the messages in a body, and return the messages."""
    listed = [key for key in LISTS if body.get(key) is not None]
    if len(listed) != 1:
        raise refused("messages", f"a list, or a body with one of {', '.join(LISTS)}", body)
    request.beside["list"] = listed[0]
    _read_beside(request, body, "", 0)
    found = body[listed[0]]
    if isinstance(found, str):
        return [{"role": "user", "content": found}]
    return [found] if isinstance(found := plain(found), Mapping) else found


def _read_beside(request: Request, body: Mapping[object, object], where: str, depth: int) -> None:
    """Read each key but the messages: text, a description of the call, free, or omitted by name."""
    for key, raw in body.items():
        path = f"{where}{key!s:.80}"
        if key in LISTS and not where:
            continue
        if key in FREE or key in OUTPUT_LIMITS or key in CHOICES or _is_nothing(raw):
            continue
        if key in SYSTEMS:
            request.begin("system")
            _read_content(request, plain(raw), path, 0)
        elif key in BESIDE and not (key == "text" and isinstance(raw, str)):
            request.beside.setdefault(str(key), raw)
        elif key in SCHEMA_KEYS:
            request.beside.setdefault("generationConfig", {key: raw})
        elif key in NESTED and depth < DEPTH_MAX and isinstance(inner := plain(raw), Mapping):
            _read_beside(request, inner, f"{path}.", depth + 1)
        elif key == "reasoning":
            for what in unread_reasoning(raw):
                request.omit(path, what)
        else:
            request.omit(path, "kept by the provider" if key in KEPT else "may hold input")


def _is_nothing(value: object) -> bool:
    # SDKs have objects for "not given", which are false; a number is never nothing.
    return value is False or (not isinstance(value, (int, float)) and not value)


def _read_message(request: Request, message: object, path: str) -> None:
    if isinstance(message, str):
        request.begin("user")
        request.add(message, path)
        return
    if not isinstance(message, Mapping):
        raise refused(path, "a message with a role and content", message)
    kind = kind_of(message)
    if kind in _CALL_TYPES or kind in _RESULT_TYPES:
        # OpenAI's Responses holds calls and results as items beside the messages.
        request.begin("tool" if kind in _RESULT_TYPES else "assistant")
        request.beside.setdefault("items", kind)
        _read_content(request, message, path, 0)
        return
    if kind not in {None, "message"} and "role" not in message:
        request.omit(path, kind)
        return
    role = message.get("role", "user")
    if not isinstance(role, str):
        raise refused(f"{path}.role", "text", role)
    turn = request.begin(_ROLES.get(role, role))
    if turn.role == "tool":
        _begin_result(request, message)
    _read_fields(request, message, path, 0)
    request.result_depth = 0
    if turn.results and turn.role != "tool" and not turn.texts("text") and not turn.images:
        # Anthropic and Gemini send results as the user's; they are counted as the same everywhere.
        turn.role = "tool"


def _begin_result(request: Request, result: Mapping[object, object]) -> None:
    """Note a result and the tool that it comes from; what is read until the caller ends it is the result."""
    turn = request.turns[-1]
    turn.results += 1
    identity = text_of(result, "tool_call_id", "tool_use_id", "call_id", "id")
    name = text_of(result, "name") or request.call_names.get(identity, "")
    if name:
        turn.result_names.append(name)
    request.result_depth += 1


def _read_fields(request: Request, fields: Mapping[object, object], path: str, depth: int) -> None:
    """Read every key of a message or of a part; each is text, a call, free, or omitted by name."""
    for key, raw in fields.items():
        if key in _FREE_KEYS or _is_nothing(raw):
            continue
        value, where = plain(raw), f"{path}.{key}"
        if key in _CONTENT_KEYS:
            _read_content(request, value, where, depth + 1)
        elif key in _CALL_KEYS:
            _read_calls(request, value, where)
        elif key in _RESULT_KEYS and isinstance(value, Mapping):
            _begin_result(request, value)
            _add_json(request, value.get("response"), where, "result")
            request.result_depth -= 1
        elif key == "name" and isinstance(value, str):
            if not request.result_depth:
                request.add(value, where, "name")
        elif key in _INLINE_KEYS and isinstance(value, Mapping) and (image := read_inline(value, where)):
            request.turns[-1].images.append(image)
        else:
            request.omit(where, type(value).__name__)


def _read_content(request: Request, content: object, path: str, depth: int) -> None:
    """Read text, a part, or a list of parts, inside one another to a bounded depth."""
    if depth > _DEPTH_MAX:
        raise TextInvalid(
            f"{path:.200}: parts are nested deeper than {_DEPTH_MAX}", path=path, found=depth, maximum=_DEPTH_MAX
        )
    if isinstance(content, str):
        request.add(content, path)
    elif isinstance(content, Mapping):
        _read_part(request, content, path, depth)
    elif is_list(content):
        for index, part in enumerate(content):
            _read_content(request, plain(part), f"{path}[{index}]", depth + 1)
    elif content is not None:
        raise refused(path, "text or parts", content)


def _read_part(request: Request, part: Mapping[object, object], path: str, depth: int) -> None:
    kind = kind_of(part)
    if kind in _CALL_TYPES:
        _read_calls(request, part, path)
    elif kind in _RESULT_TYPES:
        _begin_result(request, part)
        _read_content(request, plain(part.get("content", part.get("output"))), path, depth + 1)
        request.result_depth -= 1
    elif kind in _TEXT_TYPES:
        _read_fields(request, part, path, depth)
    elif kind in IMAGE_TYPES and (image := read_image(part, path)):
        request.turns[-1].images.append(image)
    else:
        request.omit(path, kind)


def _read_calls(request: Request, calls: object, path: str) -> None:
    """Read one call or a list of them: its name and its arguments are text of the prompt."""
    listed = calls if is_list(calls) else (calls,)
    for index, raw in enumerate(listed):
        call = plain(raw)
        where = f"{path}[{index}]"
        if not isinstance(call, Mapping):
            raise refused(where, "a tool call", call)
        inner = mapping_of(call, "function", "custom") or call
        request.turns[-1].calls += 1
        name = inner.get("name")
        _add_json(request, name, f"{where}.name", "call")
        identity = text_of(call, "call_id", "id")
        if identity and isinstance(name, str):
            request.call_names[identity] = name
        for key in ("arguments", "input", "args"):
            _add_json(request, inner.get(key), f"{where}.{key}", "arguments")


def _add_json(request: Request, value: object, path: str, kind: PartKind) -> None:
    if value is None:
        return
    text = value if isinstance(value, str) else as_json(value, path)
    request.add(text, path, kind)
