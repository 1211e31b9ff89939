"""Every verb refuses what cannot be, names the value and what is allowed, and leaves the ledger as it was."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc import Budget, Engine, Usage
from tokencalc.clock import ManualClock
from tokencalc.config import Settings
from tokencalc.errors import (
    BudgetInvalid,
    CallInvalid,
    InvalidInput,
    LedgerClosed,
    MoneyInvalid,
    PriceUnknown,
    TimeInvalid,
    UsageInvalid,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = "expected an integer from 0 to 1000000000000000, found "
LABEL = "expected text of 1 to 200 characters without control characters, found "
NUMBER = "expected a finite decimal number of at most 40 digits, below 1e18, found "


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Give one engine to all rows: none of them may change it."""
    with Engine.open(":memory:", clock=ManualClock(), settings=Settings()) as engine:
        engine.set_budget(Budget(name="b", limit_usd=10))
        engine.record(model="gpt-4o", input_tokens=1000)
        engine.reserve(model="gpt-4o", amount_usd=1)
        yield engine


@pytest.fixture(autouse=True)
def _unchanged(engine: Engine) -> Iterator[None]:
    before = state(engine)
    yield
    assert before == state(engine)


def state(engine: Engine) -> tuple[object, ...]:
    """Return the head of the chain, the holds and the budgets' counters."""
    verified = engine.verify()
    assert verified.ok
    return verified.head, engine.holds(), engine.budget_statuses(), engine.report()


BAD_COUNTS: list[tuple[Any, str]] = [
    (-1, "-1"),
    (True, "True"),
    (1.5, "1.5"),
    (float("nan"), "nan"),
    (float("inf"), "inf"),
    ("7", "'7'"),
    (Decimal(7), "Decimal('7')"),
    (10**15 + 1, "1000000000000001"),
    (10**200, "a huge integer"),
    ([], "[]"),
]


@pytest.mark.parametrize(("count", "shown"), BAD_COUNTS)
@pytest.mark.parametrize("name", ["input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens"])
def test_a_count_that_cannot_be_is_refused_by_record_and_settle(
    engine: Engine, name: str, count: Any, shown: str
) -> None:
    expected = re.escape(f"usage.{name}: {COUNT}{shown}")
    with pytest.raises(UsageInvalid, match=expected) as error:
        engine.record(model="gpt-4o", **{name: count})
    assert error.value.path == f"usage.{name}"
    with pytest.raises(UsageInvalid, match=expected):
        engine.settle(engine.holds()[0], **{name: count})


@pytest.mark.parametrize(("count", "shown"), BAD_COUNTS)
@pytest.mark.parametrize("name", ["input_tokens", "max_output_tokens", "choices"])
def test_a_count_that_cannot_be_is_refused_before_the_call(engine: Engine, name: str, count: Any, shown: str) -> None:
    expected = re.escape(f"{name}: {COUNT}{shown}")
    given = {"input_tokens": 1, name: count}
    with pytest.raises(UsageInvalid, match=expected):
        engine.reserve(model="gpt-4o", **given)
    with pytest.raises(UsageInvalid, match=expected):
        engine.estimate(model="gpt-4o", **given)


@pytest.mark.parametrize("verb", ["record", "reserve"])
@pytest.mark.parametrize("name", ["agent_id", "user_id", "project", "api_key_id", "operation", "idempotency_key"])
@pytest.mark.parametrize("value", ["", " ", "a\nb", "a\0", "x" * 201, "\x1b[2J", "\ud800", "\u202e", 5, True, ["a"]])
def test_a_label_that_is_no_short_plain_text_is_refused(engine: Engine, verb: str, name: str, value: Any) -> None:
    amount = "cost_usd" if verb == "record" else "amount_usd"
    with pytest.raises(CallInvalid, match=re.escape(f"{name}: {LABEL}")):
        getattr(engine, verb)(model="gpt-4o", **{amount: 1, name: value})


@pytest.mark.parametrize("value", ["", "gpt\0", "gpt\n4o", "\x1b[31m", "m" * 201, 5, None])
def test_a_model_that_is_no_name_is_refused(engine: Engine, value: Any) -> None:
    for call in (
        lambda: engine.record(model=value, cost_usd=1),
        lambda: engine.reserve(model=value, amount_usd=1),
        lambda: engine.reserve(model=value, input_tokens=1),
        lambda: engine.estimate(model=value, text="a"),
    ):
        with pytest.raises(CallInvalid, match=r"^model: (expected|give the model)"):
            call()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nan", NUMBER + "'nan'"),
        (float("nan"), NUMBER + "nan"),
        (float("-inf"), NUMBER + "-inf"),
        (True, NUMBER + "True"),
        ("a dollar", NUMBER + "'a dollar'"),
        ("", NUMBER + "''"),
        ("1_000", NUMBER + "'1_000'"),
        (1j, NUMBER + "1j"),
        ("1" * 41, NUMBER),
        (10**18, NUMBER),
    ],
)
def test_an_amount_that_is_no_number_is_refused(engine: Engine, value: Any, message: str) -> None:
    with pytest.raises(MoneyInvalid, match=re.escape(f"cost_usd: {message}")):
        engine.record(model="gpt-4o", cost_usd=value)
    with pytest.raises(MoneyInvalid, match=re.escape(f"amount_usd: {message}")):
        engine.reserve(model="gpt-4o", amount_usd=value)
    with pytest.raises(MoneyInvalid, match=re.escape(f"amount_usd: {message}")):
        engine.extend(engine.holds()[0], amount_usd=value)
    with pytest.raises(BudgetInvalid, match=re.escape(f"limit_usd: {message}")):
        Budget(name="b", limit_usd=value)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({}, CallInvalid, "expected usage, input_tokens and output_tokens, or cost_usd: nothing says what was used"),
        ({"foo": 1}, CallInvalid, "record: unknown argument 'foo'; allowed: agent_id, api_key_id, at, budget"),
        ({"input_tokens": 1, "usage": {"input_tokens": 1}}, CallInvalid, "expected usage or counts, found usage and"),
        ({"input_tokens": 1, "cache_read_tokens": 2}, UsageInvalid, "input_tokens (1) is less than its parts"),
        ({"output_tokens": 1, "reasoning_tokens": 2}, UsageInvalid, "output_tokens (1) is less than its parts"),
        ({"usage": {}}, UsageInvalid, "usage: cannot tell the format of"),
        ({"usage": 5}, UsageInvalid, "usage: expected a parsed body"),
        ({"usage": {"input_tokens": -3, "output_tokens": 1}}, UsageInvalid, "input_tokens: " + COUNT),
        ({"cost_usd": 1, "at": "yesterday"}, TimeInvalid, "at: expected an instant with a time zone"),
        ({"cost_usd": 1, "at": datetime(2026, 1, 1)}, TimeInvalid, "at: expected an instant with a time zone"),  # noqa: DTZ001
        ({"cost_usd": 1, "at": datetime(1, 1, 1, tzinfo=UTC)}, TimeInvalid, "from 1970 to 8999"),
        ({"cost_usd": 1, "tags": {"a": 5}}, CallInvalid, "tags.a: " + LABEL),
        ({"cost_usd": 1, "tags": {"": "a"}}, CallInvalid, "tags: " + LABEL),
        ({"cost_usd": 1, "tags": ["a"]}, CallInvalid, "tags: expected a mapping of at most 50 names to text"),
        ({"cost_usd": 1, "tags": dict.fromkeys(map(str, range(51)), "x")}, CallInvalid, "tags: expected a mapping"),
        ({"cost_usd": 1, "context": "batch"}, CallInvalid, "context: expected a mapping, for example"),
        ({"cost_usd": 1, "context": {"mode": "batch"}}, CallInvalid, "context: 'mode' is no condition of a price"),
        ({"cost_usd": 1, "context": {"processing": 5}}, CallInvalid, "context.processing: expected a short text"),
        ({"cost_usd": 1, "notional": "no"}, CallInvalid, "notional: expected True or False, found 'no'"),
        ({"cost_usd": 1, "notional": 1}, CallInvalid, "notional: expected True or False, found 1"),
        ({"cost_usd": 1, "source": "\0"}, CallInvalid, "source: " + LABEL),
        ({"cost_usd": 1, "source": 5}, CallInvalid, "source: " + LABEL),
        ({"cost_usd": 1, "budget": 5}, CallInvalid, "budget: expected a budget's name or several, found 5"),
        ({"cost_usd": 1, "budget": ["b", None]}, CallInvalid, "budget: expected a budget's name or several"),
        ({"cost_usd": 1, "budget": "\0"}, CallInvalid, "budget: " + LABEL),
        ({"cost_usd": 1, "provider": "\0"}, CallInvalid, "provider: expected"),
        ({"cost_usd": 1, "provider": 5}, CallInvalid, "provider: expected"),
    ],
)
def test_record_refuses(engine: Engine, arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        engine.record(model="gpt-4o", **arguments)
    with pytest.raises(kind, match=re.escape(message)):
        engine.record_many([{"model": "gpt-4o", "cost_usd": 1}, {"model": "gpt-4o", **arguments}])


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({}, CallInvalid, "expected one of input_tokens, text, messages, found none of them"),
        ({"foo": 1}, CallInvalid, "reserve: unknown argument 'foo'; allowed: agent_id, amount_usd"),
        ({"input_tokens": 1, "text": "a"}, CallInvalid, "expected one of input_tokens, text, messages, found input_to"),
        ({"text": 5}, InvalidInput, "text: expected"),
        ({"messages": "hello"}, InvalidInput, "messages"),
        ({"messages": []}, InvalidInput, "messages: expected a list of 1 to"),
        ({"input_tokens": 1, "choices": 0}, CallInvalid, "choices: expected at least 1, found 0"),
        ({"input_tokens": 1, "operation_type": "magic"}, CallInvalid, "operation_type: expected one of"),
        ({"input_tokens": 10**15, "max_output_tokens": 10**15}, CallInvalid, "is more than a ledger can hold"),
        ({"amount_usd": 1, "lifetime_s": 0}, CallInvalid, "lifetime_s: expected 1 to 31622400 seconds, found 0"),
        ({"amount_usd": 1, "lifetime_s": -1}, UsageInvalid, "lifetime_s: " + COUNT),
        ({"amount_usd": 1, "lifetime_s": 1.5}, UsageInvalid, "lifetime_s: " + COUNT),
        ({"amount_usd": 1, "lifetime_s": True}, UsageInvalid, "lifetime_s: " + COUNT),
        ({"amount_usd": 1, "lifetime_s": 10**9}, CallInvalid, "lifetime_s: expected 1 to 31622400 seconds"),
        ({"amount_usd": 1, "context": "batch"}, CallInvalid, "context: expected a mapping"),
        ({"amount_usd": 1, "context": {"a": "b"}}, CallInvalid, "context: 'a' is no condition of a price"),
        ({"amount_usd": 1, "context": {1: "b"}}, CallInvalid, "context: 1 is no condition of a price"),
        ({"amount_usd": 1, "budget": ["b", "\0"]}, CallInvalid, "budget: " + LABEL),
    ],
)
def test_reserve_refuses(engine: Engine, arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        engine.reserve(model="gpt-4o", **arguments)


def test_an_unknown_price_is_refused_before_the_call_and_names_near_models(engine: Engine) -> None:
    with pytest.raises(PriceUnknown, match="gpt-4o-mini") as error:
        engine.reserve(model="gpt-4o-minj", input_tokens=1)
    assert "gpt-4o-mini" in error.value.nearest


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: e.settle(e.holds()[0]), "expected usage, input_tokens and output_tokens, or cost_usd"),
        (lambda e: e.settle(e.holds()[0], foo=1), "settle: unknown argument 'foo'; allowed:"),
        (lambda e: e.settle(e.holds()[0], cost_usd=1, at="2026-01-01"), "settle: unknown argument 'at'"),
        (lambda e: e.settle(e.holds()[0], cost_usd=1, context="batch"), "context: expected a mapping"),
        (lambda e: e.extend(e.holds()[0]), "extend: expected lifetime_s, amount_usd or both"),
        (lambda e: e.extend(e.holds()[0], lifetime_s=0), "lifetime_s: expected 1 to"),
        (lambda e: e.holds("lost"), "state: expected one of open, suspect, settled, released, written_off, found 'l"),
        (lambda e: e.holds(5), "state: expected one of open"),
        (lambda e: e.holds(limit=-1), "limit: " + COUNT + "-1"),
        (lambda e: e.holds(limit="all"), "limit: " + COUNT + "'all'"),
        (lambda e: list(e.entries(limit=1.5)), "limit: " + COUNT + "1.5"),
        (lambda e: list(e.entries(since="now")), "since: expected an instant with a time zone"),
        (lambda e: e.report(group_by="colour"), "report key: expected one of provider, model, agent_id"),
        (lambda e: e.report(group_by=5), "report: expected keys to group by"),
        (lambda e: e.report(where="model"), "report: expected keys to group by and a mapping of what to keep"),
        (lambda e: e.report(where={"day": "2026-11-20"}), "report key: expected one of"),
        (lambda e: e.report(timezone="Mars/Base"), "timezone: expected an IANA name such as UTC or Europe/Berlin"),
        (lambda e: e.report(until=5), "until: expected an instant with a time zone"),
        (lambda e: e.verify(expect="5"), "expect: expected a head as `tokencalc verify` prints it"),
        (lambda e: e.verify(expect=5), "expect: expected a head as `tokencalc verify` prints it"),
        (lambda e: e.set_budget({"name": "c", "limit_usd": 1}), "budget: expected a Budget, found {'name': 'c'"),
        (lambda e: e.record_many([5]), "record: expected a mapping of arguments, found 5"),
        (lambda e: e.price(usage={"input_tokens": 1, "output_tokens": 1}), "model: the payload does not name the"),
        (lambda e: e.price(model="gpt-4o", usage=Usage(), context=5), "context: expected a mapping"),
    ],
)
def test_the_other_verbs_refuse(engine: Engine, call: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        call(engine)


@pytest.mark.parametrize(
    ("place", "options", "message"),
    [
        (":memory:", {"durability": "fast"}, 'durability: expected "full" or "normal", found \'fast\''),
        (":memory:", {"run": "\0"}, "run: " + LABEL),
        (":memory:", {"run": ""}, "run: " + LABEL),
        (5, {}, 'ledger: expected a path or ":memory:", found 5'),
    ],
)
def test_opening_refuses(place: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CallInvalid, match=re.escape(message)):
        Engine.open(place, settings=Settings(), **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ""}, "budget name: expected 1 to 100 letters, digits, spaces or"),
        ({"name": "a\n"}, "budget name: expected"),
        ({"name": "\0"}, "budget name: expected"),
        ({"name": 5}, "budget name: expected"),
        ({"limit_usd": -1}, "budget limit_usd: expected 0 to 9223372.036854775807 dollars"),
        ({"limit_usd": "9223372.036854775808"}, "budget limit_usd: expected 0 to 9223372.036854775807"),
        ({"limit_usd": "0.0000000000001"}, "with at most 12 decimals, found Decimal('1E-13')"),
        ({"period": "year"}, "period: expected one of hour, day, week, month, total, run, found 'year'"),
        ({"timezone": "localtime"}, "timezone: expected an IANA name"),
        ({"timezone": "../etc/passwd"}, "timezone: expected an IANA name"),
        ({"scope": {"colour": "red"}}, "budget scope: expected keys provider, model, agent_id"),
        ({"scope": {"operation": "o"}}, "budget scope: expected keys provider"),
        ({"scope": {"tag:": "x"}}, "budget scope: expected keys provider"),
        ({"scope": {"user_id": ""}}, "budget scope.user_id: expected 1 to 200 printable characters"),
        ({"scope": {"user_id": "a\0"}}, "budget scope.user_id: expected 1 to 200 printable characters"),
        ({"scope": {"user_id": None}}, "budget scope.user_id: expected 1 to 200 printable characters"),
        ({"scope": "user_id"}, "budget scope: expected a mapping such as"),
        ({"policy": "strict"}, "budget policy: expected one of hard, soft, observe, found 'strict'"),
        ({"policy": ["hard"]}, "budget policy: expected one of hard, soft, observe"),
        ({"alert_at": (0,)}, "budget alert_at: expected whole percentages from 1 to 1000, found 0"),
        ({"alert_at": (True,)}, "budget alert_at: expected whole percentages"),
        ({"alert_at": (75.5,)}, "budget alert_at: expected whole percentages"),
        ({"alert_at": 75}, "budget alert_at: expected whole percentages such as (75, 90, 100), found 75"),
    ],
)
def test_a_budget_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(BudgetInvalid, match=re.escape(message)):
        Budget(**{"name": "b", "limit_usd": 1, **arguments})


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ({"name": "b", "limit_usd": 1, "colour": "red"}, "budget colour: expected one of the keys alert_at, limit_usd"),
        ({"name": "b"}, "budget limit_usd: expected a value; name and limit_usd must be given"),
    ],
)
def test_budgets_of_the_settings_are_checked_before_the_ledger_is_made(
    tmp_path: Any, definition: dict[str, Any], message: str
) -> None:
    with pytest.raises(BudgetInvalid, match=re.escape(message)):
        Engine.open(tmp_path / "ledger.db", settings=Settings(budgets=(definition,)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["ledger.db", ":memory:"])
def test_a_closed_engine_says_so_and_closes_again_in_silence(tmp_path: Any, place: str) -> None:
    closed = Engine.open(place if place == ":memory:" else tmp_path / place, settings=Settings())
    closed.close()
    closed.close()
    for call in (
        lambda: closed.record(model="gpt-4o", input_tokens=1),
        lambda: closed.reserve(model="gpt-4o", amount_usd=1),
        closed.report,
        closed.verify,
        closed.budgets,
        lambda: list(closed.entries()),
    ):
        with pytest.raises(LedgerClosed, match="the ledger was closed; open the engine again to go on"):
            call()
    assert closed.price(model="gpt-4o", usage=Usage(input_tokens=1_000_000)).total_usd == Decimal("2.5")
