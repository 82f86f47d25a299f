"""The alternatives of Debian: links that the administrator or a priority chooses (update-alternatives(1), FILES)."""

from collections.abc import Iterator, Sequence

FOLDER = "/etc/alternatives/"
"""Where the second of the two links of an alternative stands."""


def parse_alternatives(lines: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each managed link with the targets that it may have, the preferred first; '' is no link at all.

    ``lines`` are the files of the database one after another, each after a line with its name.
    """
    start = 0
    for number, line in enumerate([*lines, "\x1c"]):
        if line.startswith("\x1c"):
            if number > start:
                yield from _parse_file(lines[start].rpartition("/")[2], lines[start + 1 : number])
            start = number


def _parse_file(name: str, lines: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Read one file: mode, link, pairs of slave and link up to an empty line, then the choices up to another."""
    body = iter(lines)
    mode = next(body)
    names, links = [name], [next(body)]
    while slave := next(body):
        names.append(slave)
        links.append(next(body))
    choices: list[tuple[int, list[str]]] = []
    while path := next(body, ""):
        priority = int(next(body))
        choices.append((priority, [path, *(next(body) for _ in names[1:])]))
    # Of equal priorities the first wins; sorted() keeps their order.
    ranked = [paths for _, paths in sorted(choices, key=lambda choice: -choice[0])]
    allowed = ranked[:1] if mode == "auto" else ranked
    for column, (each, link) in enumerate(zip(names, links, strict=True)):
        yield link, (f"{FOLDER}{each}",)
        yield f"{FOLDER}{each}", tuple(dict.fromkeys(paths[column] for paths in allowed))
