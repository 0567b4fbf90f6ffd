"""Kill a small experiment at random moments, run the same command again, and compare with an undisturbed run.

    python -m tests.stress.kill --times 50

Prints a line a kill; exits 1 at the first difference.
"""

import argparse
import hashlib
import json
import random
import signal
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.support.warm_process import WarmProcess

COMMAND = (
    "+exp=smoke",
    "num_samples=6",
    "batch_size=2",
    "metrics=[fd_nano,psnr]",
    "latency.rounds=0",
    "device=cpu",
)
# of each kind one
FEW = ("only=[fewer,smoothcache,taylor]", "points.smoothcache.sweep={cache.policy.alpha:[0.3]}")
UNSTABLE = {"provenance"}  # of a record: when and on what it was made


def start(results: Path, *more: str) -> WarmProcess:
    """The command in a process of its own, which signals reach also where nohup or a shell ignores them."""
    return WarmProcess(*COMMAND, f"results_dir={results}", *more)


def finish(process: WarmProcess) -> None:
    """Wait for a good end."""
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def snapshot(results: Path) -> dict[str, str]:
    """What must be the same after any interruption: file by file, a digest of the content."""
    folder = results / "runs" / "smoke"
    contents = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] in (
            "samples",
            "previews",
            "records",
            "scores",
            "observations",
            "curves",
            "cost.csv",
            "table.csv",
        ):
            contents[str(name)] = _digest(path)
    return contents


def kill_once(
    results: Path, expected: dict[str, str], seconds: float, chance: random.Random, *more: str
) -> tuple[float, int]:
    """Kill at a random moment, go on, compare; when it was killed, and how many files there were."""
    process = start(results, *more)
    while process.returncode is None and not (results / "runs").exists():
        time.sleep(0.01)
    moment = chance.uniform(0, seconds)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    left = len(snapshot(results))
    finish(start(results, *more))
    now = snapshot(results)
    different = sorted(name for name in expected.keys() | now.keys() if expected.get(name) != now.get(name))
    assert not different, f"after a kill at {moment:.2f} s: {different[:5]}"
    assert not list(results.rglob(".*.tmp")), "unfinished files were left"
    return moment, left


def undisturbed(results: Path, *more: str) -> tuple[dict[str, str], float]:
    """The snapshot of a whole run, and the seconds that it took from its first file on."""
    process = start(results, *more)
    while process.returncode is None and not (results / "runs").exists():
        time.sleep(0.01)
    started = time.perf_counter()
    finish(process)
    return snapshot(results), time.perf_counter() - started


def _digest(path: Path) -> str:
    if path.suffix == ".json" and path.parent.name == "records":
        record = json.loads(path.read_text())
        stable = {key: value for key, value in record.items() if key not in UNSTABLE}
        return hashlib.sha256(json.dumps(stable, sort_keys=True).encode()).hexdigest()
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            parts = [name.encode() + arrays[name].tobytes() for name in sorted(arrays)]
        return hashlib.sha256(b"".join(parts)).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        files, seconds = undisturbed(Path(folder) / "whole")
        for i in range(args.times):
            moment, left = kill_once(Path(folder) / str(i), files, seconds, chance)
            print(
                f"{i + 1}/{args.times}: killed at {moment:.2f} of {seconds:.2f} s, "
                f"{left} of {len(files)} files there: the same in the end"
            )


if __name__ == "__main__":
    main()
