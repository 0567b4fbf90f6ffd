"""Write the parts of README.md that are made from code and records again: python -m docs.readme_parts

Each part stands between a comment `<!-- part NAME -->` and the next empty line: the methods list comes from
conf/cache, the classes that it names and the predictors; the table and the drawn schedule from published records.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import yaml
from hydra.utils import get_class

from docs.front_page import FIDELITY, QUALITY, RECORDS, ROOT
from smoothbench.caching import predictor
from smoothbench.caching.predictor import predictor_from
from smoothbench.config.method_heads import method_head
from smoothbench.results import load

README = ROOT / "README.md"
ROWS = (
    "no cache, 50 steps",
    "no cache, 18 steps",
    "FORA N=3, mirrored",
    "FORA N=3, order 1",
    "SmoothCache at FORA N=3",
    "L2C lambda=0.0001",
)
DRAWN = "SmoothCache at FORA N=3"  # the point whose schedule is drawn
KINDS = MappingProxyType({"self_attn": "attention", "ff": "feed-forward"})


def methods() -> str:
    """The methods list: a line for each YAML in conf/cache, then one for each predictor."""
    lines = ["| choose it by | what it does | source | needs |", "| --- | --- | --- | --- |"]
    for path in sorted((ROOT / "conf/cache").glob("*.yaml")):
        lines.append(_method(path))
    lines += [_predictor(cls) for cls in predictor_classes()]
    return "\n".join(lines)


def _method(path: Path) -> str:
    """The line of one YAML; ValueError where its first comment is not `# NAME (arXiv ID): WHAT`."""
    head, needs = method_head(path), _needs(path.read_text())
    return f"| `cache={path.stem}` | **{head.name}**: {head.what} | {_arxiv(head.arxiv)} | {needs} |"


def _needs(text: str) -> str:
    """What a method needs before it plans, read from its configuration and its class."""
    node: Mapping[str, Any] = yaml.safe_load(text)
    policy = node["policy"]
    files = [key for key, value in policy.items() if value == "???"]
    if "training" in node:
        return "training (`stage=train`)"
    if files:
        return f"a file (`cache.policy.{files[0]}`)"
    predicts = node["predictor"]
    fits = isinstance(predicts, dict) and hasattr(get_class(predicts["_target_"]), "fit")
    # a dynamic policy may have none
    needs_curves = getattr(get_class(policy["_target_"]), "needs_curves", False)
    on_batch = any(hasattr(get_class(policy["_target_"]), name) for name in ("plan_on", "fit_on"))
    return "calibration" if fits or needs_curves or on_batch else "nothing"


def predictor_classes() -> list[type]:
    """The predictors, in the order of their module: classes with a name and a depth."""
    classes = [part for part in vars(predictor).values() if isinstance(part, type) and hasattr(part, "name")]
    return [part for part in classes if hasattr(part, "depth")]


def _predictor(part: type) -> str:
    """The line of one predictor: its short names, and the first sentence of its docstring."""
    sentence = " ".join((part.__doc__ or "").split("\n\n")[0].split())
    arxiv = re.search(r"arXiv ([\d.]+\d)", sentence)
    what = re.sub(r" \([^)]*\)", "", sentence).rstrip(".")
    names = short_names(part)
    choice = f"`cache.predictor={names[0]}`" + (f" to `{names[-1]}`" if len(names) > 1 else "")
    return f"| {choice} | **Predictor.** {what} | {_arxiv(arxiv and arxiv[1])} | nothing |"


def short_names(part: type) -> list[str]:
    """The names by which a configuration asks for a predictor of this class."""
    stem = str(vars(part)["name"])
    return [name for name in (stem, *(f"{stem}{n}" for n in range(10))) if _is(name, part)]


def _is(name: str, part: type) -> bool:
    try:
        return isinstance(predictor_from(name), part)
    except ValueError:
        return False


def _arxiv(number: str | None) -> str:
    return f"[arXiv](https://arxiv.org/abs/{number})" if number else "-"


def table() -> str:
    """Six rows of the published table of dit_ddim, with two of its scores."""
    frame = load(RECORDS).frame.set_index("label")
    lines = [
        "| policy | MACs | speed-up | `fd_nano`, difference | PSNR |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [_row(label, frame.loc[label]) for label in ROWS]
    return "\n".join(lines)


def _row(label: str, row: "pd.Series[Any]") -> str:
    cells = [label, f"{100 * row['share']:.0f} %", f"{row['speedup_measured']:.2f}x"]
    if row["reference"]:
        return "| " + " | ".join([*cells, "-", "-"]) + " |"
    half = (row[f"{QUALITY}.delta.high"] - row[f"{QUALITY}.delta.low"]) / 2
    cells += [f"{row[f'{QUALITY}.delta']:+.2f} ± {half:.2f}", f"{row[FIDELITY]:.1f} dB"]
    return "| " + " | ".join(cells) + " |"


def schedule() -> str:
    """The schedule of one point, a line for each kind of layer: # computed, . reused."""
    frame = load(RECORDS).frame.set_index("label")
    plan = frame.loc[DRAWN, "schedule"]
    lines = [f"{'SmoothCache':14}noisiest{'sample':>{len(plan.rows) - 8}}"]
    for kind, name in KINDS.items():
        site = plan.kinds.index(kind)  # the blocks of a kind decide together
        lines.append(f"{name:14}" + "".join("#" if row[site] == "1" else "." for row in plan.rows))
    return "\n".join(["```text", *lines, "```"])


PARTS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {"schedule": schedule, "table": table, "methods": methods}
)


def current(text: str) -> str:
    """A README's text with its parts as they are now; ValueError for a part without a place."""
    for name, part in PARTS.items():
        before, opened, rest = text.partition(f"<!-- part {name} -->\n")
        if not opened:
            raise ValueError(f"README.md has no place for {name}: a line <!-- part {name} -->")
        _, _, after = rest.partition("\n\n")
        text = f"{before}{opened}{part()}\n\n{after}"
    return text


if __name__ == "__main__":
    README.write_text(current(README.read_text()))
    print(README)
