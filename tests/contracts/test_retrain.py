"""The one command that trains an embedded model again: its parts exist and know what it tells them."""

import importlib
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from smoothbench.models.nano.audio import corpus, train_codec
from smoothbench.models.nano.files import write_arrays
from smoothbench.models.nano.image import fashion_mnist
from smoothbench.models.nano.retrain import retrain

PACKAGES = ["smoothbench.models.nano.audio", "smoothbench.models.nano.video"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_step_is_a_command_that_knows_its_arguments(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = importlib.import_module(f"{package}.__main__").steps("work", "out")
    assert len(steps) >= 3
    for module, *arguments in steps:
        monkeypatch.setattr(sys, "argv", [module, *arguments, "--help"])
        with pytest.raises(SystemExit) as ended:
            importlib.import_module(f"{package}.{module}").main()
        known = capsys.readouterr().out
        assert ended.value.code == 0
        assert all(flag in known for flag in arguments if flag.startswith("--")), module


@pytest.mark.slow
def test_a_step_that_fails_ends_it_with_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["retrain", "--work", str(tmp_path), "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        retrain("smoothbench.models.nano.audio", None, lambda work, out: [["train_codec"], ["absent"]])
    assert ended.value.code == 2  # argparse's: what train_codec must be told is not there
    errors = capfd.readouterr().err
    assert "--corpus" in errors and "absent" not in errors


def test_a_codec_is_trained_and_its_decoder_learns_on_while_its_encoder_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_codec, "HELD_OUT", 4)
    monkeypatch.setattr(train_codec, "BATCH", 2)
    clips = corpus.train_clips(8)
    labels = np.array([clip.sound.labels for clip in clips])
    audio = np.random.default_rng(0).integers(-9000, 9000, (8, 32768)).astype(np.int16)
    rendered = {"audio": audio, "labels": labels, "seconds": np.ones(8, np.float32)}
    write_arrays(tmp_path / "corpus" / "train-000000.npz", rendered)
    arguments = ["--corpus", str(tmp_path / "corpus"), "--steps", "2"]
    folders = [tmp_path / "codec", tmp_path / "further"]
    for folder, start in zip(folders, ([], ["--start", str(folders[0])]), strict=True):
        work = ["--out", str(folder), "--work", f"{folder}-work"]
        assert train_codec.main([*arguments, *work, *start]) == 0
    first, further = (
        {name: load_file(folder / f"{name}.safetensors") for name in ("encoder", "decoder")}
        for folder in folders
    )
    changed = {
        name: any(not (further[name][key] == first[name][key]).all() for key in first[name]) for name in first
    }
    assert changed == {"encoder": False, "decoder": True}


def test_a_corpus_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "absent"
    assert train_codec.main(["--corpus", str(absent), "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {absent} holds no clips") and error.count("\n") == 1


@pytest.mark.parametrize("door", ["train_dit", "train_evaluator"])
def test_the_commands_of_the_image_model_end_with_the_exit_code_of_the_training(
    door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_data(split: str) -> None:
        raise FileNotFoundError(2, "No such file or directory", split)

    monkeypatch.setattr(fashion_mnist, "load", no_data)
    folders = [str(tmp_path)] * 2
    asked = ["--out", folders[0], *(["--real", folders[1]] if door == "train_evaluator" else [])]
    monkeypatch.setattr(sys, "argv", [door, *asked])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"smoothbench.models.nano.{door}", run_name="__main__")
    assert ended.value.code == 1
