"""Allure results that only their owner may read and that hold no secret, whoever attached what."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import allure_commons
import allure_pytest.plugin
from allure_commons.logger import AllureFileLogger
from allure_commons.model2 import Parameter
from attr import asdict

from redrill.redaction import is_sensitive, redact, redact_known, redact_named

_PLAIN = AllureFileLogger


class PrivateFileLogger(_PLAIN):
    """Writes what allure-pytest and everybody else hands to Allure: the one place through which all of it goes."""

    def __init__(self, report_dir: str, clean: bool = False) -> None:
        Path(report_dir).mkdir(parents=True, exist_ok=True, mode=0o700)
        super().__init__(report_dir, clean)  # type: ignore[no-untyped-call]

    def _report_item(self, item: Any) -> None:
        _redact_object(item)
        data = asdict(item, filter=lambda _, value: value or value is False)
        name = item.file_pattern.format(prefix=uuid4())
        self._write(name, json.dumps(data, ensure_ascii=False).encode("utf-8", "backslashreplace"))

    @allure_commons.hookimpl
    def report_attached_file(self, source: str, file_name: str) -> None:
        """Keep a copy of a file; of one that is likely to hold secrets, only its size and hash."""
        data = Path(source).read_bytes()
        if is_sensitive(str(source)):
            digest = hashlib.sha256(data).hexdigest()
            data = f"'{Path(source).name}' is not shown: {len(data)} bytes, sha256 {digest}\n".encode()
        self._write(file_name, _redact_bytes(data))

    @allure_commons.hookimpl
    def report_attached_data(self, body: str | bytes, file_name: str) -> None:
        """Keep an attachment."""
        data = redact(body).encode("utf-8", "backslashreplace") if isinstance(body, str) else _redact_bytes(body)
        self._write(file_name, data)

    def _write(self, name: str, data: bytes) -> None:
        # A name of its own until it is whole: a report can be rendered at any time.
        temporary = self._report_dir / f"{name}.tmp"
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        temporary.replace(self._report_dir / name)


def install() -> Callable[[], None]:
    """Let allure-pytest, when it is configured next, write through PrivateFileLogger; return what undoes that."""

    def undo() -> None:
        allure_pytest.plugin.AllureFileLogger = _PLAIN

    allure_pytest.plugin.AllureFileLogger = PrivateFileLogger
    return undo


def is_installed() -> bool:
    """Whether nothing is written to Allure results but through PrivateFileLogger."""
    loggers = [plugin for plugin in allure_commons.plugin_manager.get_plugins() if isinstance(plugin, _PLAIN)]
    return all(isinstance(logger, PrivateFileLogger) for logger in loggers)


def _redact_object(item: Any) -> None:
    """Redact every text of a result, its steps, fixtures and parameters, in place."""
    for name, value in vars(item).items():
        setattr(item, name, _redacted(value))
    if isinstance(item, Parameter) and isinstance(item.value, str):
        item.value = redact_named(str(item.name), item.value)


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    if hasattr(value, "__attrs_attrs__"):
        _redact_object(value)
    return value


def _redact_bytes(data: bytes) -> bytes:
    """Redact text; of anything else known secrets only, for there patterns match by chance."""
    try:
        return redact(data.decode("utf-8")).encode("utf-8")
    except UnicodeDecodeError:
        # Latin-1 keeps every byte as it is.
        return redact_known(data.decode("latin-1")).encode("latin-1")
