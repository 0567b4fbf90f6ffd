"""Learning-to-Cache's routers: the released formats, what may be in a file, and what a router becomes."""

import argparse
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from baselines.l2c import L2C
from baselines.router_files import to_bytes
from baselines.saved import SavedSchedule
from smoothbench.caching import Site, Trajectory
from smoothbench.caching.mac_counter import measured_sites
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from tests.support.compose import composed

RELEASED = "SMOOTHBENCH_L2C_ROUTER"  # the path of the released DDIM50_router.pt, where a tester has it


def sites(blocks: int) -> tuple[Site, ...]:
    kinds = ("self_attn", "ff")
    return tuple(
        Site(f"blocks.{b}.{kind}", kind, f"blocks.{b}.{kind}") for b in range(blocks) for kind in kinds
    )


def trajectory(evals: int, blocks: int = 3) -> Trajectory:
    return Trajectory(sites(blocks), tuple(float(evals - 1 - e) for e in range(evals)))


def flat(logits: Tensor) -> dict[str, Tensor]:
    """A router in the released form: a tensor for each index."""
    return {f"{i}.prob": row for i, row in enumerate(logits)}


def released(path: Path, logits: Tensor) -> str:
    """A file as DDIM50_router.pt is."""
    torch.save({"routers": flat(logits), "opt": {"state": {}}, "args": argparse.Namespace(l1=1e-6)}, path)
    return str(path)


@pytest.fixture(scope="module")
def xl() -> Trajectory:
    """50 evaluations of DiT-XL/2, its costs counted for one row."""
    cfg = settings(composed("model=dit_xl_2_256", "model.guidance=1", "metrics=[psnr]"))
    parts, rest = measured_sites(*build_model(cfg.model, torch.device("cpu")).skeleton())
    return Trajectory(parts, tuple(range(49, -1, -1)), rest.total, rest.linear)


def published_router(path: Path, on: Trajectory) -> str:
    """A router that thresholds to the published schedule; what was never trained is noise."""
    rows = torch.tensor(SavedSchedule("l2c-ddim50.json").plan(on).computed).flip(0)  # by index: 0 is the last
    logits = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0))
    logits[0::2] = torch.where(rows[0::2], 2.0, -4.0)
    return released(path, logits)


@pytest.mark.slow
def test_the_published_count_of_macs(xl: Trajectory, tmp_path: Path) -> None:
    """1071 attention and 1065 MLP computations of 1400 each: 278.7 TMACs at 64 rows (SmoothCache, Table 1)."""
    path = os.environ.get(RELEASED) or published_router(tmp_path / "DDIM50_router.pt", xl)
    schedule = L2C(path).plan(xl)
    calls = schedule.calls()
    assert sum(n for site, n in calls.items() if site.endswith("self_attn")) == 1071
    assert sum(n for site, n in calls.items() if site.endswith(".ff")) == 1065
    linear = 64 * sum(site.macs_linear * calls[site.name] for site in xl.sites) / 1e12
    assert linear + 50 * 0.00611 == pytest.approx(278.71, abs=0.025)
    assert schedule.computed == SavedSchedule("l2c-ddim50.json").plan(xl).computed


def test_index_zero_is_the_last_evaluation(tmp_path: Path) -> None:
    logits = torch.full((4, 6), -9.0)
    logits[0, 1] = 9.0  # the last evaluation, the MLP of block 0
    logits[2, 4] = 9.0  # the second one, the attention of block 2
    schedule = L2C(released(tmp_path / "r.pt", logits)).plan(trajectory(4))
    full = (True,) * 6
    second, last = (tuple(i == k for i in range(6)) for k in (4, 1))
    assert schedule.computed == (full, second, full, last)


@pytest.mark.parametrize(("threshold", "computed"), [(0.1, True), (0.9, False)])
def test_the_threshold_is_on_the_score(threshold: float, computed: bool, tmp_path: Path) -> None:
    path = released(tmp_path / "r.pt", torch.zeros(2, 6))  # a score of one half
    assert L2C(path, threshold).plan(trajectory(2)).computed[1] == (computed,) * 6


def test_a_threshold_below_0_is_refused(tmp_path: Path) -> None:
    path = released(tmp_path / "r.pt", torch.zeros(2, 6))
    with pytest.raises(ValueError, match=r"L2C's threshold must be a finite number from 0, not -0\.1"):
        L2C(path, -0.1)


def test_a_router_of_uvit_decides_at_the_beginning_of_a_step(tmp_path: Path) -> None:
    logits = torch.full((6, 6), 9.0)
    logits[1, 0] = logits[2, 3] = logits[0, 5] = logits[4, 2] = -9.0  # of these, 0 and 4 are not used
    torch.save(flat(logits), tmp_path / "dpm.pth")
    rows = L2C(str(tmp_path / "dpm.pth"), 0.9).plan(trajectory(6)).computed
    reused = {(e, i) for e, row in enumerate(rows) for i, bit in enumerate(row) if not bit}
    assert reused == {(2, 0), (4, 3)}


def test_ours_comes_back_as_it_was(tmp_path: Path) -> None:
    on = trajectory(4)
    logits = torch.randn(4, 6)
    logits[0] = logits[2] = torch.nan
    (tmp_path / "own.safetensors").write_bytes(to_bytes(logits, on, {"training": {"penalty": 1e-5}}))
    rows = L2C(str(tmp_path / "own.safetensors"), 0.5).plan(on).computed
    assert rows[0] == rows[2] == (True,) * 6
    assert [list(rows[e]) for e in (1, 3)] == (logits[[1, 3]] > 0).tolist()


class Malicious:
    """Unpickled, it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


def bad_files(folder: Path) -> dict[str, tuple[str, str]]:
    """Files that are no routers for 4 evaluations of 3 blocks, and what is said of them."""

    def saved(name: str, content: Any) -> str:
        torch.save(content, folder / name)
        return str(folder / name)

    damaged, cut = folder / "damaged.pt", folder / "cut.safetensors"
    damaged.write_bytes(b"PK\x03\x04 no archive")
    other = to_bytes(torch.zeros(4, 6), trajectory(4), {})
    cut.write_bytes(other[: len(other) // 2])
    (folder / "grid.safetensors").write_bytes(to_bytes(torch.zeros(2, 6), trajectory(2), {}))
    other_grid = Trajectory(sites(3), (9.0, 6.0, 3.0, 0.0))
    (folder / "times.safetensors").write_bytes(to_bytes(torch.zeros(4, 6), other_grid, {}))
    (folder / "depth.safetensors").write_bytes(to_bytes(torch.zeros(4, 4), trajectory(4, 2), {}))
    save_file({"weights": torch.zeros(3)}, folder / "other.safetensors")
    nan = torch.zeros(4, 6)
    nan[1, 2] = torch.nan
    return {
        "malicious": (saved("evil.pt", {"routers": Malicious(folder / "done")}), "may run code: refused"),
        "pickled": (
            saved("plain.pt", {"routers": flat(torch.zeros(4, 6)), "args": os.stat_result}),
            "refused",
        ),
        "damaged": (str(damaged), "no PyTorch file"),
        "depth": (released(folder / "d.pt", torch.zeros(4, 8)), "8] numbers, not 6 finite ones"),
        "steps": (
            released(folder / "s.pt", torch.zeros(50, 6)),
            "for 50 evaluations, but the solver makes 4",
        ),
        "nan": (released(folder / "n.pt", nan), "not 6 finite ones"),
        "weights": (saved("w.pt", {"blocks.0.weight": torch.zeros(2)}), "no routers 0.prob"),
        "list": (saved("l.pt", [torch.zeros(2)]), "holds a list"),
        "cut": (str(cut), "no router of ours"),
        "own, other steps": (str(folder / "grid.safetensors"), "2 evaluations at timesteps 1 to 0"),
        "own, other timesteps": (str(folder / "times.safetensors"), "4 evaluations at timesteps 9 to 0"),
        "own, other depth": (
            str(folder / "depth.safetensors"),
            "for 4 sites (blocks.0.self_attn, blocks.0.ff, ...)",
        ),
        "not ours": (str(folder / "other.safetensors"), "no router of ours"),
    }


@pytest.mark.parametrize("case", [
    "malicious", "pickled", "damaged", "depth", "steps", "nan", "weights", "list",
    "cut", "own, other steps", "own, other timesteps", "own, other depth", "not ours",
])  # fmt: skip
def test_bad_files_are_one_line_and_run_nothing(case: str, tmp_path: Path) -> None:
    path, message = bad_files(tmp_path)[case]
    with pytest.raises(ValueError) as error:
        L2C(path).plan(trajectory(4))
    assert message in str(error.value) and path in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "done").exists()


def test_the_malicious_file_would_have_run(tmp_path: Path) -> None:
    """That nothing was written above is no accident."""
    with pytest.raises(Exception), open(bad_files(tmp_path)["malicious"][0], "rb") as file:  # noqa: B017
        pickle.load(file)  # a zip archive, so that plain pickle fails; torch's own loader does not
    torch.load(tmp_path / "evil.pt", weights_only=False)
    assert (tmp_path / "done").exists()


def test_an_odd_number_of_steps_has_no_alternation(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even number of steps, not 5"):
        L2C(released(tmp_path / "r.pt", torch.zeros(5, 6))).plan(trajectory(5))


def test_a_router_that_is_not_there_says_how_to_make_one() -> None:
    with pytest.raises(ValueError, match=r"router absent.pt: no such file .* stage=train cache=l2c"):
        L2C("absent.pt")
