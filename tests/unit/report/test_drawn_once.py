"""What a report costs: each picture is drawn once, and each table is judged once."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image, ImageColor

from smoothbench.report import write
from smoothbench.report.figures.style import COLOURS
from smoothbench.report.verdict import findings
from tests.support.report_folder import DRAWN, build

pytestmark = pytest.mark.slow


def test_each_picture_is_drawn_and_each_table_judged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, calls = build(tmp_path, [0, 1, 6, 14]), {"drawn": 0, "judged": 0}
    draw, compare = Figure.draw, findings.compare_all

    def counted_draw(figure: Figure, *arguments: Any) -> None:
        calls["drawn"] += 1
        draw(figure, *arguments)

    def counted_compare(*arguments: Any) -> Any:
        calls["judged"] += 1
        return compare(*arguments)

    monkeypatch.setattr(Figure, "draw", counted_draw)
    monkeypatch.setattr(findings, "compare_all", counted_compare)
    write(folder)
    pictures = sorted(folder.glob("*.png"))
    assert {path.stem for path in pictures} == {*DRAWN, "schedules", "contact_sheet"}
    assert calls == {"drawn": len(pictures), "judged": 1}
    for name in ("headline", "pareto_macs"):
        with Image.open(folder / f"{name}.png") as image:
            assert image.mode == "P"  # few colours, the families' among them
            drawn = {colour for _, colour in image.convert("RGB").getcolors(image.width * image.height)}
            assert {ImageColor.getrgb(colour) for colour in COLOURS[:2]} <= drawn
