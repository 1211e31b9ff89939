"""Streams whose events carry the answer as it stands: OpenAI's Responses, Google's Interactions.

The whole answer is in the last one of them, with its usage, in the shape of the unstreamed body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokencalc.providers.failures import failure, shown
from tokencalc.providers.streams.merge import Folded, cut_note, facts, merge, missing, section, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokencalc.providers.payload import Body


@dataclass(frozen=True, slots=True)
class Snapshots:
    """One such format: where an event says its kind and holds the answer, and which kinds are the end."""

    kind_name: str
    prefixes: tuple[str, ...]
    holder: str
    ends: frozenset[str]
    last: str

    def speaks(self, event: Body) -> bool:
        """Tell whether an event is of this format."""
        return text(event, self.kind_name).startswith(self.prefixes)

    def fold(self, events: Sequence[Body]) -> Folded:
        """Return the body of each answer; UsageMissing where none of them says a usage."""
        answers: dict[str, dict[str, Any]] = {}
        ended: set[str] = set()
        notes: list[str] = []
        error: str | None = None
        for event in events:
            kind, answer = text(event, self.kind_name), section(event, self.holder)
            if answer:
                name = text(answer, "id")
                usage = merge(section(answers.get(name, {}), "usage"), section(answer, "usage"))
                answers[name] = facts(answers.get(name, {}), answer, without=("usage",)) | {"usage": usage}
                ended |= {name} if kind in self.ends else set()
            found = failure(answer) if kind == f"{self.holder}.failed" else failure(event)
            error = error if found is None else found
            if found is not None and kind in self.ends:
                notes.append(f"the answer ended with an error{shown(found)}")
        said = {name: answer for name, answer in answers.items() if answer["usage"]}
        if not said:
            raise missing(self._found(bool(ended), error))
        cut = [name for name in answers if name not in ended]
        notes += [cut_note(self.last, error) for name in cut if name in said]
        silent = len(answers) - len(said)
        if silent:
            notes.append(
                f"{silent} of the {len(answers)} answers in the list say no usage: they are not in the figures"
            )
        return Folded(tuple(said.values()), notes=tuple(notes), is_interrupted=bool(cut or silent))

    def _found(self, ended: bool, error: str | None) -> str:  # noqa: FBT001  # private
        if error is not None:
            return f"the stream broke off with an error{shown(error)} after it had begun, and says no usage"
        end = f"the stream has its {self.last}" if ended else f"the stream ended before {self.last}"
        return f"{end}, and says no usage"


RESPONSES = Snapshots(
    kind_name="type",
    prefixes=("response.",),
    holder="response",
    ends=frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"}),
    last="response.completed",
)
INTERACTIONS = Snapshots(
    kind_name="event_type",
    prefixes=("interaction.", "step.", "content."),
    holder="interaction",
    ends=frozenset(
        {
            "interaction.completed",
            "interaction.complete",
            "interaction.incomplete",
            "interaction.failed",
            "interaction.cancelled",
        }
    ),
    last="interaction.completed",
)
