"""Keeps secrets out of what pytest itself writes: reports, the terminal, junit.xml, log files and test ids."""

import logging
import os
import sys
from collections.abc import Generator, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TextIO, TypeVar
from xml.etree import ElementTree

import pytest

from redrill.errors import Exit, gravest
from redrill.redaction import redact, redact_named, redact_value
from redrill.reporting import private_results


def open_redaction(config: pytest.Config) -> None:
    """Take part in the session; to be called before allure-pytest is configured, after other plugins of redrill's."""
    config.add_cleanup(private_results.install())
    config.pluginmanager.register(_Redacting(), "redrill-redacting")


def redact_all(texts: Iterable[str]) -> list[str]:
    """Return each text without secrets."""
    return [redact(text) for text in texts]


class RedactingStream:
    """A text stream that lets no secret through; all else of it is the stream behind it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write ``text`` without secrets; return the length of the whole."""
        self._stream.write(redact(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write lines without secrets."""
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _RedactingFormatter(logging.Formatter):
    def __init__(self, formatter: logging.Formatter | None) -> None:
        super().__init__()
        self._formatter = formatter or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        return redact(self._formatter.format(record))


class _Redacting:
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Stand between pytest and its terminal, its log file and, with '-s', the output of tests."""
        config = session.config
        if not private_results.is_installed():
            raise pytest.UsageError("Another plugin writes Allure results, which redrill cannot keep free of secrets.")
        if config.pluginmanager.has_plugin("terminalreporter"):
            writer = config.get_terminal_writer()
            writer._file = RedactingStream(writer._file)  # noqa: SLF001 - no public way to it
        if config.getoption("capture") == "no":
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                setattr(sys, name, RedactingStream(stream))
                config.add_cleanup(partial(setattr, sys, name, stream))
        handler = getattr(config.pluginmanager.get_plugin("logging-plugin"), "log_file_handler", None)
        if handler is not None:
            handler.setFormatter(_RedactingFormatter(handler.formatter))
        _make_private(_junit_file(config))

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_parametrize_id(self, val: object, argname: str) -> str | None:
        """Keep a secret that a test is parametrised by out of its id."""
        is_secret = isinstance(val, str) and redact_named(argname, val) != val
        return f"{argname}-redacted" if is_secret else None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Redact what a report shows and carries."""
        report = yield
        return _redact_report(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Redact why something could not be collected."""
        report = yield
        return _redact_report(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Redact what tests recorded in junit.xml, and their ids, once it is written."""
        yield
        file = _junit_file(session.config)
        if file is None or not file.is_file():
            return
        try:
            _redact_xml(file)
        except (OSError, ElementTree.ParseError):  # no room for it: what nobody has looked through must not stay
            file.unlink()
            session.exitstatus = gravest([Exit.INCOMPLETE, Exit(session.exitstatus)])


R = TypeVar("R", pytest.TestReport, pytest.CollectReport)


def _redact_report(report: R) -> R:
    report.longrepr = _redact_shown(report.longrepr)
    report.sections = [(redact(name), redact(content)) for name, content in report.sections]
    if isinstance(report, pytest.TestReport):
        report.user_properties = [(name, redact_value(value)) for name, value in report.user_properties]
        if hasattr(report, "wasxfail"):
            report.wasxfail = redact(str(report.wasxfail))
    return report


def _redact_shown(shown: Any) -> Any:
    """Return a part of pytest's representation of an error redacted; those with parts of their own, in place."""
    if isinstance(shown, str):
        return redact(shown)
    if isinstance(shown, list | tuple):
        return type(shown)(_redact_lines(shown)) if all(type(each) is str for each in shown) else _redact_parts(shown)
    if hasattr(shown, "toterminal"):
        for name, value in vars(shown).items():
            setattr(shown, name, _redact_shown(value))
    return shown


def _redact_lines(lines: list[str] | tuple[str, ...]) -> list[str]:
    """Redact lines as one text, for a key goes over many; their number stays the same."""
    if not any("\n" in line for line in lines):
        return redact("\n".join(lines)).split("\n") if lines else []
    return [redact(line) for line in lines]


def _redact_parts(parts: list[Any] | tuple[Any, ...]) -> Any:
    """Redact parts; a pair of texts is a name with its value."""
    return type(parts)(
        (each[0], redact_named(each[0], each[1])) if _is_named(each) else _redact_shown(each) for each in parts
    )


def _is_named(pair: Any) -> bool:
    return isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(each, str) for each in pair)


def _junit_file(config: pytest.Config) -> Path | None:
    """Return the file that this process writes junit.xml to, None when it writes none."""
    named = config.getoption("xmlpath", None)
    if not named or hasattr(config, "workerinput"):
        return None
    return Path(os.path.expandvars(named)).expanduser()  # as pytest does


def _make_private(file: Path | None) -> None:
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
        file.chmod(0o600)


def _redact_xml(file: Path) -> None:
    tree = ElementTree.parse(file)  # noqa: S314 - pytest wrote it a moment ago
    for element in tree.iter():
        element.text = redact(element.text) if element.text else element.text
        attributes = {name: redact(value) for name, value in element.attrib.items()}
        if element.tag == "property":
            attributes["value"] = redact_named(element.get("name", ""), element.get("value", ""))
        element.attrib.update(attributes)
    with file.open("wb") as stream:
        tree.write(stream, encoding="utf-8", xml_declaration=True)
