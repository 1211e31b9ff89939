"""Write the sample week: logs in the shape of Claude Code's, made up by us, with the traps that real ones hold.

Everything comes from one seed, so the same script always writes the same bytes;
a test compares them with what the package ships. The week is 2026-11-09 to
2026-11-15, with four projects, sub-agents, and each trap that
``tokencalc/importers/claude_code.py`` knows.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

SEED = 20261109
MONDAY = datetime(2026, 11, 9, tzinfo=UTC)
FOLDER = Path(__file__).parent.parent / "tokencalc" / "importers" / "sample"

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Project:
    """One project of the week: who works on it, with which model, how much, and for how long caches live."""

    name: str
    model: str
    helper: str
    sessions_by_day: tuple[int, ...]
    turns: int
    cache_hours: int
    context_tokens: int


PROJECTS = (
    Project("shop-api", "claude-opus-5", "claude-haiku-5-5", (2, 1, 2, 1, 1, 0, 0), 13, 0, 21_000),
    Project("docs-site", "claude-sonnet-5", "claude-haiku-5-5", (1, 1, 0, 1, 1, 0, 1), 10, 0, 14_000),
    Project("data-pipeline", "claude-sonnet-4-5", "claude-haiku-4-5", (1, 0, 1, 1, 1, 1, 0), 11, 1, 18_000),
    Project("mobile-app", "claude-haiku-5-5", "claude-haiku-5-5", (0, 1, 1, 0, 1, 0, 0), 9, 0, 11_000),
)
TOOLS = ("Read", "Edit", "Bash", "Grep", "Write")


class Dice:
    """Chance that is the same on every machine: only ``random()``, whose sequence Python promises to keep."""

    def __init__(self, seed: int) -> None:
        """Start at a seed."""
        self._random = random.Random(seed)  # noqa: S311  # sample data, no secret

    def between(self, low: int, high: int) -> int:
        """Return a whole number from low to high, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def one_of(self, items: tuple[str, ...]) -> str:
        """Return one of the items."""
        return items[self.between(0, len(items) - 1)]

    def happens(self, percent: int) -> bool:
        """Return True in so many cases of a hundred."""
        return self.between(1, 100) <= percent


def hex_name(*parts: object) -> str:
    """Return 32 hexadecimal digits that follow from the parts."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:32]


def uuid_name(*parts: object) -> str:
    """Return a name in the shape of a UUID that follows from the parts."""
    digits = hex_name(*parts)
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}"


@dataclass(slots=True)
class Session:
    """One conversation as it is written down, line by line."""

    project: Project
    session_id: str
    at: datetime
    dice: Dice
    model: str
    agent_id: str | None = None
    lines: list[Line] = field(default_factory=list)
    cached_tokens: int = 0
    has_request_ids: bool = True

    @property
    def path(self) -> str:
        """Where the agent keeps this conversation."""
        folder = f"projects/-home-dev-{self.project.name}"
        if self.agent_id is None:
            return f"{folder}/{self.session_id}.jsonl"
        return f"{folder}/{self.session_id}/subagents/agent-{self.agent_id}.jsonl"

    def _line(self, kind: str, message: Line, **more: Any) -> Line:
        count = len(self.lines)
        place = (self.session_id, self.agent_id)
        line = {
            "parentUuid": self.lines[-1]["uuid"] if self.lines else None,
            "isSidechain": self.agent_id is not None,
            "cwd": f"/home/dev/{self.project.name}",
            "sessionId": self.session_id,
            "version": "2.4.12",
            "type": kind,
            "message": message,
            "uuid": uuid_name("line", *place, count),
            "timestamp": self.at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.at.microsecond // 1000:03d}Z",
        }
        if self.agent_id is not None:
            line["agentId"] = self.agent_id
        line.update(more)
        self.lines.append(line)
        return line

    def person_says(self, text: str) -> None:
        """Write a line of the person, or of a tool's result, without usage."""
        self.at += timedelta(seconds=self.dice.between(2, 40))
        self._line("user", {"role": "user", "content": text})

    def answer(self, *, usage: Line | None = None, model: str | None = None) -> str:
        """Write one answer of the model, a line for each content block with a growing usage; return its message id."""
        number = len(self.lines)
        message_id = f"msg_01{hex_name('message', self.session_id, self.agent_id, number)[:22]}"
        final = usage or self.usual_usage()
        blocks = self.dice.between(1, 3)
        request = {"requestId": f"req_011{hex_name('request', message_id)[:21]}"} if self.has_request_ids else {}
        for block in range(blocks):
            self.at += timedelta(milliseconds=self.dice.between(700, 6_000))
            last = block == blocks - 1
            shown = final if last else {**final, "output_tokens": 1 + final["output_tokens"] * block // blocks}
            content = _text_block() if block == 0 else self._tool_block(message_id, block)
            message = {
                "id": message_id,
                "type": "message",
                "role": "assistant",
                "model": model or self.model,
                "content": [content],
                "stop_reason": ("tool_use" if blocks > 1 else "end_turn") if last else None,
                "usage": shown,
            }
            self._line("assistant", message, **request)
        return message_id

    def usual_usage(self) -> Line:
        """Return a usage as it looks in the middle of a conversation: a long cached prompt, a short new part."""
        fresh = self.dice.between(3, 12)
        written = self.dice.between(280, 2_600) if self.cached_tokens else self.project.context_tokens
        usage = usage_of(
            fresh, self.cached_tokens, written, self.dice.between(60, 1_150), hours=self.project.cache_hours
        )
        self.cached_tokens += written
        return usage

    def _tool_block(self, message_id: str, block: int) -> Line:
        tool_id = f"toolu_{hex_name('tool', message_id, block)[:16]}"
        return {"type": "tool_use", "id": tool_id, "name": self.dice.one_of(TOOLS), "input": {}}

    def bytes(self) -> bytes:
        """Return the file's content."""
        return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in self.lines)


def _text_block() -> Line:
    return {"type": "text", "text": "(sample answer)"}


def usage_of(fresh: int, cached: int, written: int, output: int, *, hours: int = 0, **more: Any) -> Line:
    """Return a usage object; ``hours`` is 1 for a cache that lives an hour, 0 for five minutes."""
    return {
        "input_tokens": fresh,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": 0 if hours else written,
            "ephemeral_1h_input_tokens": written if hours else 0,
        },
        "output_tokens": output,
        "service_tier": "standard",
        **more,
    }


def converse(session: Session, turns: int) -> None:
    """Let a person and the model take turns."""
    session.person_says("(sample request)")
    for _ in range(turns):
        session.answer()
        if session.dice.happens(55):
            session.person_says("(sample tool result)")
        else:
            session.at += timedelta(seconds=session.dice.between(5, 90))


def subagent_of(parent: Session, number: int) -> Session:
    """Return a sub-agent's conversation that starts while its parent works."""
    agent_id = hex_name("agent", parent.session_id, number)[:8]
    return Session(parent.project, parent.session_id, parent.at, parent.dice, parent.project.helper, agent_id)


def week() -> list[Session]:
    """Return every conversation of the week, with sub-agents, in order of their start; no traps yet."""
    dice = Dice(SEED)
    sessions = []
    for day in range(7):
        for project in PROJECTS:
            for number in range(project.sessions_by_day[day]):
                start = MONDAY + timedelta(days=day, hours=8 + 3 * number, minutes=dice.between(0, 170))
                session = Session(project, uuid_name(project.name, day, number), start, dice, project.model)
                converse(session, project.turns + dice.between(-3, 4))
                sessions.append(session)
                if dice.happens(40):
                    helper = subagent_of(session, 0)
                    converse(helper, dice.between(3, 6))
                    sessions.append(helper)
    return sessions


def of_project(sessions: list[Session], name: str) -> list[Session]:
    """Return the main conversations of one project."""
    return [session for session in sessions if session.project.name == name and session.agent_id is None]


def add_unusual_answers(sessions: list[Session]) -> None:
    """Add answers with a usage that is priced differently: fast, in one region, with a search, compacted, unknown."""
    shop, docs = of_project(sessions, "shop-api"), of_project(sessions, "docs-site")
    pipeline, mobile = of_project(sessions, "data-pipeline"), of_project(sessions, "mobile-app")
    shop[0].answer(usage=usage_of(9, 30_000, 900, 420, speed="fast"))
    shop[1].answer(usage=usage_of(7, 26_500, 1_200, 380, inference_geo="us"))
    searching = usage_of(2_400, 18_000, 0, 610, server_tool_use={"web_search_requests": 3, "web_fetch_requests": 1})
    docs[0].answer(usage=searching)
    message = {"type": "message", **usage_of(12, 9_000, 640, 280)}
    compaction = {"type": "compaction", **usage_of(160, 0, 41_000, 900)}
    docs[1].answer(usage=usage_of(12, 9_000, 640, 280, iterations=[compaction, message]))
    nested_only = usage_of(5, 22_000, 1_800, 450, hours=1)
    del nested_only["cache_creation_input_tokens"]
    pipeline[0].answer(usage=nested_only)
    for _ in range(3):
        mobile[1].answer(model="claude-orion-preview", usage=usage_of(8, 12_000, 700, 350))


def add_copies(sessions: list[Session]) -> None:
    """Write calls down again, as agents do: a sub-agent replays its parent, a resumed session copies the old one."""
    shop, docs = of_project(sessions, "shop-api"), of_project(sessions, "docs-site")
    replaying = next(session for session in sessions if session.agent_id is not None)
    parent = next(session for session in sessions if session.session_id == replaying.session_id)
    answers = [line for line in parent.lines if line["type"] == "assistant"][:6]
    replay = [
        {**line, "isSidechain": True, "agentId": replaying.agent_id, "requestId": f"req_replay_{number}"}
        for number, line in enumerate(answers)
    ]
    replaying.lines[:0] = replay
    resumed = docs[-1]
    resumed.lines[:0] = [{**line, "sessionId": resumed.session_id} for line in docs[-2].lines[:10]]
    for line in shop[2].lines:
        line.pop("requestId", None)


def add_errors(sessions: list[Session]) -> None:
    """Write what is no call: an error of the API that the agent wrote itself."""
    shop = of_project(sessions, "shop-api")
    nothing = usage_of(0, 0, 0, 0)
    for session in shop[3:5]:
        session.answer(model="<synthetic>", usage=nothing)
        session.lines[-1]["isApiErrorMessage"] = True


def sample_files() -> dict[str, bytes]:
    """Return every file of the sample by its path below the sample's folder."""
    sessions = week()
    add_unusual_answers(sessions)
    add_copies(sessions)
    add_errors(sessions)
    files = {session.path: session.bytes() for session in sessions}
    cut = of_project(sessions, "mobile-app")[0]
    # The last line of a session that was killed while it wrote.
    files[cut.path] += (
        b'{"parentUuid":null,"isSidechain":false,"type":"assistant","message":{"id":"msg_01cut","usage":{"inp'
    )
    return files


def main() -> None:
    """Write the sample below the package, and say how much it is."""
    files = sample_files()
    for path, content in files.items():
        target = FOLDER / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    lines = sum(content.count(b"\n") for content in files.values())
    print(f"{len(files)} files, {lines} lines, {sum(map(len, files.values()))} bytes in {FOLDER}")


if __name__ == "__main__":
    main()
