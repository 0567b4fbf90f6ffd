"""The networks behind the metrics: ours for Fashion-MNIST, and EfficientNet-Lite0 on ImageNet."""

import hashlib
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib.cbook
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build
from smoothbench.errors import UsageError
from smoothbench.evaluators import effnet
from smoothbench.evaluators.effnet import SHA256, EfficientNetLite0, SameConv2d, load_effnet
from smoothbench.models.base.lpips_stages import stage_vectors
from smoothbench.models.nano.image import fashion_mnist
from smoothbench.models.nano.image.evaluator import Evaluator, embedded, load_evaluator
from smoothbench.models.nano.image.train_evaluator import write_real
from tests.support.compose import composed

MILITARY_UNIFORM = 652  # of ImageNet's 1,000 classes
needs_weights = pytest.mark.skipif(
    find_spec(effnet.PACKAGE) is None, reason=f"needs the weights: {effnet.INSTALL}"
)


@pytest.fixture(scope="module")
def real() -> Tensor:
    """The embedded real images, [5000, 1, 28, 28]."""
    with np.load(embedded("real/images.npz"), allow_pickle=False) as file:
        return torch.from_numpy(file["arr_0"]).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def ours() -> Evaluator:
    return load_evaluator("evaluator/model.safetensors")


@pytest.fixture(scope="module")
def lite() -> EfficientNetLite0:
    return load_effnet()


def distance(network: Any, a: Tensor, b: Tensor) -> Tensor:
    """Of each pair of images what a perceptual distance makes of the stages."""
    return (network(a)["stages"] - network(b)["stages"]).double().square().sum(1)


def lpips(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """Zhang et al. 2018, equation 1, with weights of 1, position by position."""
    total = 0.0
    for x, y in zip(a, b, strict=True):
        _, height, width = x.shape
        for row in range(height):
            for column in range(width):
                u, v = x[:, row, column], y[:, row, column]
                u, v = u / np.sqrt(u @ u + 1e-8), v / np.sqrt(v @ v + 1e-8)
                total += (u - v) @ (u - v) / (height * width)
    return total


def test_rows_of_stages_are_lpips_arithmetic() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, *shape, generator=generator) for shape in ((4, 6, 5), (7, 3, 3), (2, 1, 1))]
    maps[0][:, :, 2, 3] = 0  # a dead position stays finite
    rows = stage_vectors(maps)
    assert rows.shape == (2, 4 * 30 + 7 * 9 + 2) and rows.dtype == torch.float32
    wanted = lpips(*([stage[i].double().numpy() for stage in maps] for i in range(2)))
    assert (rows[0] - rows[1]).double().square().sum().item() == pytest.approx(wanted, rel=1e-5)
    half = stage_vectors([stage.half() for stage in maps])
    assert half.dtype == torch.float32 and torch.allclose(half, rows, atol=1e-3)


def test_stages_change_no_other_output_of_our_evaluator(ours: Evaluator, real: Tensor) -> None:
    out = ours(real[:16])
    spatial = ours.trunk(ours.stem(real[:16].float() / 127.5 - 1.0))
    assert torch.equal(out["spatial"], spatial)
    assert torch.equal(out["features"], spatial.mean((2, 3)))
    assert torch.equal(out["logits"], ours.head(spatial.mean((2, 3))))
    assert out["stages"].shape == (16, 14 * 14 * 32 * 2 + 7 * 7 * 64 * 2)
    unit = out["stages"][:, -64 * 49 :].view(-1, 64, 7, 7).square().sum(1) * 49
    assert torch.allclose(unit, torch.ones(()), atol=1e-4)


def test_the_embedded_images_are_those_of_the_reference(ours: Evaluator, real: Tensor) -> None:
    assert real.shape == (5000, 1, 28, 28) and real.dtype == torch.uint8
    features = np.concatenate([ours(batch)["features"] for batch in real[:1000].split(100)]).astype(float)
    with np.load(embedded("evaluator/reference.npz"), allow_pickle=False) as reference:
        error = np.sqrt(reference["sigma"].diagonal() / len(features))
        deviation = (features.mean(0) - reference["mu"]) / error
    assert np.sqrt((deviation**2).mean()) < 2  # as far as 1,000 of 10,000 images stray


@pytest.mark.skipif(not fashion_mnist.FOLDER.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_the_embedded_images_can_be_made_again(tmp_path: Path) -> None:
    for name in ("first.npz", "second.npz"):
        write_real(tmp_path / "new" / name)
    first, second = ((tmp_path / "new" / name).read_bytes() for name in ("first.npz", "second.npz"))
    assert first == second
    with np.load(tmp_path / "new" / "first.npz") as new, np.load(embedded("real/images.npz")) as committed:
        assert new.files == committed.files == ["arr_0"]
        assert np.array_equal(new["arr_0"], committed["arr_0"])


@pytest.mark.parametrize("network", ["ours", pytest.param("lite", marks=needs_weights)])
def test_more_damage_is_more_distance(network: str, real: Tensor, request: pytest.FixtureRequest) -> None:
    encoder, images = request.getfixturevalue(network), real[:16]
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    noisy = [(images + sigma * noise).clamp(0, 255).to(torch.uint8) for sigma in (4, 16, 64)]
    blurred = [F.avg_pool2d(images.float(), k, 1, k // 2).to(torch.uint8) for k in (3, 7)]
    for damaged in (noisy, blurred):
        means = [distance(encoder, images, worse).mean().item() for worse in (images, *damaged)]
        assert means[0] == 0 and means == sorted(means) and len(set(means)) == len(means)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [1, 2, 4, 7, 8])
def test_same_padding_is_tensorflows(size: int, kernel: int, stride: int) -> None:
    conv = SameConv2d(1, 1, kernel, stride)
    conv.weight.data.fill_(1.0)
    outputs = -(-size // stride)
    before = max((outputs - 1) * stride + kernel - size, 0) // 2
    starts = [i * stride - before for i in range(outputs)]
    inside = torch.tensor([float(sum(0 <= at < size for at in range(s, s + kernel))) for s in starts])
    assert torch.equal(conv(torch.ones(1, 1, size, size))[0, 0], torch.outer(inside, inside))


def folded(state: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """The network once more, in float64: norms folded into weights, strides by leaving out rows."""
    maps = []

    def layer(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + 1e-3).sqrt()
        weight = state[f"{conv}.weight"] * scale.view(-1, 1, 1, 1)
        bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
        x = F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=x.shape[1] // weight.shape[1])
        return x[:, :, 1::2, 1::2] if stride == 2 else x  # SAME padding, where sizes are even

    x = layer(x, "_conv_stem", "_bn0", 2).clamp(0, 6)
    for index in range(16):
        name = f"_blocks.{index}."
        out = layer(x, f"{name}_expand_conv", f"{name}_bn0").clamp(0, 6) if index else x
        stride = 2 if index in (1, 3, 5, 11) else 1
        maps += [x] * (stride == 2)
        out = layer(out, f"{name}_depthwise_conv", f"{name}_bn1", stride).clamp(0, 6)
        out = layer(out, f"{name}_project_conv", f"{name}_bn2")
        x = out + x if out.shape == x.shape else out
    features = layer(x, "_conv_head", "_bn1").clamp(0, 6).mean((2, 3))
    return {"features": features, "stages": stage_vectors([*maps, x])}


@needs_weights
def test_effnet_equals_its_folded_form(lite: EfficientNetLite0) -> None:
    pixels = torch.randint(256, (3, 3, 64, 64), generator=torch.Generator().manual_seed(2))
    state = {name: value.double() for name, value in lite.state_dict().items()}
    wanted = folded(state, (pixels.double() - 127) / 128)
    for name, rows in lite(pixels.to(torch.uint8)).items():
        assert torch.allclose(rows.double(), wanted[name].double(), rtol=1e-3, atol=1e-4), name


@needs_weights
def test_effnet_knows_what_a_photograph_shows() -> None:
    network = load_effnet(size=224)
    path = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    with Image.open(path) as photograph:
        pixels = np.array(photograph.convert("RGB").crop((0, 0, 512, 512)).resize((224, 224)))
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    with torch.inference_mode():
        assert network._fc(network(image)["features"]).argmax().item() == MILITARY_UNIFORM


@needs_weights
def test_effnet_features_tell_garments_apart(lite: EfficientNetLite0, ours: Evaluator, real: Tensor) -> None:
    images = real[:200]
    features = torch.cat([lite(batch)["features"] for batch in images.split(50)]).double()
    classes = ours(images)["logits"].argmax(1)  # right for 92 %
    nearest = torch.cdist(features, features).fill_diagonal_(torch.inf).argmin(1)
    assert (classes[nearest] == classes).double().mean() > 0.6  # chance: 0.1


@needs_weights
def test_effnet_takes_grey_and_rgb(lite: EfficientNetLite0, real: Tensor) -> None:
    images = real[:4]
    out = lite(images)
    assert {name: tuple(rows.shape) for name, rows in out.items()} == {
        "features": (4, 1280),
        "stages": (4, 32 * 32 * 16 + 16 * 16 * 24 + 8 * 8 * 40 + 4 * 4 * 112 + 2 * 2 * 320),
    }
    assert torch.equal(lite(images.expand(-1, 3, -1, -1))["features"], out["features"])
    alone = torch.cat([lite(image[None])["features"] for image in images])
    assert torch.allclose(alone, out["features"], atol=1e-4)
    assert lite.digest == SHA256 and not lite.training
    assert not any(parameter.requires_grad for parameter in lite.parameters())


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(1, 1, 28, 28),
        torch.zeros(1, 2, 28, 28, dtype=torch.uint8),
        torch.zeros(1, 28, 28, dtype=torch.uint8),
    ],
)
def test_what_is_no_batch_of_images_is_refused(images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"EfficientNet-Lite0 takes uint8 \[N, C, H, W\]"):
        EfficientNetLite0()(images)
    with pytest.raises(ValueError, match=r"the Fashion-MNIST evaluator takes uint8 \[N, 1, 28, 28\]"):
        Evaluator()(images)


@pytest.mark.parametrize("size", [31, 64.0, True, "64"])
def test_a_size_that_cannot_be_is_refused(size: Any) -> None:
    with pytest.raises(ValueError, match=f"size must be a whole number of pixels from 32, not {size}"):
        load_effnet(size)


def test_weights_that_are_not_installed_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, effnet.PACKAGE, None)  # how Python marks what cannot be imported
    node = settings(composed("metrics=[fd_effnet]")).metrics["fd_effnet"]["encoder"]
    with pytest.raises(UsageError) as error:
        build(node, "metrics: encoder")
    assert "pip install -c constraints.txt -e '.[effnet]'" in str(error.value) and "\n" not in str(
        error.value
    )


def test_other_weights_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    with pytest.raises(ValueError, match=r"weights\.pth: No such file.*-e '\.\[effnet\]'"):
        load_effnet(weights=file)
    file.write_bytes(b"not these")
    with pytest.raises(ValueError, match=hashlib.sha256(b"not these").hexdigest()):
        load_effnet(weights=file)


def test_the_configuration_reaches_encoder_and_real_images() -> None:
    metrics = settings(composed("metrics=[image,effnet]")).metrics
    assert {"fd_nano", "fd_effnet", "kid_effnet", "dist_effnet"} <= set(metrics)
    encoders = [metrics[f"{name}_effnet"]["encoder"] for name in ("fd", "kid", "dist")]
    assert encoders[0] == encoders[1] == encoders[2], "so that it runs once"
    assert Path(build(metrics["fd_effnet"]["real"], "real")) == Path(embedded("real/images.npz"))
    assert "real" not in metrics["dist_effnet"]
