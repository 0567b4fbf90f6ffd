"""Temporary files of killed processes are deleted, but not those of another experiment."""

from pathlib import Path

from smoothbench.storage.results_folder import Store


def test_an_experiment_leaves_the_temporary_files_of_one_inside_its_folder(tmp_path: Path) -> None:
    inner = Store(tmp_path / "paper" / "dit_ddim")
    inner.enter()
    unfinished = [inner.folder / "records" / ".a.json.tmp", tmp_path / "paper" / "records" / ".b.json.tmp"]
    for path in unfinished:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    Store(tmp_path / "paper").enter()
    assert [path.exists() for path in unfinished] == [True, False]
