"""Inception with seeded random weights, random images, and ADM's definitions written out."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.linalg import LinAlgWarning, sqrtm
from torch import Tensor, nn
from torch.nn import functional as F

from metrics.features import Features, FloatArray
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.evaluators import inception
from smoothbench.evaluators.inception import Inception
from smoothbench.scoring.scorer import Scorer
from smoothbench.storage.feature_cache import FeatureCache
from tests.support.compose import composed


def save_random_weights(path: Path, seed: int = 0) -> None:
    """A state dict with the keys of the published file, which keep the features alive to the last layer."""
    base: Any = inception._extractor_class()

    class Unfilled(base):  # type: ignore[misc]
        def load_state_dict(self, *_: Any) -> None:
            """The constructor has nothing to load yet."""

    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Unfilled("random", ["2048"], nothing)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.bias, std=0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
        nn.init.normal_(network.fc.weight, std=0.5)  # so that the classes differ
    state = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    torch.save(state, path)


def images(count: int, seed: int, contrast: float = 1.0) -> Tensor:
    """Random clouds of colour, uint8 [count, 3, 28, 28]."""
    generator = torch.Generator().manual_seed(seed)
    clouds = F.interpolate(torch.randn(count, 3, 4, 4, generator=generator), (28, 28), mode="bilinear")
    return (128 + 60 * contrast * clouds).round().clamp(0, 255).to(torch.uint8)


def moments(rows: Features) -> tuple[FloatArray, FloatArray]:
    """Mean and unbiased covariance, sample by sample."""
    mean = sum(row.astype(np.float64) for row in rows) / len(rows)
    sigma = np.zeros((mean.size, mean.size))
    for row in rows:
        sigma += np.outer(row - mean, row - mean)
    return mean, sigma / (len(rows) - 1)


def frechet(x: Features, y: Features) -> float:
    """The distance with scipy's root of the product of the covariances, as ADM's evaluator has it.

    Both sets turned into the space that they span, which changes no distance: 400 numbers instead of 2048.
    """
    basis = np.linalg.qr(np.concatenate([x, y]).astype(np.float64).T)[0]
    (mu1, sigma1), (mu2, sigma2) = moments(x @ basis), moments(y @ basis)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)  # 200 samples leave it singular, yet right to 1e-8
        root = np.trace(sqrtm(sigma1 @ sigma2))
    assert abs(np.imag(root)) < 1e-3
    return float((mu1 - mu2) @ (mu1 - mu2) + np.trace(sigma1) + np.trace(sigma2) - 2 * np.real(root))


def inception_score(logits: Features, split: int) -> float:
    """The mean over consecutive splits, class by class."""
    scores = []
    for start in range(0, len(logits), split):
        part = logits[start : start + split].astype(np.float64)
        p = np.stack([np.exp(row - row.max()) / np.exp(row - row.max()).sum() for row in part])
        kl = [sum(q * (np.log(q) - np.log(m)) for q, m in zip(row, p.mean(0), strict=True)) for row in p]
        scores.append(np.exp(np.mean(kl)))
    return float(np.mean(scores))


def covered(of: Features, by: Features, k: int = 3) -> float:
    """Share of rows inside a ball around one of the others that reaches to its k-th neighbour."""
    of, by = of.astype(np.float64), by.astype(np.float64)
    radii = [np.sort(np.linalg.norm(by - centre, axis=1))[k] for centre in by]  # the 0th is itself
    inside = [any(np.linalg.norm(by - row, axis=1) <= radii) for row in of]
    return float(np.mean(inside))


def encoded(network: Inception, batch: Tensor) -> dict[str, Features]:
    """Features, logits, and the first 7 channels of the map, channels last, as a hook of its own sees them."""
    maps: list[Tensor] = []
    handle = network.extractor.Mixed_6d.branch1x1.register_forward_hook(lambda *call: maps.append(call[2]))
    with torch.inference_mode():
        outputs = [network(part) for part in batch.split(50)]
    handle.remove()
    spatial = torch.cat(maps).numpy()
    flat = [
        spatial[:, c, i, j]
        for i in range(spatial.shape[2])
        for j in range(spatial.shape[3])
        for c in range(7)
    ]
    found = {name: torch.cat([out[name] for out in outputs]).numpy() for name in ("features", "logits")}
    return found | {"spatial": np.stack(flat, axis=1)}


def reference(path: Path, pictures: Tensor, rows: dict[str, Features], **changes: Any) -> Path:
    """A reference batch with ADM's keys."""
    arrays = {"arr_0": pictures.permute(0, 2, 3, 1).numpy()}
    for suffix, name in (("", "features"), ("_s", "spatial")):
        arrays |= {f"mu{suffix}": rows[name].mean(0, np.float64), f"sigma{suffix}": np.cov(rows[name].T)}
    np.savez(path, **{key: value for key, value in (arrays | changes).items() if value is not None})
    return path


def scorer(folder: Path, adm: Path | str, weights: Path | str | None, *names: str) -> Scorer:
    """As an experiment makes it from the configuration, for the embedded model's 28 x 28 pixels.

    `weights`: None leaves the encoder out, for time.
    """
    chosen = f"metrics=[{','.join(names or ['adm'])}]"
    cfg = settings(composed(chosen, f"+model.evaluation.adm={adm}", f"+model.evaluation.inception={weights}"))
    left_out = () if weights else ("encoder",)
    nodes = {name: {k: v for k, v in node.items() if k not in left_out} for name, node in cfg.metrics.items()}
    return Scorer(nodes, build_model(cfg.model, torch.device("cpu")), FeatureCache(folder))
