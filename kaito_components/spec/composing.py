"""YAML text -> values, and the line of each field. Called by document.

ruamel.yaml parses; what its events mean is said here, so that each field has its line, and a double key or text
that would fill the memory is a named problem.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from kaito_components.spec import scalars

MAX_DEPTH = 64  # levels of lists and mappings; a pod template has about ten
MAX_VALUES = 100_000  # of one document, aliases followed


class Unusable(Exception):
    """This text cannot become a document: (line, code, message)."""

    def __init__(self, line: int | None, code: str, message: str) -> None:
        super().__init__(message)
        self.line, self.code, self.message = line, code, message


@dataclass(frozen=True)
class Node:
    """A value of the text: a scalar, a list of nodes, or a mapping of names to (line of the name, node)."""

    line: int
    value: Any


def below(path: str, key: str | int) -> str:
    """The path of a field or item, such as `tuning.input.urls[0]`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    name = printable(key)
    return f"{path}.{name}" if path else name


def printable(name: str) -> str:
    """A name as it may stand in a line of text."""
    return name if name.isascii() and name.isprintable() and name else ascii(name)


class Composer:
    """Makes nodes of one text's events.

    Attributes:
        doubts: (line, path, message) of each key that stands twice; the first one counts.
    """

    def __init__(self, text: str) -> None:
        from ruamel.yaml import YAML

        self._events = iter(YAML(typ="rt", pure=True).parse(text))
        self._anchors: dict[str, Node] = {}
        self.doubts: list[tuple[int, str, str]] = []

    def nodes(self) -> Iterator[Node]:
        """One node per document.

        Raises:
            Unusable: the rest of the text cannot be read. What came before it can.
            ruamel.yaml.error.YAMLError: the same, said by the parser.
        """
        from ruamel.yaml.events import DocumentStartEvent

        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                self._anchors = {}
                yield self._node(next(self._events), "", 0)

    def _node(self, event: Any, path: str, depth: int) -> Node:
        from ruamel.yaml import events

        line = event.start_mark.line + 1
        if depth > MAX_DEPTH:
            raise Unusable(line, "too-large", f"is nested more than {MAX_DEPTH} levels deep")
        match event:
            case events.AliasEvent():
                if event.anchor not in self._anchors:
                    text = f"*{event.anchor} stands for nothing: no &{event.anchor} ends before it"
                    raise Unusable(line, "not-yaml", text)
                return Node(line, self._anchors[event.anchor].value)
            case events.SequenceStartEvent():
                node = Node(line, self._list(event, path, depth))
            case events.MappingStartEvent():
                node = Node(line, self._mapping(event, path, depth))
            case _:
                node = Node(line, _scalar(event, line))
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _list(self, start: Any, path: str, depth: int) -> list[Node]:
        from ruamel.yaml.events import SequenceEndEvent

        _plain_tag(start, "seq")
        items: list[Node] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._node(event, below(path, len(items)), depth + 1))
        return items

    def _mapping(self, start: Any, path: str, depth: int) -> dict[str, tuple[int, Node]]:
        from ruamel.yaml.events import MappingEndEvent, ScalarEvent

        _plain_tag(start, "map")
        found: dict[str, tuple[int, Node]] = {}
        merged: list[Node] = []
        while not isinstance(event := next(self._events), MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, ScalarEvent):
                raise Unusable(line, "not-yaml", "has a key that is not a word")
            key = _text(event.value, line)
            node = self._node(next(self._events), below(path, key), depth + 1)
            if key == "<<" and not event.style:
                merged.append(node)
            elif key in found:
                text = f"stands twice in one mapping, first on line {found[key][0]}; remove one of them"
                self.doubts.append((line, below(path, key), text))
            else:
                found[key] = (line, node)
        for node in merged:
            _merge(found, node)
        return found


def _merge(found: dict[str, tuple[int, Node]], node: Node) -> None:
    """YAML's merge key `<<`: what is not given here comes from there, the first of several mappings first."""
    for source in node.value if isinstance(node.value, list) else [node]:
        if not isinstance(source.value, Mapping):
            raise Unusable(node.line, "not-yaml", "<< takes a mapping, or a list of mappings")
        for key, item in source.value.items():
            found.setdefault(key, item)


def _plain_tag(event: Any, kind: str) -> None:
    if event.tag not in (None, "!", f"tag:yaml.org,2002:{kind}"):
        text = f"has the tag {event.tag}, which Kubernetes does not know"
        raise Unusable(event.start_mark.line + 1, "not-yaml", text)


def _scalar(event: Any, line: int) -> scalars.Scalar:
    text = _text(event.value, line)
    try:
        if event.tag is not None:
            return scalars.tagged(text, event.tag)
        return text if event.style else scalars.from_word(text)
    except ValueError as bad:
        raise Unusable(line, "not-yaml", str(bad)) from None


def _text(value: str, line: int) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unusable(line, "not-yaml", "holds half of a character (a lone surrogate)") from None
    return value


class Flattening:
    """A node -> plain values; `lines` is filled with the line of every field path on the way."""

    def __init__(self, lines: MutableMapping[str, int]) -> None:
        self._lines = lines
        self._left = MAX_VALUES

    def plain(self, node: Node, path: str = "", depth: int = 0) -> Any:
        """Raises Unusable when following all aliases gives too many values, or too deep ones."""
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            text = f"holds more than {MAX_VALUES} values, or {MAX_DEPTH} levels, when its aliases are followed"
            raise Unusable(node.line, "too-large", text)
        if isinstance(node.value, list):
            return [self._item(item, item.line, below(path, index), depth) for index, item in enumerate(node.value)]
        if isinstance(node.value, Mapping):
            return {key: self._item(item, line, below(path, key), depth) for key, (line, item) in node.value.items()}
        return node.value

    def _item(self, node: Node, line: int, path: str, depth: int) -> Any:
        self._lines[path] = line
        return self.plain(node, path, depth + 1)
