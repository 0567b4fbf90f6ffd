"""All pages of a leaderboard: the models, a page for each of them, the methods' cards, and the submissions."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from smoothbench.leaderboard.board_page import board_title, model_page
from smoothbench.leaderboard.cards import Card, Method, cards, method_of
from smoothbench.leaderboard.check import ON_TRUST
from smoothbench.leaderboard.handed_in import HandedIn
from smoothbench.leaderboard.html_parts import cells, heads, html_page, listing, table, with_code
from smoothbench.leaderboard.names import anchor, model_file
from smoothbench.leaderboard.ranking import Board, boards
from smoothbench.report.tables.provenance import stated
from smoothbench.report.verdict.budgets import Budget

TITLE = "SmoothBench leaderboard"
LEAD = (
    "Which caching method is best on which model, at which budget, and what cannot be told apart? Every rank follows"
    " from tests on the same seeds, every number was recomputed from what was handed in."
)
SHOWN = (Budget(2.0, "MACs"), Budget(3.0, "MACs"))
NAMED = 2  # methods of the first rank that are spelled out
PAPERS = "https://arxiv.org/abs/"


def pages(handed_in: Sequence[HandedIn]) -> dict[str, str]:
    """Return all pages by file name; the same submissions give the same bytes."""
    ranked = boards([one.submission for one in handed_in])
    folders = {one.submission.name: one for one in handed_in}
    by_model: dict[str, list[Board]] = {}
    for board in ranked:
        by_model.setdefault(str(board.rows["model"].iloc[0]), []).append(board)
    made = {
        "index.html": _index(by_model),
        "methods.html": _methods(handed_in, ranked, folders),
        "submissions.html": _submissions(handed_in, ranked),
    }
    return made | {
        model_file(model): model_page(model, model_file(model), of_model, folders)
        for model, of_model in by_model.items()
    }


def _index(by_model: Mapping[str, Sequence[Board]]) -> str:
    body = [f'<p class="lead">{escape(LEAD)}</p>']
    for model, of_model in by_model.items():
        file = model_file(model)
        body.append(f'<h2><a href="{file}">{escape(model)}</a></h2>')
        rows = [_best(f"{file}#board-{i}", board) for i, board in enumerate(of_model)]
        heading = heads("points", *(f"first at {budget}" for budget in SHOWN))
        body.append(table(heading, rows, "wide-cells", f"Best methods of {model}"))
    if not by_model:
        body.append('<p class="note">No submission has per-sample scores, so nothing can be ranked.</p>')
    return html_page(TITLE, "index.html", body)


def _best(link: str, board: Board) -> str:
    texts = [_first(board, budget) for budget in SHOWN]
    columns = "".join(f"<td>{text}</td>" for text in texts)
    return f'<tr><th scope="row"><a href="{link}">{escape(board_title(board))}</a></th>{columns}</tr>'


def _first(board: Board, budget: Budget) -> str:
    """Who is first at a budget in each score: nobody is shown to be better."""
    if budget not in board.standings:
        return "-"
    lines = []
    for score, ranking in zip(board.verdict.scores, board.standings[budget], strict=True):
        first = [str(board.rows.at[place.row, "label"]) for place in ranking if place.rank == 1]
        rest = len(first) - NAMED
        text = "; ".join([*first[:NAMED], *([f"{rest} more, not told apart"] if rest > 0 else [])])
        lines.append(
            f"<small>{escape(score.score)}</small> {escape(text or '-')} <small>of {len(ranking)}</small>"
        )
    return "<br>".join(lines)


def _methods(handed_in: Sequence[HandedIn], ranked: Sequence[Board], folders: Mapping[str, HandedIn]) -> str:
    records = [record for one in handed_in for record in one.submission.records.values()]
    first = _first_places(ranked, folders)
    shown = [_card(card, first.get(card.method, [])) for card in cards(records)]
    lead = '<p class="lead">What each method does, in the words of its class, and where none is shown to beat it.</p>'
    return html_page("Methods", "methods.html", [lead, '<div class="cards">', *shown, "</div>"])


def _first_places(ranked: Sequence[Board], folders: Mapping[str, HandedIn]) -> dict[Method, list[str]]:
    """Where methods are first by the tests."""
    places: dict[Method, list[str]] = {}
    for board in ranked:
        for budget in SHOWN:
            rankings = board.standings.get(budget, ())
            for score, ranking in zip(board.verdict.scores, rankings, strict=False):
                best = [place for place in ranking if place.rank == 1]
                for place in best:
                    row = board.rows.loc[place.row]
                    method = method_of(folders[row["submission"]].submission.record_of(row))
                    alone = "alone" if len(best) == 1 else f"one of {len(best)}"
                    where = f"{row['model']}, {row['submission']}"
                    places.setdefault(method, []).append(f"{where}: {budget} by {score.score}, {alone}")
    return {method: list(dict.fromkeys(lines)) for method, lines in places.items()}


def _card(card: Card, first: Iterable[str]) -> str:
    options = [
        f"cache={option}: {head.what}" + (f" (arXiv {head.arxiv})" if head.arxiv else "")
        for option, head in card.heads.items()
    ]
    text = "".join(f"<p>{with_code(paragraph)}</p>" for paragraph in card.text)
    parameters = f'<p class="note"><code>{escape(card.parameters)}</code></p>' if card.parameters else ""
    places = listing(first)
    led = f"<p><b>First</b></p>{places}" if places else ""
    return (
        f'<article class="card" id="{anchor(*card.method)}"><h3>{escape(card.title)}</h3>'
        f"{text}{listing(options)}{parameters}{led}</article>"
    )


def _submissions(handed_in: Sequence[HandedIn], ranked: Sequence[Board]) -> str:
    shown = {name for board in ranked for name in board.frame["submission"]}
    rows = [_submission(one, one.submission.name in shown) for one in handed_in]
    heading = heads("folder", "points", "recomputed", "ranked", "made")
    body = [
        '<p class="lead">Every record was read by the schema of this version, and every number that follows from others'
        " was recomputed: a record with a changed number is refused.</p>",
        table(heading, rows, "wide-cells", "Submissions"),
        "<h3>What is taken on trust</h3>",
        listing(ON_TRUST),
    ]
    return html_page("Submissions", "submissions.html", body)


def _submission(one: HandedIn, ranked: bool) -> str:
    frame = one.submission.frame
    checked = "; ".join(f"{count} points: {basis}" for basis, count in one.bases.items())
    why = "yes" if ranked else "no: nothing of it is scored within a budget"
    why = why if one.has_samples else "no: it has no per-sample scores"
    return cells(one.submission.name, str(len(frame)), checked, why, stated(frame["provenance"]))
