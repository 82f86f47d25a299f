"""YAML without surprises: only null, true, false and decimal numbers are not text, and everything has a place."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, NoReturn

import yaml

from redrill.errors import FleetError
from redrill.model.values import printable

MAX_BYTES = 1 << 20
"""The largest file that is read."""

MAX_NODES = 100_000
"""The most values that a file may hold after its aliases and merge keys are expanded."""

MAX_DEPTH = 40
"""How deep values may be nested."""

DocPath = tuple[str | int, ...]
"""Where a value stands in a document: keys and list indexes from the top."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_NOT_UTF8_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Mark(NamedTuple):
    """A place in a file; line and column count from 1."""

    line: int
    column: int


class Mistake(NamedTuple):
    """Something wrong at a place; ``path`` is empty where no value is meant."""

    mark: Mark
    path: DocPath
    message: str

    def render(self, source: str) -> str:
        """Return the mistake as one line ``file:line:column: path: message``, safe for terminals."""
        place = f"{source}:{self.mark.line}:{self.mark.column}: "
        words = (f"{render_path(self.path)}: " if self.path else "") + self.message
        return place + printable(words).replace("\n", "\\n")


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data (keys are always text), the place of each value and of each key, and what is wrong with the YAML."""

    data: Any = None
    values: dict[DocPath, Mark] = field(default_factory=dict)
    keys: dict[DocPath, Mark] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def mark_at(self, path: DocPath, *, is_key: bool = False) -> Mark:
        """Return the place of a value (of its key), or of the nearest one above it that the document has."""
        if is_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Mark(1, 1))


def parse_yaml(text: bytes, source: str) -> Document:
    """Return the only document of a file; FleetError with the place when it is no text, no YAML or too large.

    Duplicate keys, tags and the like do not stop the reading: they are the document's ``mistakes``.
    """
    try:
        return _read(_decode(text))
    except _UnreadableError as error:
        raise FleetError(error.mistake.render(source)) from error.__cause__


def render_path(path: DocPath) -> str:
    """Return a path as people write it, such as ``endpoints.web-1.tags[0]``."""
    words = ""
    for part in path:
        is_plain = isinstance(part, str) and re.fullmatch(r"[\w.-]+", part) is not None
        words += f"[{part}]" if isinstance(part, int) else f".{part if is_plain else repr(part)}"
    return words.removeprefix(".")


class _UnreadableError(Exception):
    def __init__(self, mark: Mark, message: str) -> None:
        super().__init__(message)
        self.mistake = Mistake(mark, (), message)


def _decode(text: bytes) -> str:
    if len(text) > MAX_BYTES:
        raise _UnreadableError(Mark(1, 1), f"the file is larger than {MAX_BYTES} bytes; split the fleet.")
    for bom, encoding in _NOT_UTF8_BOMS.items():
        if text.startswith(bom):
            raise _UnreadableError(Mark(1, 1), f"the file is {encoding}; save it as UTF-8.")
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = text[: error.start].decode("utf-8-sig", "replace")
        guess = "UTF-16" if b"\0" in text else "Latin-1"
        message = f"the byte 0x{text[error.start]:02x} is not UTF-8 ({guess}, perhaps); save the file as UTF-8."
        raise _UnreadableError(_mark_after(before), message) from error
    bad = yaml.reader.Reader.NON_PRINTABLE.search(decoded)
    if bad:
        hint = " (the file may be UTF-16; save it as UTF-8)" if bad.group() == "\0" else ""
        message = f"the character U+{ord(bad.group()):04X} is not allowed{hint}; remove it."
        raise _UnreadableError(_mark_after(decoded[: bad.start()]), message)
    return decoded


def _mark_after(text: str) -> Mark:
    return Mark(text.count("\n") + 1, len(text) - text.rfind("\n"))


def _mark_of(mark: yaml.Mark | None) -> Mark:
    return Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1)


def _read(text: str) -> Document:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        words = ", ".join(filter(None, (error.context, error.problem)))
        place = _mark_of(error.problem_mark or error.context_mark)
        raise _UnreadableError(place, f"this is not YAML that can be read: {words}.") from error
    except (ValueError, OverflowError) as error:
        # PyYAML trusts chr() and int() with whatever an escape sequence or a directive says.
        place = Mark(loader.line + 1, loader.column + 1)
        raise _UnreadableError(place, f"this is not YAML that can be read: {error}.") from error
    finally:
        loader.dispose()
    document = Document(mistakes=loader.mistakes)
    return document if node is None else _Converter(document).convert_top(node)


class _Loader(yaml.SafeLoader):
    """Composes nodes only; their meaning is decided by the converter."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.mistakes: list[Mistake] = []
        self._depth = 0
        self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave its types out
        mark = _mark_of(event.start_mark)
        self._count += 1
        if self._count > MAX_NODES:
            raise _UnreadableError(mark, f"the file holds more than {MAX_NODES} values; split the fleet.")
        if self._depth >= MAX_DEPTH:
            raise _UnreadableError(mark, f"values are nested deeper than {MAX_DEPTH} levels; flatten them.")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.mistakes.append(Mistake(mark, (), f"the tag {tag!r} is refused; write the plain value."))
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


# Every tag is refused and the converter reads plain words itself, so nothing is left to resolve.
_Loader.yaml_implicit_resolvers = {}


def _is_plain(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None


class _Converter:
    """Turns nodes into plain data, and notes where each value and key stands."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: set[int] = set()
        self._count = 0

    def convert_top(self, node: yaml.Node) -> Document:
        data = self._convert(node, ())
        return replace(self._document, data=data)

    def _convert(self, node: yaml.Node, path: DocPath) -> Any:
        mark = _mark_of(node.start_mark)
        self._spend(mark)
        self._document.values[path] = mark
        if isinstance(node, yaml.ScalarNode):
            return self._convert_scalar(node, path)
        with self._opened(node):
            if isinstance(node, yaml.SequenceNode):
                return [self._convert(item, (*path, index)) for index, item in enumerate(node.value)]
            pairs = dict(self._pairs(node))
            return {key: self._convert_pair(*pair, (*path, key)) for key, pair in pairs.items()}

    def _convert_pair(self, key: yaml.Node, value: yaml.Node, path: DocPath) -> Any:
        self._document.keys[path] = _mark_of(key.start_mark)
        return self._convert(value, path)

    def _convert_scalar(self, node: yaml.ScalarNode, path: DocPath) -> Any:
        text = str(node.value)
        bad = _UNSTORABLE.search(text)
        if bad:
            message = f"the character U+{ord(bad.group()):04X} is not allowed in a value; remove it."
            self._note(_mark_of(node.start_mark), path, message)
            return _UNSTORABLE.sub("?", text)
        if _is_plain(node) and text in _WORDS:
            return _WORDS[text]
        return int(text) if _is_plain(node) and _NUMBER.fullmatch(text) else text

    def _pairs(self, node: yaml.Node) -> Iterator[tuple[str, tuple[yaml.Node, yaml.Node]]]:
        """Yield what ``<<`` brings in, the strongest last, then the mapping's own keys, which win."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            self._spend(_mark_of(key.start_mark))
            name = self._name_of(key)
            if name is not None and name in own:
                self._note_duplicate(key, own[name][0], name)
            elif name is not None:
                own[name] = (key, value)
        if "<<" in own and _is_plain(own["<<"][0]):
            for mapping in self._merged_by(own.pop("<<")[1]):
                with self._opened(mapping):
                    yield from self._pairs(mapping)
        yield from own.items()

    @contextmanager
    def _opened(self, node: yaml.Node) -> Iterator[None]:
        """Refuse a node that is within itself, and remember it while its insides are read."""
        if id(node) in self._open:
            self._fail(_mark_of(node.start_mark), "an alias or a merge key contains itself; write the value out.")
        self._open.add(id(node))
        try:
            yield
        finally:
            self._open.discard(id(node))

    def _merged_by(self, value: yaml.Node) -> list[yaml.Node]:
        nodes = list(reversed(value.value)) if isinstance(value, yaml.SequenceNode) else [value]
        wrong = [node for node in nodes if not isinstance(node, yaml.MappingNode)]
        for node in wrong:
            self._note(_mark_of(node.start_mark), (), "'<<' merges mappings only; name the alias of a mapping.")
        return [] if wrong else nodes

    def _name_of(self, key: yaml.Node) -> str | None:
        if not isinstance(key, yaml.ScalarNode):
            self._note(_mark_of(key.start_mark), (), "a key must be a word, not a list or a mapping.")
            return None
        if _UNSTORABLE.search(key.value):
            self._note(_mark_of(key.start_mark), (), f"the key {key.value!r} holds a character that is not allowed.")
            return None
        return str(key.value)

    def _note_duplicate(self, key: yaml.Node, first: yaml.Node, name: str) -> None:
        line, column = _mark_of(first.start_mark)
        message = f"the key {name!r} was given before, at {line}:{column}; keep one of the two."
        self._note(_mark_of(key.start_mark), (), message)

    def _note(self, mark: Mark, path: DocPath, message: str) -> None:
        self._document.mistakes.append(Mistake(mark, path, message))

    def _spend(self, mark: Mark) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            self._fail(mark, f"aliases expand to more than {MAX_NODES} values; write fewer of them.")
        if len(self._open) > MAX_DEPTH:
            self._fail(mark, f"aliases nest values deeper than {MAX_DEPTH} levels; flatten them.")

    def _fail(self, mark: Mark, message: str) -> NoReturn:
        raise _UnreadableError(mark, message)
