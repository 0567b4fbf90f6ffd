"""What all pages of a leaderboard share: their head with links, and tables as HTML."""

import re
from collections.abc import Iterable, Sequence
from html import escape

from smoothbench.report.page.html_frame import asset, framed

LINKS = (("index.html", "Models"), ("methods.html", "Methods"), ("submissions.html", "Submissions"))


def html_page(title: str, file: str, body: Iterable[str]) -> str:
    """Write a page that needs no network: title, links to the other pages, and its body.

    Args: file, the page's own name, which its link marks.
    """
    links = "".join(
        f'<a href="{name}"{" aria-current=page" if name == file else ""}>{text}</a>' for name, text in LINKS
    )
    style = "\n".join((asset("report.css"), asset("site.css", "smoothbench.leaderboard")))
    return framed(title, style, f"<h1>{escape(title)}</h1>\n<nav>{links}</nav>", body) + "\n"


def table(heads: Sequence[str], rows: Iterable[str], style: str, label: str) -> str:
    """Write a table that scrolls by itself; heads and rows are HTML."""
    region = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
    top = f"<thead><tr>{''.join(heads)}</tr></thead>"
    body = "\n".join(["<tbody>", *rows, "</tbody>"])
    return f'{region}<table class="{style}">{top}{body}</table></div>'


def heads(*titles: str, numbers: Sequence[str] = ()) -> list[str]:
    """Write the heading cells of a table; those of numbers stand on the right."""
    return [
        f'<th scope="col"{" class=number" if title in numbers else ""}>{escape(title)}</th>'
        for title in titles
    ]


def cells(*texts: str) -> str:
    """Write a row of plain text, its first cell the heading of the row."""
    first, *others = map(escape, texts)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{text}</td>" for text in others)}</tr>'


def with_code(text: str) -> str:
    """Write plain text in which a pair of backquotes marks code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def listing(items: Iterable[str]) -> str:
    """Write a list of plain text; "" without any."""
    entries = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f'<ul class="facts">{entries}</ul>' if entries else ""
