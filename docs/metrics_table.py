"""Write docs/metrics.md again: python -m docs.metrics_table

The page lists every score that a YAML in conf/metrics computes, with that file's first line.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml
from hydra.utils import get_object

PAGE: Final = Path(__file__).parent / "metrics.md"
CONF: Final = Path(__file__).parents[1] / "conf/metrics"
ROOMS: Final[Mapping[str, str]] = MappingProxyType(
    {"": "Of pictures, and of any samples", "audio": "Of sound", "video": "Of clips"}
)
HEAD: Final = """# Which scores there are

<!-- written by python -m docs.metrics_table -->

`metrics=[psnr,fd_nano]` takes scores by name; `metrics=image`, `audio`, `video` and others take a list of them.
[What the numbers mean](measurement.md#scores) says how far to trust them. A dash under *better* says that
the metric's own network knows it. Scores named `_nano` ask our own small networks.
"""


def page() -> str:
    """The page: a table for each kind of samples, and the lists."""
    parts = [HEAD]
    for room, title in ROOMS.items():
        rows = [f"| {' | '.join(row)} |" for row in _rows(CONF / room)]
        parts.append(
            f"## {title}\n\n| score | better | what |\n| --- | :---: | --- |\n" + "\n".join(rows) + "\n"
        )
    lists = [f"- `metrics={path.stem}`: {', '.join(names)}" for path, names in _lists()]
    return "\n".join([*parts, "## Lists\n\n" + "\n".join(lists) + "\n"])


def _rows(folder: Path) -> Iterator[tuple[str, str, str]]:
    for path in sorted(folder.glob("*.yaml")):
        text = path.read_text()
        nodes = yaml.safe_load(text)
        lines = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
        what = next(line for line in lines if not line.startswith("@"))
        for name, node in nodes.items():
            if isinstance(node, Mapping) and "_target_" in node.get("metric", {}):
                yield f"`{name}`", _direction(node["metric"]), what.replace("|", "\\|")


def _direction(metric: Mapping[str, Any]) -> str:
    """The way that is better, by the YAML, the metric's class or the class around which it stands."""
    inner = metric.get("metric", {}).get("_target_") if isinstance(metric.get("metric"), Mapping) else None
    stated = [metric.get("higher_is_better")]
    stated += [
        getattr(get_object(target), "higher_is_better", None)
        for target in (metric.get("_target_"), inner)
        if target
    ]
    known = next((one for one in stated if isinstance(one, bool)), None)
    return "-" if known is None else "higher" if known else "lower"


def _lists() -> Iterator[tuple[Path, list[str]]]:
    for path in sorted(CONF.glob("*.yaml")):
        names = [
            _name(entry)
            for entry in yaml.safe_load(path.read_text()).get("defaults", [])
            if entry != "_self_"
        ]
        if names:
            yield path, names


def _name(entry: Any) -> str:
    return str(entry if isinstance(entry, str) else next(iter(entry.values()))).rpartition("/")[2]


if __name__ == "__main__":
    PAGE.write_text(page())
    print(PAGE)
