"""A console on which texts of strangers are shown and never obeyed: no markup, no emoji codes, no control characters.

Topics, payloads, names of devices and files, URLs and errors reach the terminal by many ways. So nothing is read as markup
anywhere, styles are given as styles, and control characters are escaped where everything passes on its way out.
"""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment


def printable(text: str, allowed: str = "") -> str:
    """Return the text with every character escaped that is not printable and not `allowed`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in allowed else ascii(char)[1:-1] for char in text)


class PlainConsole(Console):
    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - those of Console
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Escape control characters, except in Rich's own control sequences."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text, "\n"), segment.style)
