"""The pages of a report and those of a leaderboard have one frame."""

import re
from pathlib import Path

from smoothbench.leaderboard.html_parts import html_page
from smoothbench.report.page.html_frame import TEMPLATE, asset, framed

PACKAGE = Path(__file__).parents[3] / "smoothbench"


def test_a_page_may_use_nothing_but_what_its_policy_says() -> None:
    page = html_page("A <b> title", "methods.html", ["<p>first</p>", "", "<p>second</p>"])
    assert "content=\"default-src 'none'; style-src 'unsafe-inline'\"" in page
    assert page.count("A &lt;b&gt; title") == 2 and "<script" not in page
    assert "<main>\n<p>first</p>\n<p>second</p>\n</main>\n</body>\n</html>" in page
    with_script = framed("title", "", "", ["body"], ["<script>1</script>"], ["script-src 'unsafe-inline'"])
    assert "default-src 'none'; script-src 'unsafe-inline'\"" in with_script
    assert with_script.rstrip().endswith("</main>\n<script>1</script>\n</body>\n</html>")


def test_the_frame_is_written_once() -> None:
    opening = re.compile("<!doctype html", re.IGNORECASE)
    files = [path for kind in ("py", "html") for path in PACKAGE.rglob(f"*.{kind}")]
    framing = [path.name for path in files if opening.search(path.read_text(encoding="utf-8"))]
    assert framing == [TEMPLATE] and opening.match(asset(TEMPLATE))
