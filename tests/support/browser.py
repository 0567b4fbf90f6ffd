"""A headless Chromium that opens a page without a network, runs a script in it, and gives what the script returns."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
ANSWER = """<script>addEventListener("load", async () => {
  const pause = () => new Promise((done) => setTimeout(done, 20));
  const until = async (fits) => { for (let i = 0; i < 100 && !fits(); i += 1) await pause(); };
  const $ = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const answer = document.createElement("pre");
  answer.id = "answer";
  try { answer.textContent = JSON.stringify(await (async () => { %s })()); }
  catch (error) { answer.textContent = JSON.stringify({ error: String(error) + error.stack }); }
  document.body.append(answer);
});</script></body>"""


def visit(page: Path, script: str, folder: Path, width: int = 1280, height: int = 900) -> Any:
    """Open a copy of a page and return what the script gives; `$`, `all` and `until` are there for it."""
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        pytest.skip("no Chromium is installed: the page is not opened in a browser")
    copy = folder / "visited.html"
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("</body>", ANSWER % script), encoding="utf-8")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}",
        f"--window-size={width},{height}", "--virtual-time-budget=8000", "--dump-dom", copy.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    found = re.search(r'<pre id="answer">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, f"the page gave no answer: {done.stderr[-2000:]}"
    answer = json.loads(html.unescape(found[1]))
    assert not (isinstance(answer, dict) and "error" in answer), answer
    return answer
