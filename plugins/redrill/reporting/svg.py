"""A picture in SVG: a few shapes at places that are given in pixels, everything in it text that can be selected."""

import html
import math
from collections.abc import Iterator
from datetime import timedelta

from redrill.model.values import printable, spell_duration

_FONT = "font-family=\"system-ui,-apple-system,'Segoe UI','DejaVu Sans',Arial,sans-serif\""
_LETTER = 0.6
"""Width of a letter as a part of the size of its font, rather too wide than too narrow."""

_STEPS = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600),
    *(43200, 86400, 172800, 604800, 2592000, 31536000),
)
"""Seconds between two marks of an axis, as people count them."""


def escape(text: str) -> str:
    """Return text, whoever wrote it, as XML takes it."""
    return html.escape(printable(text).translate({9: " ", 10: " "}))


def width_of(text: str, size: float) -> float:
    """Return about how wide a text is."""
    return len(text) * size * _LETTER


class Picture:
    """Shapes on a white ground; ``tip`` is what a shape says when it is pointed at."""

    def __init__(self, width: float, title: str, description: str) -> None:
        self.width = width
        self._title, self._description = title, description
        self._shapes: list[str] = []

    def box(  # noqa: PLR0917 - a place, a size and a colour are always told in this order
        self, x: float, y: float, width: float, height: float, fill: str, tip: str = ""
    ) -> None:
        """Draw a filled rectangle."""
        place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}"'
        self._shapes.append(f'<rect {place} fill="{fill}">{_tip(tip)}</rect>')

    def line(self, start: tuple[float, float], end: tuple[float, float], colour: str, more: str = "") -> None:
        """Draw a line of one pixel, or as ``more`` attributes say."""
        places = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
        self._shapes.append(f'<line {places} stroke="{colour}"{f" {more}" if more else ""}/>')

    def dot(self, x: float, y: float, colour: str, tip: str = "") -> None:
        """Draw a small circle."""
        self._shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}">{_tip(tip)}</circle>')

    def text(self, x: float, y: float, words: str, size: float = 12, colour: str = "#1f2328", more: str = "") -> None:  # noqa: PLR0917 - as above
        """Write words that begin at ``x`` on the line ``y``."""
        style = f'font-size="{size:g}" fill="{colour}"{f" {more}" if more else ""}'
        self._shapes.append(f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>')

    def render(self, height: float) -> str:
        """Return the picture as a document of this height."""
        size = f'width="{self.width:g}" height="{height:g}" viewBox="0 0 {self.width:g} {height:g}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title description" {_FONT}>'
        words = (
            f'<title id="title">{escape(self._title)}</title><desc id="description">{escape(self._description)}</desc>'
        )
        ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
        return "\n".join([head, words, ground, *self._shapes, "</svg>"]) + "\n"


def _tip(words: str) -> str:
    return f"<title>{escape(words)}</title>" if words else ""


class Axis:
    """Seconds from ``start`` to ``end`` on the pixels from ``left`` to ``right``."""

    def __init__(self, start: float, end: float, left: float, right: float) -> None:
        self.start, self.end, self.left, self.right = start, max(end, start + 1e-6), left, right

    def at(self, seconds: float) -> float:
        """Return where a moment is; one outside of the axis at its nearer end."""
        part = (min(max(seconds, self.start), self.end) - self.start) / (self.end - self.start)
        return self.left + part * (self.right - self.left)

    def marks(self, room: float) -> Iterator[float]:
        """Yield round moments that are at least ``room`` pixels apart."""
        least = (self.end - self.start) * room / (self.right - self.left)
        step = next((step for step in _STEPS if step >= least), _STEPS[-1])
        for number in range(math.ceil(self.start / step - 1e-9), math.floor(self.end / step + 1e-9) + 1):
            yield number * step


def spell_mark(seconds: float) -> str:
    """Return a round moment as an axis shows it, such as '0', '0.05 s', '90 s', '-2m30s'."""
    size = abs(seconds)
    words = f"{round(size, 2):g} s" if size < 120 else spell_duration(timedelta(seconds=size))
    return f"{'-' if seconds < 0 else ''}{words}" if seconds else "0"


def shorten(text: str, room: float, size: float) -> str:
    """Return a text cut off so that it fits into so many pixels."""
    most = max(int(room / (size * _LETTER)), 1)
    return text if len(text) <= most else f"{text[: most - 1]}…"
