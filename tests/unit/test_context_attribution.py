"""Attribution follows the code that runs: nested, merged, across tasks, and never beyond its block."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencalc.context import MAX_LABEL_LENGTH, MAX_TAGS, Attribution, attribution, current_attribution, label_from
from tokencalc.errors import CallInvalid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

NOBODY = Attribution()
FIELDS = ("agent_id", "user_id", "project", "api_key_id", "operation")
labels = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
attributions = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(FIELDS, labels), "tags": st.dictionaries(labels, labels, max_size=4)}
)


def test_outside_of_every_context_nobody_is_named() -> None:
    assert current_attribution() == NOBODY == Attribution(tags={})


def test_a_context_names_its_calls_and_ends_with_its_block() -> None:
    with attribution(agent_id="analyzer", tags={"team": "search"}) as entered:
        assert entered == current_attribution() == Attribution(agent_id="analyzer", tags={"team": "search"})
    assert current_attribution() == NOBODY


def test_the_inner_context_wins_inherits_and_merges_tags() -> None:
    with (
        attribution(agent_id="outer", project="p", tags={"team": "search", "stage": "test"}),
        attribution(agent_id="inner", operation="summary", tags={"stage": "live"}),
    ):
        assert current_attribution() == Attribution(
            agent_id="inner", project="p", operation="summary", tags={"team": "search", "stage": "live"}
        )


@given(st.lists(attributions, max_size=5))
def test_nesting_is_an_update_field_by_field_and_unwinds_exactly(layers: list[dict[str, Any]]) -> None:
    expected: dict[str, Any] = {"tags": {}}
    open_scopes = []
    seen = [current_attribution()]
    for layer in layers:
        scope = attribution(**layer)
        seen.append(scope.__enter__())
        open_scopes.append(scope)
        expected |= {**layer, "tags": {**expected["tags"], **layer.get("tags", {})}}
        assert current_attribution() == Attribution(**expected)
    for scope in reversed(open_scopes):
        assert current_attribution() == seen.pop()
        scope.__exit__(None, None, None)
    assert current_attribution() == NOBODY


def test_an_error_ends_the_context_and_goes_on() -> None:
    with pytest.raises(RuntimeError, match=r"^broken$"), attribution(agent_id="a"):
        raise RuntimeError("broken")  # as code under attribution would
    assert current_attribution() == NOBODY


def test_it_decorates_a_plain_function_and_keeps_its_name() -> None:
    @attribution(operation="analysis")
    def analyse(factor: int) -> tuple[int, str | None]:
        """Analyse."""
        return factor * 2, current_attribution().operation

    assert (analyse(2), analyse.__name__, analyse.__doc__) == ((4, "analysis"), "analyse", "Analyse.")
    assert current_attribution() == NOBODY


def test_it_decorates_an_async_function_while_its_body_runs() -> None:
    @attribution(operation="analysis")
    async def analyse() -> str | None:
        await asyncio.sleep(0)
        return current_attribution().operation

    async def main() -> tuple[str | None, Attribution]:
        waiting = analyse()
        outside = current_attribution()
        return await waiting, outside

    assert asyncio.run(main()) == ("analysis", NOBODY)


def test_a_generator_is_not_decorated_because_its_body_runs_elsewhere() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def async_numbers() -> AsyncIterator[int]:
        yield 1

    for function in (numbers, async_numbers):
        with pytest.raises(CallInvalid, match=r"^attribution: a generator's body runs in its readers' contexts"):
            attribution(agent_id="a")(function)


def test_one_scope_serves_many_tasks_at_once_and_nests_in_itself() -> None:
    scope = attribution(agent_id="a")

    async def task(number: int) -> Attribution:
        with scope, attribution(tags={"number": str(number)}):
            await asyncio.sleep(0)
            with scope:
                await asyncio.sleep(0)
                return current_attribution()

    async def main() -> list[Attribution]:
        return await asyncio.gather(*map(task, range(10)))

    assert [Attribution(agent_id="a", tags={"number": str(number)}) for number in range(10)] == asyncio.run(main())
    assert current_attribution() == NOBODY


def test_a_task_inherits_and_a_thread_does_not() -> None:
    seen: list[Attribution] = []

    def note() -> None:
        seen.append(current_attribution())

    async def main() -> None:
        async def inner() -> None:
            note()

        await asyncio.create_task(inner())
        await asyncio.to_thread(note)

    with attribution(agent_id="a"):
        asyncio.run(main())
        thread = threading.Thread(target=note)
        thread.start()
        thread.join(timeout=30)
    assert [attributed.agent_id for attributed in seen] == ["a", "a", None]


def test_a_generator_that_ends_out_of_order_takes_only_its_own_scope_away() -> None:
    def numbers() -> Iterator[int]:
        with attribution(agent_id="generator", project="g"):
            yield 1

    reading = numbers()
    next(reading)
    with attribution(agent_id="reader"):
        assert list(reading) == []
        assert current_attribution() == Attribution(agent_id="reader")
    assert current_attribution() == NOBODY


def test_a_scope_that_was_never_entered_here_takes_nothing_away() -> None:
    with attribution(agent_id="a"):
        attribution(agent_id="b").__exit__(None, None, None)
        assert current_attribution().agent_id == "a"


def test_what_is_said_at_the_call_goes_over_the_context() -> None:
    said = Attribution(agent_id="call", tags={"x": "1"})
    outer = Attribution(agent_id="outer", user_id="u", tags={"x": "0", "y": "2"})
    assert Attribution(agent_id="call", user_id="u", tags={"x": "1", "y": "2"}) == said.over(outer)
    assert said == said.over(NOBODY)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(
    "value",
    ["", " ", 42, True, b"a", ["a"], "a\nb", "a\x00", "\x1b[31m", "\x7f", "\x85", "\u202e", "\ud800", "a" * 201],
    ids=ascii,
)
def test_a_value_that_is_no_plain_short_text_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(CallInvalid, match=f"^{name}: expected text of 1 to {MAX_LABEL_LENGTH} characters ") as caught:
        attribution(**{name: value})
    assert caught.value.path == name
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("value", ["a", "a" * 200, "Ärger im Büro", "用户-7", "👩‍💻", "a b", "key:value/path", "*"])
def test_plain_text_of_any_script_is_kept_as_it_is(value: str) -> None:
    assert value == label_from(value, name="agent_id") == Attribution(agent_id=value).agent_id


@pytest.mark.parametrize(
    ("tags", "path"),
    [
        ("team=search", "tags"),
        ([("team", "search")], "tags"),
        ({str(number): "x" for number in range(MAX_TAGS + 1)}, "tags"),
        ({1: "x"}, "tags"),
        ({"": "x"}, "tags"),
        ({"a\nb": "x"}, "tags"),
        ({"team": 7}, "tags.team"),
        ({"team": None}, "tags.team"),
        ({"team": "\x00"}, "tags.team"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_tags_are_a_mapping_of_text_to_text(tags: Any, path: str) -> None:
    with pytest.raises(CallInvalid, match=rf"^{path}: expected ") as caught:
        attribution(tags=tags)
    assert caught.value.path == path


def test_what_python_cannot_write_is_refused_as_well() -> None:
    huge = 10**5000  # more than 4,300 digits
    for tags, path in (({"team": huge}, "tags.team"), ({huge: "a"}, "tags"), ([huge], "tags")):
        with pytest.raises(CallInvalid, match=rf"^{path}: expected .* found a \w+ that cannot be written$"):
            attribution(tags=tags)  # type: ignore[arg-type]  # what is tested


def test_tags_are_a_copy_that_nobody_changes() -> None:
    mine = {"team": "search"}
    found = Attribution(tags=mine)
    mine["team"] = "other"
    assert found.tags == {"team": "search"}
    with pytest.raises(TypeError, match="does not support item assignment"):
        found.tags["team"] = "other"  # type: ignore[index]  # what is tested


def test_attributions_are_values_that_sets_hold() -> None:
    same = {Attribution(agent_id="a", tags={"x": "1"}), Attribution(agent_id="a", tags={"x": "1"})}
    assert len(same) == 1
