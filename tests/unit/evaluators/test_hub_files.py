"""Networks of other libraries: what is not here is said in one line, with the command that gets it."""

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from smoothbench.evaluators.clip import load_clip_score
from smoothbench.evaluators.hub_files import require_script, require_tensors
from smoothbench.evaluators.perceptual import load_arniqa, load_dists, load_lpips
from smoothbench.evaluators.reward import ImageReward, load_pyiqa
from tests.support.clip_nets import save_tiny_clip

URL = "https://example.org/net.pth"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return folder


def test_a_file_that_is_not_here_comes_with_the_command_that_gets_it(cache: Path) -> None:
    command = f"weights of Net are not here: curl -L --create-dirs -o {cache / 'net.pth'} {URL}"
    for require in (require_tensors, require_script):
        with pytest.raises(ValueError) as error:
            require("net.pth", URL, "Net")
        assert str(error.value) == command


def test_tensors_alone_are_read(cache: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, cache / "net.pth")
    assert require_tensors("net.pth", URL, "Net") == cache / "net.pth"
    torch.save({"network": io.StringIO()}, cache / "net.pth")
    with pytest.raises(
        ValueError, match="damaged, or more than tensors, and nothing else is unpickled: curl"
    ):
        require_tensors("net.pth", URL, "Net")
    torch.save({"weight": torch.zeros(2)}, cache / "net-01234567.pth")
    with pytest.raises(ValueError, match="damaged or half downloaded: curl"):
        require_tensors("net-01234567.pth", URL, "Net")


def test_a_script_is_no_pickle(cache: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 1)), cache / "net.pth")
    assert require_script("net.pth", URL, "Net") == cache / "net.pth"
    torch.save(nn.Linear(2, 1), cache / "net.pth")
    assert zipfile.is_zipfile(cache / "net.pth")
    with pytest.raises(ValueError, match="damaged, or no TorchScript, and nothing else is read: curl"):
        require_script("net.pth", URL, "Net")
    (cache / "net.pth").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="damaged, or no TorchScript"):
        require_script("net.pth", URL, "Net")


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision is installed")
@pytest.mark.parametrize("load", [load_lpips, load_dists, load_arniqa])
def test_without_torchvision(load: Any) -> None:
    with pytest.raises(ValueError, match=r"needs the package torchvision: pip install .*\[perceptual\]'"):
        load()


@pytest.mark.skipif(find_spec("pyiqa") is not None, reason="pyiqa is installed")
def test_without_pyiqa() -> None:
    with pytest.raises(ValueError, match=r"pyiqa is not installed: pip install .*\[reward\]'"):
        load_pyiqa("musiq")


@pytest.mark.skipif(find_spec("ImageReward") is not None, reason="image-reward is installed")
def test_without_image_reward() -> None:
    with pytest.raises(ValueError, match=r"image-reward is not installed: pip install .*\[image-reward\]'"):
        ImageReward("weights", "config")


def test_names_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="net_type='resnet': there are alex, vgg, squeeze"):
        load_lpips("resnet")
    with pytest.raises(ValueError, match="regressor_dataset='live': there are koniq10k, kadid10k"):
        load_arniqa("live")


def test_clip_s_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_tiny_clip(tmp_path / "clip")
    elsewhere = save_tiny_clip(tmp_path / "other")
    digest = load_clip_score(str(folder)).digest
    assert digest == load_clip_score(str(elsewhere)).digest
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match="weights of CLIP are not here: hf download nobody/clip"):
        load_clip_score("nobody/clip")
    with pytest.raises(ValueError, match=r"metric\.processor"):
        load_clip_score(str(folder), processor="nobody/clip")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match="no tokenizer or image processor of CLIP"):
        load_clip_score(str(folder))
    (folder / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ValueError) as error:
        load_clip_score(str(folder))
    assert "\n" not in str(error.value) and str(folder) in str(error.value)
