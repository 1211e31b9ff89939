"""Rules and channels out of tokencalc.toml: ``[[alert]]`` and ``[channel.NAME]``.

A table whose name is that of a shipped rule changes what it says and leaves the rest.
Secrets are never written there: a key that ends in ``_env`` names the variable that
holds one.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, get_args

from tokencalc.alerts.channels import BrokenChannel, ConsoleChannel, FileChannel, Subscription
from tokencalc.alerts.mail import MailChannel
from tokencalc.alerts.profile import SHIPPED
from tokencalc.alerts.rules import BudgetPassed, Cost, Metric, Ratio, Rule, severity_from
from tokencalc.alerts.webhook import WebhookChannel, WebhookShape, secret_from
from tokencalc.context import label_from
from tokencalc.errors import ConfigInvalid, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokencalc.alerts.channels import Channel
    from tokencalc.alerts.rules import Condition, Severity
    from tokencalc.config import Settings

_SOURCES = ("metric", "ratio", "cost_by", "budget_percent")
_OF_METRICS = ("labels", "statistic", "within_s")
_RULE = ("severity", "operator", "threshold", "for_s", "cooldown_s", "channels", "unless")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_KEYS = ("name", "enabled", *_RULE, *_SOURCES, *_OF_METRICS, "minimum")


class _Outside(NamedTuple):
    """What channels take from outside the settings."""

    environ: Mapping[str, str]
    stream: TextIO | None


class _Table:
    """One table of the settings: its keys, taken one by one, and where it stands."""

    def __init__(self, settings: Settings, path: str, table: Mapping[str, object], known: tuple[str, ...]) -> None:
        self.file, self.path, self.values = settings.file, path, dict(table)
        for key in table:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]}? " if near else ""
                raise self.refused(key, f"unknown key; {hint}known: {', '.join(known)}", key)

    def refused(self, key: str, text: str, found: object) -> ConfigInvalid:
        place = f"{self.path}.{key}" if key else self.path
        return ConfigInvalid(
            f"{self.file or 'settings'}: {place}: {text}", file=str(self.file), path=place, found=found
        )

    def text(self, key: str, default: str | None = None) -> str:
        found = self.values.get(key, default)
        if not isinstance(found, str) or not found.strip():
            # An address may be a secret, and who mistakes a key for a variable's name wrote the secret itself.
            shown = "(not shown)" if key in self.values and key.startswith(("url", "secret", "password")) else found
            raise self.refused(key, f"expected text, found {shown!r:.60}", shown)
        return found

    def flag(self, key: str, *, default: bool) -> bool:
        found = self.values.get(key, default)
        if not isinstance(found, bool):
            raise self.refused(key, f"expected true or false, found {found!r:.60}", found)
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        found = self.values.get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise self.refused(key, f"expected a list of texts, found {found!r:.60}", found)
        return tuple(found)

    def secret(self, key: str, environ: Mapping[str, str]) -> str:
        """Return what the variable holds that a key names: that is never shown, nor what looks like no variable."""
        variable = self.text(key)
        if not environ.get(variable, "").strip():
            if not _VARIABLE.fullmatch(variable):
                text = "expected the name of a variable that is set, found what looks like none and is not shown"
                raise self.refused(key, f"{text}; write the secret into a variable, and its name here", "(not shown)")
            raise self.refused(key, f"the variable {variable!r:.80} is not set; set it, or name another", variable)
        return environ[variable].strip()

    def making(self, make: Callable[[], Any]) -> Any:
        """Return what is made of the table; what it refuses says where that stands."""
        try:
            return make()
        except ConfigInvalid:
            raise
        except InvalidInput as error:
            raise self.refused("", error.message, error.found) from error


def rules_from(settings: Settings) -> tuple[Rule, ...]:
    """Return the shipped rules with what the settings change, and those that they add."""
    rules = {rule.name: rule for rule in SHIPPED}
    named = (name for raw in settings.alert if isinstance(name := raw.get("name"), str))
    known = list(dict.fromkeys((*rules, *named)))
    seen: set[str] = set()
    for place, raw in enumerate(settings.alert):
        table = _Table(settings, f"alert[{place}]", raw, _KEYS)
        name = table.text("name")
        if name in seen:
            raise table.refused("name", f"the name {name!r:.60} is there twice", name)
        seen.add(name)
        if not table.flag("enabled", default=True):
            if name not in rules:
                raise table.refused("name", f"no shipped rule has it; there are: {', '.join(rules)}", name)
            del rules[name]
            continue
        rules[name] = table.making(partial(_rule, table, name, rules.get(name)))
        if rules[name].unless not in {None, *known}:
            unless = rules[name].unless
            raise table.refused("unless", f"no rule is called {unless!r:.60}; there are: {', '.join(known)}", unless)
    return tuple(rules.values())


def _rule(table: _Table, name: str, shipped: Rule | None) -> Rule:
    given: dict[str, Any] = {key: table.values[key] for key in _RULE if key in table.values}
    if "channels" in given:
        given["channels"] = table.texts("channels")
    named = [key for key in _SOURCES if key in table.values]
    if shipped is not None and not named:
        _refuse_keys(table, (*_OF_METRICS, "minimum"), "it changes a shipped rule; give metric or ratio as well")
        return replace(shipped, **given)
    if len(named) != 1:
        raise table.refused("", f"expected one of {', '.join(_SOURCES)}, found {', '.join(named) or 'none'}", named)
    condition = _condition(table, named[0])
    if "threshold" not in given and not isinstance(condition, BudgetPassed):
        raise table.refused("threshold", "it is missing: from which figure on should it alert?", None)
    return Rule(name=name, severity=given.pop("severity", "MEDIUM"), condition=condition, **given)


def _condition(table: _Table, source: str) -> Condition:
    if source in {"cost_by", "budget_percent"}:
        _refuse_keys(table, (*_OF_METRICS, "minimum"), f"it does not go with {source}")
    if source == "cost_by":
        return Cost(by=table.texts("cost_by"))
    if source == "budget_percent":
        bounds = table.values["budget_percent"]
        if not isinstance(bounds, list) or not 1 <= len(bounds) <= 2:  # noqa: PLR2004  # from, and below
            raise table.refused(source, f"expected [from] or [from, below], found {bounds!r:.60}", bounds)
        return BudgetPassed(**dict(zip(("from_percent", "below_percent"), bounds, strict=False)))
    how = {key: table.values[key] for key in _OF_METRICS if key in table.values}
    if source == "metric":
        _refuse_keys(table, ("minimum",), "it does not go with metric")
        return Metric(name=table.text("metric"), **how)  # type: ignore[arg-type]  # checked at birth
    names = table.texts("ratio")
    if len(names) != 2:  # noqa: PLR2004  # above and below the line
        raise table.refused("ratio", f"expected two metrics, found {names!r:.80}", names)
    above, below = (Metric(name=name, **how) for name in names)  # type: ignore[arg-type]  # checked at birth
    return Ratio(numerator=above, denominator=below, minimum=table.values.get("minimum", 0))  # type: ignore[arg-type]


def _refuse_keys(table: _Table, keys: tuple[str, ...], text: str) -> None:
    for key in keys:
        if key in table.values:
            raise table.refused(key, text, table.values[key])


def channels_from(
    settings: Settings, *, environ: Mapping[str, str], stream: TextIO | None = None
) -> tuple[Subscription, ...]:
    """Return the channels of the settings, a BrokenChannel for each that cannot be made.

    Its reason names the place and the variable, never what that holds. ConfigInvalid for a name that is none.
    """
    outside = _Outside(environ, stream)
    return tuple(_subscription(settings, name, raw, outside) for name, raw in settings.channel.items())


def _subscription(settings: Settings, name: str, raw: Mapping[str, Any], outside: _Outside) -> Subscription:
    whole = _Table(settings, f"channel.{name:.80}", raw, tuple(raw))
    whole.making(partial(label_from, name, name="channel"))
    least: Severity = "INFO"
    try:
        least = whole.making(partial(severity_from, raw.get("min_severity", "INFO")))
        kind = raw.get("kind")
        if not isinstance(kind, str) or kind not in _KINDS:
            raise whole.refused("kind", f"expected one of {', '.join(_KINDS)}, found {kind!r:.60}", kind)
        keys, make = _KINDS[kind]
        table = _Table(settings, whole.path, raw, ("kind", "min_severity", *keys))
        return Subscription(table.making(partial(make, table, name, outside)), least)
    except ConfigInvalid as error:
        return Subscription(BrokenChannel(name=name, problem=error.message), least)


def _console(table: _Table, name: str, outside: _Outside) -> Channel:
    del table
    return ConsoleChannel(name=name, stream=outside.stream)


def _file(table: _Table, name: str, outside: _Outside) -> Channel:
    del outside
    return FileChannel(name=name, path=_path(table, "path"))


def _path(table: _Table, key: str) -> Path:
    text = table.text(key)
    if "\0" in text:
        raise table.refused(key, "expected a path", text)
    folder = table.file.parent if table.file else Path.cwd()
    return folder / Path(text).expanduser()


def _webhook(table: _Table, name: str, outside: _Outside) -> Channel:
    if ("url" in table.values) is ("url_env" in table.values):
        raise table.refused("url", "give url, or the variable that holds it as url_env", None)
    shape = table.text("format", "standard")
    if shape not in get_args(WebhookShape):
        raise table.refused(
            "format", f"expected one of {', '.join(get_args(WebhookShape))}, found {shape!r:.60}", shape
        )
    secret = b""
    if "secret_env" in table.values:
        secret = secret_from(
            table.secret("secret_env", outside.environ), name=f"the variable {table.text('secret_env')!r:.80}"
        )
    return WebhookChannel(
        name=name,
        url=table.text("url") if "url" in table.values else table.secret("url_env", outside.environ),
        secret=secret,
        shape=shape,  # type: ignore[arg-type]  # looked at above
        allow_private=table.flag("allow_private", default=False),
        tls=_tls(table),
    )


def _mail(table: _Table, name: str, outside: _Outside) -> Channel:
    return MailChannel(
        name=name,
        host=table.text("host"),
        port=table.values.get("port", 587),  # type: ignore[arg-type]  # checked at birth
        sender=table.text("from"),
        to=table.texts("to"),
        user=table.text("user") if "user" in table.values else None,
        password=table.secret("password_env", outside.environ) if "password_env" in table.values else None,
        tls=_tls(table),
    )


def _tls(table: _Table) -> ssl.SSLContext | None:
    if "ca_file" not in table.values:
        return None
    try:
        return ssl.create_default_context(cafile=_path(table, "ca_file"))
    except OSError as error:  # ssl's own errors are OSErrors
        raise table.refused("ca_file", f"no certificates can be read there: {error.strerror or error}", None) from error


_KINDS: Mapping[str, tuple[tuple[str, ...], Callable[[_Table, str, _Outside], Channel]]] = {
    "console": ((), _console),
    "file": (("path",), _file),
    "webhook": (("url", "url_env", "secret_env", "format", "allow_private", "ca_file"), _webhook),
    "email": (("host", "port", "from", "to", "user", "password_env", "ca_file"), _mail),
}
