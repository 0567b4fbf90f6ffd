"""The verdict of one table as a part of the page."""

from html import escape

import pandas as pd

from smoothbench.report.verdict.section import verdict_text
from smoothbench.report.verdict.words import NOTE, TITLE


def verdict_html(frame: pd.DataFrame) -> str:
    """Write the verdict's sentences and its table; "" without a verdict."""
    text = verdict_text(frame)
    if text is None:
        return ""
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in text.sentences)
    table = "" if text.table is None else _table(text.table)
    return f'<div class="verdict"><h3>{TITLE}</h3>{sentences}{table}</div>'


def _table(table: pd.DataFrame) -> str:
    heads = "".join(f'<th scope="col">{escape(str(title))}</th>' for title in table.columns)
    rows = "".join(_row(*cells) for cells in table.astype(str).to_numpy())
    region = f'<div class="scroll" tabindex="0" role="region" aria-label="{TITLE}">'
    body = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return f'{region}{body}</div><p class="note">{escape(NOTE.replace("*", ""))}</p>'


def _row(first: str, *others: str) -> str:
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in others)
    return f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>'
