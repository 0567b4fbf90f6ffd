"""The page of one model: its tables of points, at each budget a ranking in each score, and every point's command."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

import pandas as pd

from smoothbench.leaderboard.cards import method_of
from smoothbench.leaderboard.commands import UNKNOWN, row_commands
from smoothbench.leaderboard.handed_in import HandedIn
from smoothbench.leaderboard.html_parts import heads, html_page, listing, table
from smoothbench.leaderboard.names import anchor
from smoothbench.leaderboard.ranking import Board, Standing
from smoothbench.report.document import group_title
from smoothbench.report.tables.column import DOWN, TIMES, UP, decimals_for, with_spread
from smoothbench.report.tables.provenance import stated
from smoothbench.report.verdict.budgets import Budget
from smoothbench.report.verdict.comparisons import Comparisons
from smoothbench.report.verdict.words import paragraph

RANKS = (
    "A rank counts the methods that are shown to be better: paired differences on the same seeds, p < 0.05 after Holm's"
    " correction over all of a table's comparisons. 2-5 means: one method is shown to be better, and the ranks down to"
    " 5 cannot be told apart from it. A method is its dearest point within the budget."
)
SPEED = "speed-up"


def model_page(model: str, file: str, boards: Sequence[Board], folders: Mapping[str, HandedIn]) -> str:
    """Write the page of a model. Args: boards, its tables; folders, the checked submissions by name."""
    body = [f'<p class="lead">{escape(RANKS)}</p>']
    if len(boards) > 1:
        links = [
            f'<li><a href="#board-{i}">{escape(board_title(board))}</a></li>'
            for i, board in enumerate(boards)
        ]
        body.append(
            f"<nav><p>Points of other samples or references are not compared:</p><ul>{''.join(links)}</ul></nav>"
        )
    for i, board in enumerate(boards):
        body += _board(i, board, folders)
    return html_page(model, file, body)


def board_title(board: Board) -> str:
    """Name a table of points: what they share, and the folders that they come from."""
    return f"{group_title(board.frame)} ({', '.join(dict.fromkeys(board.frame['submission']))})"


def _board(number: int, board: Board, folders: Mapping[str, HandedIn]) -> Iterator[str]:
    yield f'<section id="board-{number}"><h2>{escape(board_title(board))}</h2>'
    yield f'<div class="verdict">{"".join(f"<p>{escape(text)}</p>" for text in paragraph(board.verdict))}</div>'
    jumps = (
        f'<li><a href="#budget-{number}-{i}">{escape(str(budget))}</a></li>'
        for i, budget in enumerate(board.standings)
    )
    yield f'<ul class="budgets">{"".join(jumps)}</ul>'
    for i, (budget, rankings) in enumerate(board.standings.items()):
        yield f'<h3 id="budget-{number}-{i}">{escape(str(budget))}</h3><div class="pair">'
        for score, ranking in zip(board.verdict.scores, rankings, strict=True):
            yield _ranking(number, board, budget, score, ranking)
        yield "</div>"
    yield _points(number, board, folders)
    yield "</section>"


def _ranking(
    number: int, board: Board, budget: Budget, score: Comparisons, ranking: Sequence[Standing]
) -> str:
    title = f"by {score.score} {UP if score.higher else DOWN}"
    if not ranking:
        return f'<div><h4>{escape(title)}</h4><p class="note">No method within the budget has this score.</p></div>'
    titles = ["rank", "method", "MACs", *([SPEED] if _timed(board) else []), _score_title(board, score)]
    rows = [_row(number, board, score, place, len(titles) == 5) for place in ranking]
    heading = heads(*titles, numbers=titles[2:])
    return f"<div><h4>{escape(title)}</h4>{table(heading, rows, 'board', f'{budget}, {title}')}</div>"


def _row(number: int, board: Board, score: Comparisons, place: Standing, timed: bool) -> str:
    row = board.rows.loc[place.row]
    last = place.rank + len(place.tied)
    span = f"<small>&ndash;{last}</small>" if place.tied else ""
    badge = f'<td class="rank"><b{" class=first" if place.rank == 1 else ""}>{place.rank}</b>{span}</td>'
    name = f'<a href="#{_point_id(number, row)}">{escape(str(row["label"]))}</a>'
    if board.frame["submission"].nunique() > 1:
        name += f" <small>{escape(str(row['submission']))}</small>"
    numbers = [f"{100 * row['share']:.1f} %"]
    numbers += [_speed_up(row)] if timed else []
    numbers.append(_score(row, score.score))
    shown = "".join(f'<td class="number">{escape(text)}</td>' for text in numbers)
    return f'<tr>{badge}<th scope="row">{name}</th>{shown}</tr>'


def _timed(board: Board) -> bool:
    rows = board.rows
    return "speedup_measured" in rows and bool(rows["speedup_measured"].notna().any())


def _speed_up(row: pd.Series) -> str:
    value = float(row["speedup_measured"])
    return "-" if math.isnan(value) else f"{value:.2f}{TIMES}"


def _score_title(board: Board, score: Comparisons) -> str:
    compared = board.rows[f"{score.score}.delta"].notna().any()
    return "over no cache [95 %]" if compared else "value and 95 %"


def _score(row: pd.Series, name: str) -> str:
    """The paired difference to no cache with its interval; of a score that is a distance to it its value."""
    delta, low, high = (float(row[f"{name}.delta{end}"]) for end in ("", ".low", ".high"))
    if math.isnan(delta):
        half = (float(row[f"{name}.high"]) - float(row[f"{name}.low"])) / 2
        return with_spread(float(row[name]), half, decimals_for(half, 2, abs(float(row[name]))))
    digits = decimals_for((high - low) / 2, 2, abs(delta))
    ends = (with_spread(end, math.nan, digits, signed=True) for end in (low, high))
    return f"{with_spread(delta, math.nan, digits, signed=True)} [{', '.join(ends)}]"


def _points(number: int, board: Board, folders: Mapping[str, HandedIn]) -> str:
    """Every point of the table: how to make it again, its id, what its numbers rest on, and where it was made."""
    rows = [_point(number, row, board, folders[row["submission"]]) for _, row in board.rows.iterrows()]
    heading = heads("point", "command", "recomputed", "made")
    return f"<h3>Points</h3>{table(heading, rows, 'points', 'Points')}"


def _point(number: int, row: pd.Series, board: Board, handed_in: HandedIn) -> str:
    record = handed_in.submission.record_of(row)
    commands = row_commands(record, handed_in.submission)
    shown = "".join(f"<code>{escape(command)}</code>" for command in commands) or UNKNOWN
    if commands and not record.reference:
        shown += f" <small>its point {escape(record.name)}</small>"
    others = board.repeated.get(record.point_id, ())
    checked = [handed_in.basis(record), *(f"also handed in by {name}" for name in others)]
    card = f'<a href="methods.html#{anchor(*method_of(record))}">method</a>'
    label = f"{escape(str(row['label']))} <small>{escape(record.point_id)} &middot; {card}</small>"
    return (
        f'<tr id="{_point_id(number, row)}"><th scope="row">{label}</th><td class="command">{shown}</td>'
        f"<td>{listing(checked)}</td><td>{escape(stated([_made(record.provenance)]))}</td></tr>"
    )


def _made(provenance: Mapping[str, object]) -> dict[str, object]:
    """Where and when a record was made; the versions of packages are with its submission."""
    return {key: provenance[key] for key in ("device", "git", "time") if key in provenance}


def _point_id(number: int, row: pd.Series) -> str:
    return f"point-{number}-{row['point_id']}"
