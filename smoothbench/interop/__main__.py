"""`python -m smoothbench.interop SCHEDULE.json --to diffusers|cache-dit|comfyui`: a schedule for another program.

Writes a file that the other program runs as it stands, to --out or to the output. What that program cannot do is
refused with the reason. docs/interop.md says what becomes of which schedule.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from smoothbench import command
from smoothbench.errors import UsageError
from smoothbench.interop.schedules import cache_dit, comfyui, diffusers_hooks
from smoothbench.interop.schedules.model import denoiser_in
from smoothbench.interop.schedules.request import PREDICTORS, REUSE, Exported, Request
from smoothbench.interop.schedules.saved import read
from smoothbench.storage.files import write_text

TARGETS: Mapping[str, Callable[[Request], Exported]] = MappingProxyType(
    {"diffusers": diffusers_hooks.export, "cache-dit": cache_dit.export, "comfyui": comfyui.export}
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 the machine failed, 2 the request cannot be met, 128 + a signal's number: stopped."""
    parser = command.parser("smoothbench.interop", __doc__)
    parser.add_argument("schedule", type=Path, metavar="SCHEDULE.json", help="a schedule's file")
    parser.add_argument("--to", required=True, choices=TARGETS, help="the program that is to run it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="written here; without it, to the output")
    parser.add_argument(
        "--predictor",
        choices=PREDICTORS,
        help="what stands in for skipped outputs (default: the file's, or reuse)",
    )
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="the pipeline's folder, to check the schedule by"
    )
    parser.add_argument(
        "--mask-only",
        action="store_true",
        help="the same evaluations, though something else is reused in the others",
    )
    parser.add_argument(
        "--forwards",
        type=int,
        choices=(1, 2),
        help="forwards in an evaluation; 2 where guidance takes one of its own",
    )
    options = parser.parse_args(arguments)
    return command.main(lambda: _written(options), f"{options.out or 'nothing'} was not written")


def _written(options: argparse.Namespace) -> None:
    if options.out is not None and options.out.exists():
        raise UsageError(f"--out {options.out}: is there already: delete it or give another name")
    exported = TARGETS[options.to](_request(options))
    for note in exported.notes:
        print(f"note: {note}", file=sys.stderr)
    if options.out is None:
        print(exported.text, end="")
        return
    try:
        write_text(options.out, exported.text)
    except OSError as error:
        raise UsageError(f"--out {options.out}: cannot be written ({error.strerror})") from None
    print(f"wrote {options.out}")


def _request(options: argparse.Namespace) -> Request:
    denoiser = None if options.model is None else denoiser_in(options.model)
    saved = read(options.schedule, denoiser)
    predictor = options.predictor or saved.predictor or REUSE
    request = Request(
        options.schedule.name,
        saved.schedule,
        saved.sites,
        predictor,
        options.mask_only,
        denoiser,
        options.forwards or saved.forwards,
    )
    if saved.predictor not in (predictor, REUSE) and not options.mask_only:
        weights = saved.predictor or "weights of its own, which no other program takes"
        raise request.refused(
            f"what it skips is predicted by {weights}: --mask-only exports its evaluations alone, with {predictor}, "
            "for samples whose loss is another one"
        )
    if not saved.schedule.skipped_share:
        raise request.refused("it skips nothing: there is no cache to export")
    return request


if __name__ == "__main__":
    sys.exit(main())
