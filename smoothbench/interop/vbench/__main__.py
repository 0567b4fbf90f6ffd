"""`python -m smoothbench.vbench export DIR POINT TARGET`, then VBench, then `... import DIR POINT FILE...`.

DIR is the results folder, POINT a name or a point_id. `export` writes the point's clips as VBench reads them:
with --prompts VBench_full_info.json a folder for each dimension (vbench evaluate --videos_path TARGET/scene
--dimension scene), otherwise for its custom mode (--mode=custom_input --prompt_file TARGET/prompts.json
--videos_path TARGET/videos). It reads 5 videos of a prompt; temporal_flickering wants 25, of which it then reads 5
that stand still: vbench static_filter --videos_path TARGET/temporal_flickering comes before evaluate, which reads
filter_results/filtered_videos. VBench needs an environment of its own. `import` takes its *_eval_results.json,
all of a point's at once; python -m smoothbench.report DIR then shows them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from smoothbench import command, sibling_packages  # noqa: F401  sibling_packages: before what imports metrics
from smoothbench.interop.vbench.export import BEFORE, EACH, FILTERED, Written, export
from smoothbench.interop.vbench.import_results import keep
from smoothbench.interop.vbench.prompt_list import read_listing


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 it failed (a full disk), 2 the request cannot be met, 128 + a signal's number: stopped."""
    options = _parser().parse_args(arguments)
    again = (
        "remove the target before the next attempt" if options.what == "export" else "nothing was imported"
    )
    return command.main(lambda: _carry_out(options), again)


def _carry_out(options: argparse.Namespace) -> None:
    print(_exported(options) if options.what == "export" else _imported(options))


def _exported(options: argparse.Namespace) -> str:
    listing = read_listing(options.prompts) if options.prompts else None
    written = export(options.folder, options.point, options.target, listing)
    lines = [f"{options.target}: {written.folders.total()} videos of {len(+written.prompts)} prompts"]
    lines += [f"  {name}: {count}" for name, count in sorted(written.folders.items())]
    if listing is not None:
        lines += _advice(written, options.target)
    return "\n".join(lines)


def _advice(written: Written, target: Path) -> list[str]:
    """What VBench will miss, and what it wants to be done first."""
    lines = []
    if written.short:
        lines.append(
            f"{written.short} prompts have fewer than {EACH} videos: VBench scores what is there, and warns"
        )
    if written.short_filtered:
        lines.append(
            f"{written.short_filtered} prompts of {FILTERED} have fewer than {BEFORE} videos: of those that stand still"
            f" VBench may find fewer than {EACH}"
        )
    if written.folders[FILTERED]:
        lines.append(
            f"{FILTERED}: vbench static_filter --videos_path {target / FILTERED} first, then evaluate "
            "filter_results/filtered_videos"
        )
    return lines


def _imported(options: argparse.Namespace) -> str:
    path, totals = keep(options.folder, options.point, options.files)
    if totals.total is None:
        return f"{path}: incomplete, so without a total; missing: {', '.join(totals.missing)}"
    return f"{path}: total {totals.total:.4f}, quality {totals.quality:.4f}, semantic {totals.semantic:.4f}"


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("smoothbench.vbench", __doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    for what in ("export", "import"):
        subparser = commands.add_parser(what)
        subparser.add_argument("folder", type=Path, metavar="DIR", help="results folder, with records/ in it")
        subparser.add_argument("point", metavar="POINT", help="a point's name or point_id")
        if what == "export":
            subparser.add_argument("target", type=Path, metavar="TARGET", help="a new folder")
            subparser.add_argument("--prompts", type=Path, metavar="FILE", help="VBench_full_info.json")
        else:
            subparser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="*_eval_results.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
