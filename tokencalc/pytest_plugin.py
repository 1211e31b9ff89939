"""The pytest plugin: what each test spends on LLM calls, budgets for tests, a cap on the run; off unless used.

pytest loads this file in every session of an environment that has tokencalc, so it
imports nothing of it before a test, a mark or an option asks for it.

A test's calls are those that any engine of its process booked while the test's own
function ran, or a fixture of this test alone: by a client that the product wrapped,
by `guard`, or recorded. Each entry is seen once, where it is written. What fixtures
for several tests use is counted as theirs.
"""

# ruff: noqa: PLC0415  # importing late is the point of this file

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from tokencalc.engine import Engine
    from tokencalc.gate.session import RunOptions, RunSession
    from tokencalc.gate.spending import Spending
    from tokencalc.gate.watching import CallBudget, LlmCost, RunWatch

_MARK = "llm_budget"
_OURS = {"llm_cost", "llm_cost_engine"}
_SENT = "tokencalc_calls"
_FOLDER = "tokencalc_spending"


class LlmBudgetWarning(pytest.PytestWarning):
    """A test with ``on_exceed="warn"`` used more than its budget."""


class _State:
    """One process of a run of tests; ``watch`` is there from the first use of anything of ours on."""

    def __init__(self, config: pytest.Config) -> None:
        self.watch: RunWatch | None = None
        self.session: RunSession | None = None
        self.options: RunOptions | None = None
        self.spending: Spending | None = None
        # What pytest-xdist handed to this worker; None in the only process, or in the controller.
        self.worker: dict[str, Any] | None = getattr(config, "workerinput", None)
        self.folder = ""
        self.test = ""

    def opened(self) -> RunWatch:
        if self.watch is None:
            from tokencalc.gate.watching import RunWatch

            self.watch = RunWatch()
            if self.test:
                self.watch.begin(self.test)
        return self.watch

    def collected(self) -> RunSession:
        if self.session is None:
            from tokencalc.gate.session import RunSession

            self.session = RunSession()
        return self.session

    def sent(self) -> list[list[Any]]:
        """What was counted since the last call, as plain values for the process that judges."""
        taken = () if self.watch is None else self.watch.taken()
        if not taken:
            return []
        from tokencalc.gate.run import packed

        return [packed(calls) for calls in taken]

    def add(self, sent: list[list[Any]]) -> None:
        """Add what was sent, by whatever process."""
        if sent:
            self.collected().add(sent)

    def reason_to_stop(self) -> str | None:
        if self.options is None or not self.options.stop or self.watch is None:
            return None
        if self.spending is None:
            from tokencalc.gate.spending import Spending

            told = self.worker or {}
            self.spending = Spending(told.get(_FOLDER), told.get("workerid", ""))
        return self.options.reason_to_stop(self.spending, self.watch.billed_pico)


_STATE = pytest.StashKey[_State]()
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
    state = config.stash[_STATE] = _State(config)
    given = {name: config.getoption(f"tokencalc_{name}") for name in _OPTIONS}
    if any(given.values()):
        from tokencalc.errors import TokencalcError
        from tokencalc.gate.session import RunOptions

        try:
            state.options = RunOptions.of(given, with_baseline=state.worker is None)
        except TokencalcError as error:
            raise pytest.UsageError(error.message) from error
        state.opened()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Look at what is booked from the first test on, where a test asks for it: its place must not decide."""
    is_used = any(
        item.get_closest_marker(_MARK) is not None or not _OURS.isdisjoint(getattr(item, "fixturenames", ()))
        for item in session.items
    )
    if is_used:
        session.config.stash[_STATE].opened()


_OPTIONS = ("budget", "per_test", "stop", "baseline", "fail", "report", "strict_prices", "require_usage")


@pytest.fixture(scope="session")
def llm_cost_engine(request: pytest.FixtureRequest) -> Engine:
    """An engine for code that has none, for clients that live longer than a test: ``wrap(client, engine=...)``."""
    return request.config.stash[_STATE].opened().engine


@pytest.fixture
def llm_cost(request: pytest.FixtureRequest) -> LlmCost:
    """What this test has used until now: ``.usd``, ``.tokens``, ``.calls``; ``.engine`` and ``.record`` book a call."""
    from tokencalc.gate.watching import LlmCost

    return LlmCost(request.config.stash[_STATE].opened())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Read the test's budget before its fixtures cost anything; what is booked from now on is the test's."""
    state, item.stash[_BUDGET] = item.config.stash[_STATE], None
    state.test = _name(item)
    if state.watch is not None:
        state.watch.begin(state.test)
    item.stash[_BUDGET] = _budget(item)
    try:
        return (yield)
    finally:
        _look(item)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Count what a fixture for several tests uses as the fixtures'; the test is only who came first."""
    watch = request.config.stash[_STATE].watch
    if watch is None:
        return (yield)
    before = watch.hand_to(_owner(fixturedef, watch))
    try:
        return (yield)
    finally:
        watch.hand_to(before)


def pytest_fixture_post_finalizer(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> None:
    """Count what the end of a fixture used as its setup."""
    watch = request.config.stash[_STATE].watch
    if watch is not None:
        watch.credit(_owner(fixturedef, watch))


def _owner(fixturedef: pytest.FixtureDef[Any], watch: RunWatch) -> str:
    from tokencalc.gate.watching import FIXTURES

    return watch.test if fixturedef.scope == "function" else FIXTURES


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Stop the run where the test was to, also where it failed; where it passed, hold its budget against it."""
    try:
        outcome = yield
    finally:
        broken = _look(item)
    if broken is not None:
        _fail(item, broken)
    return outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """See what the teardown used, and whether the run has spent its cap."""
    try:
        return (yield)
    finally:
        _look(item)
        state = item.config.stash[_STATE]
        if state.watch is not None:
            from tokencalc.gate.watching import FIXTURES

            state.watch.hand_to(FIXTURES)
        reason = state.reason_to_stop()
        if reason is not None:
            _stop(item, reason)


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
        return CallBudget.of(mark.kwargs)
    except InvalidInput as error:
        refused = f"mark {error}"
    # Outside of the handler, so that the reason is told alone.
    pytest.fail(refused, pytrace=False)


def _look(item: pytest.Item) -> str | None:
    """Say with the test's properties what it has used until now; return what is above its budget, stopping for it."""
    watch = item.config.stash[_STATE].watch
    figures = None if watch is None else watch.of_test()
    if figures is None or not any(figures):
        return None
    from tokencalc.gate.junit import properties

    budget = item.stash[_BUDGET]
    said = properties(figures)
    # In place of those of the phase, or of the attempt, before.
    names = {name for name, _ in said}
    item.user_properties[:] = [*(pair for pair in item.user_properties if pair[0] not in names), *said]
    broken = None if budget is None else budget.broken_by(figures)
    if budget is not None and broken is not None and budget.on_exceed == "stop":
        _stop(item, f"llm_budget of {item.nodeid}: {broken}")
    return broken


def _stop(item: pytest.Item, reason: str) -> None:
    """Start nothing more, no other attempt of this test either."""
    item.session.shouldstop = reason
    if item.config.pluginmanager.hasplugin("rerunfailures"):
        # It does not look at the session between attempts, but at this mark, the closest one.
        item.add_marker(pytest.mark.flaky(condition=False), append=False)


def _fail(item: pytest.Item, broken: str) -> None:
    budget = item.stash[_BUDGET]
    if budget is not None and budget.on_exceed == "warn":
        item.warn(LlmBudgetWarning(f"llm_budget: {broken}"))
        return
    pytest.fail(f"llm_budget: {broken}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send what a phase used along with its report: so it reaches the controller of pytest-xdist at once."""
    report = yield
    sent = item.config.stash[_STATE].sent()
    if sent:
        report.__dict__[_SENT] = sent
    return report


class _Collector:
    """Collects what tests used, where the run is told about: in the only process, or in xdist's controller."""

    def __init__(self, session: pytest.Session) -> None:
        self._config = session.config
        self._state = session.config.stash[_STATE]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add what a report brings."""
        self._state.add(getattr(report, _SENT, []))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add what a worker booked after its last report; one that crashed has no end to tell of."""
        self._state.add(getattr(node, "workeroutput", {}).get(_SENT, []))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of pytest-xdist where all of them write what they have spent, so that each stops by itself."""
        state = self._state
        if state.options is not None and state.options.stop:
            import tempfile

            state.folder = state.folder or tempfile.mkdtemp(prefix="tokencalc-")
            node.workerinput[_FOLDER] = state.folder

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge the run, write its reports, and turn a green run red where its demands are not met."""
        self._state.add(self._state.sent())
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
    if config.stash[_STATE].worker is None:
        config.pluginmanager.register(_Collector(session), "tokencalc-collector")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand on from a worker of pytest-xdist what was booked after its last report."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_SENT] = session.config.stash[_STATE].sent()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Look no more, and remove what workers shared."""
    state = config.stash.get(_STATE, None)
    if state is None:
        return
    if state.watch is not None:
        state.watch.close()
        state.watch = None
    if state.folder:
        import shutil

        shutil.rmtree(state.folder, ignore_errors=True)
