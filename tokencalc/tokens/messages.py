"""Messages in OpenAI's, Anthropic's or Gemini's shape to texts to count, and a list of what nobody can count.

Nothing is dropped in silence: a key or a part that is neither text, nor known to
cost nothing, is named in ``unaccounted`` by its path.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeGuard

from tokencalc.errors import TextInvalid

MESSAGES_MAX = 1_000_000
"""Messages that one request may hold before it is refused."""

UNACCOUNTED_MAX = 50
"""Paths that ``unaccounted`` names before it only says how many more there are."""

_DEPTH_MAX = 16

_LISTS = ("messages", "contents", "input")
_SYSTEMS = ("system", "instructions", "systemInstruction", "system_instruction")
_DEFINITIONS = frozenset(
    {"tools", "functions", "response_format", "text", "toolConfig", "generationConfig", "mcp_servers"}
)
"""Keys of a body whose values the provider writes into the prompt in a form of its own."""

_FREE_KEYS = frozenset(
    {"role", "type", "id", "status", "phase", "index", "object", "call_id", "callId", "tool_call_id", "tool_use_id"}
    | {"cache_control", "prefix", "is_error", "annotations", "logprobs", "toolCallId", "model", "stop_reason"}
    | {"stop_sequence", "usage", "caller", "namespace", "cache_breakpoint"}
)
"""Keys that name, order or steer and reach no prompt as text of their own."""

_CONTENT_KEYS = ("content", "parts", "output", "text", "refusal", "input_text", "output_text")
_CALL_KEYS = ("tool_calls", "function_call", "functionCall", "function", "custom")
_RESULT_TYPES = frozenset({"tool_result", "function_call_output", "custom_tool_call_output"})
_CALL_TYPES = frozenset({"tool_use", "function_call", "custom_tool_call"})


class TextPart(NamedTuple):
    """A text to count, and where it was found."""

    text: str
    path: str


@dataclass(slots=True)
class Request:
    """What was found in messages: texts, how many of each thing that costs tokens of its own, and the rest by name."""

    texts: list[TextPart] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    names: int = 0
    tool_calls: int = 0
    tool_results: int = 0
    omitted: list[str] = field(default_factory=list)
    omitted_count: int = 0

    @property
    def unaccounted(self) -> tuple[str, ...]:
        """Paths of what is in the request and in no count; the last says how many more there are."""
        more = self.omitted_count - len(self.omitted)
        return (*self.omitted, f"{more} more") if more else tuple(self.omitted)

    def omit(self, path: str, what: object) -> None:
        """Note something that cannot be counted."""
        self.omitted_count += 1
        if len(self.omitted) < UNACCOUNTED_MAX:
            self.omitted.append(f"{path}: {what!s:.40}")


def read_messages(messages: object) -> Request:
    """Read messages, or a request's body that holds them; TextInvalid for anything else."""
    request = Request()
    body = _plain(messages)
    if isinstance(body, Mapping):
        body = _read_body(request, body)
    if not _is_list(body) or not 0 < len(body) <= MESSAGES_MAX:
        raise _refused("messages", f"a list of 1 to {MESSAGES_MAX} messages", messages)
    for index, message in enumerate(body):
        _read_message(request, _plain(message), f"messages[{index}]")
    return request


def _read_body(request: Request, body: Mapping[object, object]) -> object:
    """Read what stands beside the messages in a body, and return the messages."""
    found: object = None
    for key, value in body.items():
        if key in _LISTS:
            found = [{"role": "user", "content": value}] if isinstance(value, str) else value
        elif key in _SYSTEMS and value:
            request.roles.append("system")
            _read_content(request, _plain(value), str(key), 0)
        elif key in _DEFINITIONS and value:
            request.omit(str(key), "definitions")
    if found is None:
        raise _refused("messages", f"a list, or a body with one of {', '.join(_LISTS)}", body)
    return _plain(found)


def _read_message(request: Request, message: object, path: str) -> None:
    if isinstance(message, str):
        request.roles.append("user")
        request.texts.append(TextPart(message, path))
        return
    if not isinstance(message, Mapping):
        raise _refused(path, "a message with a role and content", message)
    kind = _kind(message)
    if kind in _CALL_TYPES or kind in _RESULT_TYPES:
        _read_content(request, message, path, 0)
        # OpenAI's Responses and Gemini hold calls and results as items beside the messages.
        request.roles.append("tool" if kind in _RESULT_TYPES else "assistant")
        return
    if kind not in {None, "message"} and "role" not in message:
        request.omit(path, kind)
        return
    role = message.get("role", "user")
    if not isinstance(role, str):
        raise _refused(f"{path}.role", "text", role)
    request.roles.append(role)
    request.tool_results += role in {"tool", "function"}
    _read_fields(request, message, path, 0)


def _read_fields(request: Request, fields: Mapping[object, object], path: str, depth: int) -> None:
    """Read every key of a message or of a part; each is text, a call, free, or omitted by name."""
    for key, raw in fields.items():
        if key in _FREE_KEYS or raw is None or raw is False or (isinstance(raw, (str, list, dict)) and not raw):
            continue
        value, where = _plain(raw), f"{path}.{key}"
        if key in _CONTENT_KEYS:
            _read_content(request, value, where, depth + 1)
        elif key in _CALL_KEYS:
            _read_calls(request, value, where)
        elif key in {"functionResponse", "function_response"} and isinstance(value, Mapping):
            request.tool_results += 1
            _read_json(request, value.get("name"), where)
            _read_json(request, value.get("response"), where)
        elif key == "name" and isinstance(value, str):
            request.names += 1
            request.texts.append(TextPart(value, where))
        else:
            request.omit(where, type(value).__name__)


def _read_content(request: Request, content: object, path: str, depth: int) -> None:
    """Read text, a part, or a list of parts, inside one another to a bounded depth."""
    if depth > _DEPTH_MAX:
        raise TextInvalid(
            f"{path:.200}: parts are nested deeper than {_DEPTH_MAX}", path=path, found=depth, maximum=_DEPTH_MAX
        )
    if isinstance(content, str):
        request.texts.append(TextPart(content, path))
    elif isinstance(content, Mapping):
        _read_part(request, content, path, depth)
    elif _is_list(content):
        for index, part in enumerate(content):
            _read_content(request, _plain(part), f"{path}[{index}]", depth + 1)
    elif content is not None:
        raise _refused(path, "text or parts", content)


def _read_part(request: Request, part: Mapping[object, object], path: str, depth: int) -> None:
    kind = _kind(part)
    if kind in _CALL_TYPES:
        _read_calls(request, part, path)
    elif kind in _RESULT_TYPES:
        request.tool_results += 1
        _read_content(request, _plain(part.get("content", part.get("output"))), path, depth + 1)
    elif kind in {None, "text", "input_text", "output_text", "refusal", "summary_text", "message"}:
        _read_fields(request, part, path, depth)
    else:
        request.omit(path, kind)


def _read_calls(request: Request, calls: object, path: str) -> None:
    """Read one call or a list of them: its name and its arguments are text of the prompt."""
    listed = calls if _is_list(calls) else (calls,)
    for index, raw in enumerate(listed):
        call = _plain(raw)
        where = f"{path}[{index}]"
        if not isinstance(call, Mapping):
            raise _refused(where, "a tool call", call)
        inner = _plain(call.get("function") or call.get("custom") or call)
        if not isinstance(inner, Mapping):
            inner = call
        request.tool_calls += 1
        _read_json(request, inner.get("name"), f"{where}.name")
        for key in ("arguments", "input", "args"):
            _read_json(request, inner.get(key), f"{where}.{key}")


def _read_json(request: Request, value: object, path: str) -> None:
    if value is None:
        return
    if isinstance(value, str):
        request.texts.append(TextPart(value, path))
        return
    try:
        text = json.dumps(_plain(value), ensure_ascii=False, default=reprlib.repr)
    except (TypeError, ValueError, RecursionError) as error:
        raise TextInvalid(f"{path}: cannot be written as JSON ({error!s:.80})", path=path, found=value) from error
    request.texts.append(TextPart(text, path))


def _plain(value: object) -> object:
    """Return an SDK's object as the dictionary that it would send; anything else as it is."""
    if isinstance(value, (str, Mapping, list, tuple, type)):
        return value
    dump = getattr(value, "model_dump", None)
    if not callable(dump):
        return value
    try:
        return dump(exclude_none=True)
    except (TypeError, ValueError) as error:
        raise _refused("messages", "an object that can be dumped", value) from error


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Say whether a value is a list of things, which text, bytes and iterators (read once, or endless) are not."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview))


def _kind(part: Mapping[object, object]) -> str | None:
    kind = part.get("type")
    return kind if isinstance(kind, str) else None


def _refused(path: str, expected: str, found: object) -> TextInvalid:
    shown = reprlib.repr(found)
    return TextInvalid(
        f"{path:.200}: expected {expected}, found {type(found).__name__} {shown:.60}", path=path, found=found
    )
