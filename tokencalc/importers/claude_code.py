"""Claude Code's session logs: one record for each answer of the model, however often it was written down.

A log has a line for each content block, so the same usage stands there several
times, growing while the answer streams; resumed sessions copy old lines, and
sub-agents replay their parent's messages under new request ids. A call is told
by its message id (and its request id, where one message id is used twice);
lines of the main conversation win over replays, then the largest total wins.

Logs do not say who paid. Most coding agents run on a subscription, so calls are
notional unless the caller says otherwise. The text of messages is never kept.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from tokencalc.clock import instant_from
from tokencalc.errors import MoneyInvalid, TimeInvalid, UsageInvalid
from tokencalc.importers.lines import bounded_lines, parse_object
from tokencalc.importers.records import ImportedCall, ImportSummary
from tokencalc.money import decimal_from
from tokencalc.providers.registry import read_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from decimal import Decimal

    from tokencalc.importers.found import LogFile
    from tokencalc.usage import Usage

KIND = "claude_code"
AGENT = "claude-code"
SUBAGENT = "claude-code/subagent"
OPERATION = "coding"

_SYNTHETIC = "<synthetic>"
_PROGRESS_BYTES = 1024 * 1024
_NAME_MAX = 200


class _Line(NamedTuple):
    """What is kept of one line until all lines are read."""

    at: datetime
    request_id: str | None
    is_sidechain: bool
    is_agent: bool
    total: int
    model: str
    usage: Usage
    session: str | None
    project: str | None
    cost_usd: Decimal | None
    source: str


class ClaudeCodeLogs:
    """The calls of a set of log files; iterate once, then read ``summary``.

    Memory grows with the number of calls, not with the size of the files,
    because a later file may hold the better line of an earlier call.
    """

    def __init__(
        self, files: Iterable[LogFile], *, notional: bool = True, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Read ``files``; ``progress`` is called with the bytes read and the bytes in all."""
        self._files = tuple(files)
        self._notional = notional
        self._progress = progress
        self._reported_bytes = 0
        self._calls: dict[str, dict[tuple[bool, str | None], _Line]] = {}
        self.summary = ImportSummary()

    def __iter__(self) -> Iterator[ImportedCall]:
        """Yield each call once, ordered by time and then by key, whatever the order of the files."""
        self._calls, self.summary, self._reported_bytes = {}, ImportSummary(), 0
        for file in self._files:
            self._read_file(file)
        self._report(force=True)
        calls = [
            self._call(message_id, line, rank)
            for message_id in self._calls
            for rank, line in enumerate(self._kept(message_id))
        ]
        self._calls = {}
        calls.sort(key=lambda call: (call.at, call.idempotency_key))
        self.summary.calls = len(calls)
        yield from calls

    def _read_file(self, file: LogFile) -> None:
        try:
            with file.path.open("rb") as stream:
                self.summary.files += 1
                project = None
                for number, (length, line) in enumerate(bounded_lines(stream), start=1):
                    self.summary.lines += 1
                    self.summary.bytes_read += length
                    project = self._read_line(file, number, line, project)
                    self._report()
        except OSError as error:
            self.summary.skip("unreadable_files", f"{file.below_root}: cannot be read: {error.strerror}")

    def _report(self, *, force: bool = False) -> None:
        read = self.summary.bytes_read
        if self._progress is not None and (force or read - self._reported_bytes >= _PROGRESS_BYTES):
            self._reported_bytes = read
            # Files may have grown since they were found.
            self._progress(read, max(read, sum(file.size_bytes for file in self._files)))

    def _read_line(self, file: LogFile, number: int, line: bytes | None, project: str | None) -> str | None:
        """Take one line in; return the project for lines after it that do not name theirs."""
        place = f"{file.below_root}:{number}"
        if line is None:
            self.summary.skip("huge_lines", f"{place}: line is too long, skipped")
            return project
        text = line.strip()
        if not text:
            return project
        if b'"usage"' not in text and text.startswith(b"{") and text.endswith(b"}"):
            self.summary.skip("non_usage")
            return project
        fields = parse_object(text)
        if fields is None:
            self.summary.skip("malformed_lines", f"{place}: not a JSON object (a partial or damaged line), skipped")
            return project
        project = _last_part(fields.get("cwd")) or project
        self._take(fields, file, number, project)
        return project

    def _take(self, fields: dict[str, Any], file: LogFile, number: int, project: str | None) -> None:
        place = f"{file.below_root}:{number}"
        message = fields.get("message")
        is_answer = fields.get("type", "assistant") == "assistant"  # old files have no type
        if not is_answer or not isinstance(message, dict) or message.get("usage") is None:
            self.summary.skip("non_usage")
            return
        if message.get("model") == _SYNTHETIC:
            self.summary.skip("synthetic")
            return
        if fields.get("isApiErrorMessage") is True:
            self.summary.skip("api_errors")
            return
        model = _text(message.get("model"))
        if model is None:
            self.summary.skip(
                "bad_records", f"{place}: message.model: expected a name, found {message.get('model')!r:.40}"
            )
            return
        try:
            at = instant_from(fields.get("timestamp"), name="timestamp")
            usage = read_usage({"type": "message", "model": model, "usage": message["usage"]}, "anthropic")
        except (TimeInvalid, UsageInvalid) as error:
            self.summary.skip("bad_records", f"{place}: {error.message}")
            return
        is_sidechain = fields.get("isSidechain") is True
        line = _Line(
            at=at,
            request_id=_text(fields.get("requestId")),
            is_sidechain=is_sidechain,
            is_agent=is_sidechain or "subagents" in file.shown.split("/"),
            total=usage.input_tokens + usage.output_tokens,
            model=model,
            usage=usage,
            session=_text(fields.get("sessionId")),
            project=project,
            cost_usd=self._claimed(fields.get("costUSD"), place),
            source=f"{file.shown}:{number}",
        )
        self._merge(_text(message.get("id")) or _fingerprint(fields, message), line)

    def _claimed(self, cost: object, place: str) -> Decimal | None:
        """Return what an old log claims the call cost; a damaged claim is noted, the call is kept."""
        if cost is None:
            return None
        try:
            return decimal_from(cost, name="costUSD")
        except MoneyInvalid as error:
            self.summary.skip("bad_claims", f"{place}: {error.message}; the call is kept without it")
            return None

    def _merge(self, message_id: str, line: _Line) -> None:
        """Keep the better of two lines about the same call; replays share one place, whatever their request ids."""
        lines = self._calls.setdefault(message_id, {})
        identity = (line.is_sidechain, None if line.is_sidechain else line.request_id)
        if identity in lines:
            self.summary.skip("duplicates")
            line = min(lines[identity], line, key=_preference)
        lines[identity] = line

    def _kept(self, message_id: str) -> list[_Line]:
        """Return the calls of one message id, the earliest first.

        Replays fall away where the original is there; a line without a request id
        is the earliest call's. Decided when all is read, so that no order of files matters.
        """
        lines = self._calls[message_id]
        originals = [line for (is_sidechain, _), line in lines.items() if not is_sidechain]
        kept = sorted(originals or lines.values(), key=lambda line: (line.at, line.request_id or ""))
        unnamed = [line for line in kept if line.request_id is None]
        named = [line for line in kept if line.request_id is not None]
        if unnamed and named:
            kept = [min(named[0], *unnamed, key=_preference), *named[1:]]
        self.summary.skipped["duplicates"] += len(lines) - len(kept)
        return kept

    def _call(self, message_id: str, line: _Line, rank: int) -> ImportedCall:
        # The first call of a message id is known by it alone, so that a replay that was imported
        # before its original books the same key.
        key = (KIND, message_id) if rank == 0 else (KIND, message_id, line.request_id or "")
        return ImportedCall(
            provider="anthropic" if "claude" in line.model.lower() else None,
            model=line.model,
            usage=line.usage,
            at=line.at,
            idempotency_key=f"{KIND}:{_digest(*key)}",
            agent_id=SUBAGENT if line.is_agent else AGENT,
            operation=OPERATION,
            project=line.project,
            tags={"session": line.session} if line.session else {},
            notional=self._notional,
            source=line.source,
            cost_usd=line.cost_usd,
        )


def _preference(line: _Line) -> tuple[int, datetime, str]:
    return (-line.total, line.at, line.source)


def _digest(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _fingerprint(fields: dict[str, Any], message: dict[str, Any]) -> str:
    """Return an identity for an answer without an id: when it was, by whom, and what it used."""
    return f"no-id:{_digest(fields.get('timestamp'), message.get('model'), message.get('usage'))}"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _NAME_MAX and value.isprintable() else None


def _last_part(folder: object) -> str | None:
    """Return the name of the working folder, of whatever system, and nothing of where it lies."""
    if not isinstance(folder, str):
        return None
    parts = [part for part in folder.replace("\\", "/").split("/") if part]
    return _text(parts[-1]) if parts else None
