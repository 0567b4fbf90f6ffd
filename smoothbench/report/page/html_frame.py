"""The frame of every page that the project writes: one file with its style and scripts, which loads nothing."""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

ROOM: Final = "smoothbench.report.page"
TEMPLATE: Final = "template.html"
OWN_STYLE: Final = "style-src 'unsafe-inline'"


def framed(
    title: str,
    style: str,
    header: str,
    body: Iterable[str],
    scripts: Sequence[str] = (),
    policy: Sequence[str] = (OWN_STYLE,),
) -> str:
    """Write a page as one text of HTML.

    Args: title, plain text; header, body and scripts, HTML, of which empty parts of the body are left out; policy,
    what the browser may use beside the page's text, as directives of a Content-Security-Policy.
    """
    return Template(asset(TEMPLATE)).substitute(
        title=escape(title),
        style=style,
        header=header,
        body="\n".join(filter(None, body)),
        scripts="".join(f"{script}\n" for script in scripts),
        policy="; ".join(["default-src 'none'", *policy]),
    )


def asset(name: str, room: str = ROOM) -> str:
    """Read a text file that lies beside the modules of a package, without its last line break."""
    return files(room).joinpath(name).read_text(encoding="utf-8").rstrip()
