"""The box above the table of report.html."""

from pathlib import Path

from smoothbench.report import load
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.page.html_page import page
from tests.support.html_document import parsed, run
from tests.support.report_folder import build


def test_the_box_above_the_table_shows_the_rows_with_its_words(tmp_path: Path) -> None:
    folder = build(tmp_path, range(8))
    root = parsed(page([(part, {}) for _, part in comparable_groups(load(folder))], folder, []))
    shown = run(root, """
      const table = document.querySelectorAll("table.sortable")[0];
      const box = document.querySelectorAll("p.filter input")[0];
      const count = (text) => {
        box.value = text;
        box.dispatch("input");
        return table.querySelectorAll("tbody tr").filter((row) => !row.hasAttribute("hidden")).length;
      };
      return [count("Fora"), count("fora nowhere"), count("")];""")  # fmt: skip
    assert shown == [3, 0, 8]
