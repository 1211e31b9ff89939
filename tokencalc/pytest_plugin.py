"""The pytest plugin: what each test spends on LLM calls, budgets for tests, a cap on the run; off unless used.

pytest loads this file in every session of an environment that has tokencalc, so it
imports nothing of it before a test, a mark or an option asks for it.

A test's calls are those that the engine of `llm_cost` booked while the test's own
function ran: recorded on it, or made through a client that was wrapped with it, by
whatever fixture. What is booked in setup and teardown is counted as the fixtures'.
"""

# ruff: noqa: PLC0415  # importing late is the point of this file

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from tokencalc.engine import Engine
    from tokencalc.gate.run import Calls
    from tokencalc.gate.session import RunOptions, RunSession
    from tokencalc.gate.watching import CallBudget, LlmCost, RunWatch

FIXTURES = "(fixtures)"
"""The name under which what setup and teardown used is counted."""

_MARK = "llm_budget"
_SENT = "tokencalc_calls"


class LlmBudgetWarning(pytest.PytestWarning):
    """A test with ``on_exceed="warn"`` used more than its budget."""


class _State:
    """One process of a run of tests; ``watch`` is there from the first use of an engine on."""

    def __init__(self) -> None:
        self.watch: RunWatch | None = None
        self.session: RunSession | None = None
        self.options: RunOptions | None = None
        self.is_worker = False

    def opened(self) -> RunWatch:
        if self.watch is None:
            from tokencalc.gate.watching import RunWatch

            self.watch = RunWatch()
        return self.watch

    def collected(self) -> RunSession:
        if self.session is None:
            from tokencalc.gate.session import RunSession

            self.session = RunSession()
        return self.session

    def take(self, name: str) -> tuple[Calls, ...]:
        return () if self.watch is None else self.watch.take(name)


_STATE = pytest.StashKey[_State]()
_TAKEN = pytest.StashKey["tuple[Calls, ...]"]()
_BUDGET = pytest.StashKey["CallBudget | None"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options, under names of our own: two plugins with one name keep pytest from starting."""
    group = parser.getgroup("tokencalc", "LLM costs (tokencalc)")
    group.addoption("--tokencalc-budget", metavar="USD", help="what the whole run may cost; more fails it")
    group.addoption("--tokencalc-per-test", metavar="USD", help="what a test without a mark llm_budget may cost")
    group.addoption("--tokencalc-stop", action="store_true", help="stop the run once --tokencalc-budget is spent")
    group.addoption("--tokencalc-baseline", metavar="FILE", help="compare with a saved run: FILE or git:REV")
    group.addoption(
        "--tokencalc-fail", metavar="RULE", action="append", default=[], help="as cost:10%% or each:calls:0; repeatable"
    )
    group.addoption(
        "--tokencalc-report", metavar="FORMAT:FILE", action="append", default=[], help="json, junit, md, text, run"
    )
    group.addoption("--tokencalc-strict-prices", action="store_true", help="fail if a call has no whole price")
    group.addoption("--tokencalc-require-usage", action="store_true", help="fail if no call was recorded")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and read the options where any is given; a wrong one stops pytest with its reason."""
    config.addinivalue_line(
        "markers",
        'llm_budget(usd=None, tokens=None, calls=None, on_exceed="fail"): what a test may use; fail, warn or stop',
    )
    state = config.stash[_STATE] = _State()
    state.is_worker = hasattr(config, "workerinput")
    given = {name: config.getoption(f"tokencalc_{name}") for name in _OPTIONS}
    if any(given.values()):
        from tokencalc.errors import TokencalcError
        from tokencalc.gate.session import RunOptions

        try:
            state.options = RunOptions.of(given, with_baseline=not state.is_worker)
        except TokencalcError as error:
            raise pytest.UsageError(error.message) from error


_OPTIONS = ("budget", "per_test", "stop", "baseline", "fail", "report", "strict_prices", "require_usage")


@pytest.fixture(scope="session")
def llm_cost_engine(request: pytest.FixtureRequest) -> Engine:
    """The engine that calls are booked in, for clients that live longer than a test: ``wrap(client, engine=...)``."""
    return request.config.stash[_STATE].opened().engine


@pytest.fixture
def llm_cost(request: pytest.FixtureRequest) -> LlmCost:
    """What this test has used until now: ``.usd``, ``.tokens``, ``.calls``; ``.engine`` and ``.record`` book a call."""
    from tokencalc.gate.watching import LlmCost

    return LlmCost(request.config.stash[_STATE].opened())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Read the test's budget before its fixtures cost anything; what they use is theirs."""
    item.stash[_BUDGET] = _budget(item)
    try:
        return (yield)
    finally:
        _take(item, FIXTURES)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Take what the test used, also where it failed; where it passed, hold its budget against that."""
    try:
        outcome = yield
    finally:
        _take(item, _name(item))
    _hold_budget(item)
    return outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Take what the teardown used."""
    try:
        return (yield)
    finally:
        _take(item, FIXTURES)


def _take(item: pytest.Item, name: str) -> None:
    item.stash[_TAKEN] = taken = item.config.stash[_STATE].take(name)
    if taken and name != FIXTURES:
        from tokencalc.gate.junit import properties
        from tokencalc.gate.watching import figures_of

        item.user_properties.extend(properties(figures_of(taken)))


def _name(item: pytest.Item) -> str:
    # pytest-rerunfailures counts the attempts here; each is a name of its own.
    attempt = getattr(item, "execution_count", 1)
    return item.nodeid if attempt == 1 else f"{item.nodeid} (rerun {attempt - 1})"


def _budget(item: pytest.Item) -> CallBudget | None:
    options = item.config.stash[_STATE].options
    mark = item.get_closest_marker(_MARK)
    if mark is None:
        return None if options is None else options.per_test
    from tokencalc.errors import InvalidInput
    from tokencalc.gate.watching import CallBudget

    if mark.args:
        pytest.fail("mark llm_budget: give usd=, tokens= or calls= by name", pytrace=False)
    try:
        return CallBudget(**mark.kwargs)
    except (InvalidInput, TypeError) as error:
        pytest.fail(f"mark llm_budget: {error}", pytrace=False)


def _hold_budget(item: pytest.Item) -> None:
    budget, taken = item.stash[_BUDGET], item.stash[_TAKEN]
    if budget is None or not taken:
        return
    from tokencalc.gate.watching import figures_of

    broken = budget.broken_by(figures_of(taken))
    if broken is None:
        return
    if budget.on_exceed == "warn":
        item.warn(LlmBudgetWarning(f"llm_budget: {broken}"))
        return
    if budget.on_exceed == "stop":
        item.session.shouldstop = f"llm_budget of {item.nodeid}: {broken}"
    pytest.fail(f"llm_budget: {broken}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send what a phase used along with its report: so it reaches the controller of pytest-xdist at once."""
    report = yield
    taken = item.stash.get(_TAKEN, ())
    if taken:
        from tokencalc.gate.run_file import calls_document

        report.__dict__[_SENT] = [calls_document(calls) for calls in taken]
        item.stash[_TAKEN] = ()
    return report


class _Collector:
    """Collects what tests used, where the run is told about: in the only process, or in xdist's controller."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._config = session.config
        self._state = session.config.stash[_STATE]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add what a report brings; stop the run where its cap is spent."""
        sent = getattr(report, _SENT, None)
        if not sent:
            return
        self._state.collected().add(sent)
        options = self._state.options
        reason = None if options is None else options.reason_to_stop(self._state.collected())
        if reason is not None:
            self._session.shouldstop = reason
            # The controller of pytest-xdist asks its own plugin, not the session.
            distributed = self._config.pluginmanager.getplugin("dsession")
            if distributed is not None:
                distributed.shouldstop = reason

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge the run, write its reports, and turn a green run red where its demands are not met."""
        if self._state.session is None and self._state.options is None:
            return
        if self._config.getoption("collectonly"):
            return
        failed = self._state.collected().finish(self._state.options, self._state.watch)
        if failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the table of tests by cost; nothing where no call was made and nobody asked."""
        text = "" if self._state.session is None else self._state.session.text
        if text:
            terminalreporter.section("LLM cost")
            terminalreporter.write(text)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Register what collects, in the process that tells."""
    config = session.config
    if not config.stash[_STATE].is_worker:
        config.pluginmanager.register(_Collector(session), "tokencalc-collector")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the engine."""
    state = config.stash.get(_STATE, None)
    if state is not None and state.watch is not None:
        state.watch.close()
        state.watch = None
