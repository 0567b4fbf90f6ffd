"""Samples as ADM's evaluation reads them: order, channels, and what cannot be exported."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smoothbench.interop.adm import export, main
from smoothbench.storage.record_parts import Status
from smoothbench.storage.results_folder import Store
from tests.support.compose import experiment

SMALL = ("solver.steps=2", "only=[none,fora]", "metrics=[psnr]")


@pytest.fixture(scope="module")
def pooled_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment with two seed blocks, pooled."""
    results = tmp_path_factory.mktemp("results")
    for block in (0, 1):
        run = experiment(results, f"seed={block}", *SMALL)
        run.run()
    return run.store.folder


def test_a_point_in_the_order_of_its_seeds(pooled_results: Path, tmp_path: Path) -> None:
    records = {r.seeds: r for r in Store(pooled_results).records() if r.name == "reference"}
    blocks = [((0, 6),), ((10**6, 10**6 + 6),)]
    assert set(records) == {*blocks, (blocks[0][0], blocks[1][0])}
    found = {}
    for seeds, record in records.items():
        name = "reference" if record.parts else record.point_id
        assert export(pooled_results, name, tmp_path / "out.npz") == (6 * len(seeds), 28, 28, 3)
        with np.load(tmp_path / "out.npz", allow_pickle=False) as data:
            found[seeds] = data["arr_0"]
    for seeds in blocks:
        files = [
            pooled_results / "samples" / records[seeds].sample_id / f"{i:09d}.png" for i in range(*seeds[0])
        ]
        wanted = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
        assert np.array_equal(found[seeds], wanted) and wanted.std() > 0
    assert np.array_equal(found[blocks[0][0], blocks[1][0]], np.concatenate([found[b] for b in blocks]))


def test_the_command(
    pooled_results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process: that python -m smoothbench.export starts is shown with the other commands' help."""
    monkeypatch.chdir(tmp_path)
    assert main([str(pooled_results), "fora-interval=2", "out.npz"]) == 0
    assert capsys.readouterr().out == "out.npz: arr_0 [12, 28, 28, 3]\n"


def test_what_cannot_be_exported_is_one_line(
    pooled_results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(
        point: str = "reference", of: Path = pooled_results, file: Path = tmp_path / "out.npz", code: int = 2
    ) -> str:
        assert main([str(of), point, str(file)]) == code
        assert not file.is_file() and not list(tmp_path.glob(".*.tmp"))
        return capsys.readouterr().err.splitlines()[-1]

    assert "0 points are called other: choose by name of" in refused("other")
    assert "0 points are called reference: choose by name of no records" in refused(of=tmp_path)
    (tmp_path / "file").touch()
    assert "error:" in refused(file=tmp_path / "file" / "out.npz", code=1)
    records = [r for r in Store(pooled_results).records() if r.name == "reference"]
    part = next(r for r in records if not r.parts)
    samples = pooled_results / "samples" / part.sample_id
    first = sorted(samples.glob("*.png"))[3]
    content = first.read_bytes()
    first.write_bytes(content[:-1])
    assert "some are deleted or damaged" in refused() and str(samples) in refused()
    first.write_bytes(content)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    assert "out.npz needs 0.00003 GB, 0.00000 GB are free: make room" in refused()
    Store(pooled_results).write_record(replace(part, status=Status("failed", "done"), reason="no luck"))
    assert f"{part.point_id} is not finished (no luck): run it first" in refused(part.point_id)
    Store(pooled_results).write_record(part)
    Store(pooled_results).remove("reference", part.point_id)
    assert (
        f"reference was pooled from {part.point_id}, whose record is not here: run the experiment"
        in refused()
    )
    Store(pooled_results).write_record(part)
