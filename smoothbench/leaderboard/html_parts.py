"""The frame that all pages of a leaderboard share, and tables as HTML."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template

LINKS = (("index.html", "Models"), ("methods.html", "Methods"), ("submissions.html", "Submissions"))
FRAME = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>
$style
</style>
</head>
<body>
<header>
<h1>$title</h1>
<nav>$links</nav>
</header>
<main>
$body
</main>
</body>
</html>
""")


def html_page(title: str, file: str, body: Iterable[str]) -> str:
    """Write a page that needs no network: title, links to the other pages, and its body.

    Args: file, the page's own name, which its link marks.
    """
    links = "".join(
        f'<a href="{name}"{" aria-current=page" if name == file else ""}>{text}</a>' for name, text in LINKS
    )
    return FRAME.substitute(
        title=escape(title), style=_style(), links=links, body="\n".join(filter(None, body))
    )


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


def _style() -> str:
    """The report's style, and what is the leaderboard's own."""
    places = (("smoothbench.report.page", "report.css"), ("smoothbench.leaderboard", "site.css"))
    return "\n".join(files(room).joinpath(name).read_text(encoding="utf-8").rstrip() for room, name in places)
