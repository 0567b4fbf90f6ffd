"""Error curves, composition, and the studies of calibration: numbers by hand, and pictures that are drawn."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer
from scipy.stats import spearmanr

from smoothbench.caching import ErrorCurves
from smoothbench.report import load
from smoothbench.report.figures.composition import composition
from smoothbench.report.figures.error_curves import by_sample, calibrated, error_curves, thresholds
from smoothbench.report.figures.legend import front_style
from smoothbench.report.figures.pareto_plot import MOST, pareto
from smoothbench.report.figures.style import MUTED
from smoothbench.report.studies import calibration_size, calibration_variance
from smoothbench.report.studies.named_sections import named_sections
from smoothbench.report.studies.section import Section
from tests.support.study_folder import add, calibration, curves_of, fixed, smoothcache


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A reference, fewer steps, a fixed interval, and SmoothCache on a small and a large calibration."""
    folder = tmp_path / "dit_ddim"
    add(folder, "no cache", fixed(12))
    add(folder, "fewer", fixed(6), 0.4, family="no cache", full_evals=12, reference_id="r")
    add(folder, "FORA N=2", fixed(12, 2), 0.3)
    for samples in (3, 8):
        curves = curves_of(samples)
        stated = calibration(folder, curves)
        for alpha in (0.08, 0.2):
            name = f"SmoothCache alpha={alpha} of {samples}"
            add(folder, name, smoothcache(curves, alpha), 0.2, calibration=stated)
    other = curves_of(20, evals=6)  # larger, but of another number of steps than the reference's
    add(folder, "six", smoothcache(other, 0.1), 0.5, full_evals=12, calibration=calibration(folder, other))
    for path in (folder / "records").glob("*.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"reference_id": "r"}))
    return folder


@pytest.fixture
def size_study(tmp_path: Path) -> Path:
    """The study of calibration size: more samples, steadier schedules."""
    folder = tmp_path / "calibration_size"
    add(folder, "no cache", fixed(12))
    for size in (1, 5, 50):
        for draw in range(6):
            curves = curves_of(size, seed=100 * size + draw, noise=0.25)
            stated = calibration(folder, curves, draw)
            for alpha in (0.12, 0.2):
                name = f"alpha={alpha} of {size}, draw {draw}"
                add(folder, name, smoothcache(curves, alpha), alpha + 0.01 * draw, calibration=stated)
    return folder


@pytest.fixture
def variance_study(tmp_path: Path) -> Path:
    """The study of calibration variance: eight settings, the noisier the worse."""
    folder = tmp_path / "calibration_variance"
    for i, (solver, evals, guidance) in enumerate(
        (s, e, g) for s in ("ddim", "dpmpp") for e in (12, 20) for g in (1.0, 4.0)
    ):
        curves = curves_of(10, evals, i, noise=0.05 * (i + 1))
        where: dict[str, Any] = {"solver": solver, "guidance": guidance}
        add(folder, "no cache", fixed(evals), **where)
        for n in (2, 3):
            add(folder, f"FORA N={n}", fixed(evals, n), 0.1 * n + 0.01 * (i % 3), **where)
            plan, stated = smoothcache(curves, 0.06 * n), calibration(folder, curves)
            loss = 0.1 * n + 0.02 * i
            add(folder, f"SmoothCache at FORA N={n}", plan, loss, calibration=stated, **where)
    return folder


def only_section(frame: pd.DataFrame) -> Section:
    """The section that the experiment's YAML names."""
    sections = named_sections(frame)
    assert sections.summarise and not sections.failed
    (section,) = sections.made
    return section


def test_bands_are_t_intervals_of_the_samples(results: Path) -> None:
    frame = load(results)
    figure = error_curves(frame, results)
    panels = [axes for axes in figure.axes if axes.get_title("left")]
    assert [axes.get_title("left") for axes in panels] == ["self attn", "ff"]
    line = panels[0].lines[1]  # lag 2
    curves = ErrorCurves.load(
        results / next(c.file for c in frame["calibration"] if c and c.num_samples == 8)
    )
    by_hand = (curves.l1_diff / curves.l1[..., None])[:, [0, 2], :, 1].mean(1).numpy()  # blocks 0 and 1
    assert np.array_equal(line.get_xdata(), np.arange(2, 12))
    np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), by_hand.mean(0)[2:], rtol=1e-12)
    band = np.asarray(panels[0].collections[1].get_paths()[0].vertices)
    half = 2.3646 * by_hand.std(0, ddof=1)[5] / np.sqrt(8)  # t of 7 degrees of freedom
    at_five = band[band[:, 0] == 5][:, 1]
    assert at_five.max() - at_five.min() == pytest.approx(2 * half, rel=1e-4)


def test_the_references_steps_and_the_most_samples_are_drawn(results: Path) -> None:
    frame = load(results)
    figure = error_curves(frame, results)
    assert "12 steps: calibration on 8 samples of seed block 999" in figure.get_suptitle()
    thin = [line for line in figure.axes[0].lines if line.get_color() == MUTED]
    assert sorted(float(np.asarray(line.get_ydata())[0]) for line in thin) == [0.08, 0.2]
    stated = next(c for c in frame["calibration"] if c and c.num_samples == 20)
    assert thresholds(frame, stated) == [0.1]
    (results / stated.file).unlink()
    assert len(calibrated(frame, results)) == 4


def test_one_sample_has_no_band_and_no_file_is_an_error(tmp_path: Path) -> None:
    curves = curves_of(1)
    add(tmp_path / "e", "no cache", fixed(12))
    stated = calibration(tmp_path / "e", curves)
    add(tmp_path / "e", "one", smoothcache(curves, 0.2), 0.1, calibration=stated)
    frame = load(tmp_path / "e")
    text = [each.get_text() for each in error_curves(frame, tmp_path / "e").legends[0].get_texts()]
    assert text == ["lag 1", "lag 2", "lag 3", "thresholds alpha of the points"]
    (tmp_path / "e" / stated["file"]).unlink()
    with pytest.raises(ValueError, match="run the experiment first"):
        error_curves(frame, tmp_path / "e")


def test_bars_add_up_to_the_reference(results: Path) -> None:
    frame = load(results)
    axes = composition(frame).axes[0]
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels == list(frame["label"])
    bars = [[bar.get_width() for bar in bars] for bars in axes.containers]
    assert len(bars) == 2 * 3  # two kinds and the rest, computed and skipped
    np.testing.assert_allclose(np.sum(bars, axis=0), 100)
    np.testing.assert_allclose(np.sum(bars[:3], axis=0), 100 * frame["share"])
    assert bars[0][labels.index("FORA N=2")] == pytest.approx(100 * 2 * 6 / (12 * 4.4))
    assert axes.texts[labels.index("fewer")].get_text() == "50 %"


def test_composition_needs_the_references_cost(results: Path) -> None:
    frame = load(results)
    with pytest.raises(ValueError, match="run the experiment first"):
        composition(frame[~frame["reference"]])
    many = pd.concat([frame] * 12, ignore_index=True)
    distinct = {tuple(each.items()) for each in frame["by_kind"]}
    assert len(composition(many).axes[0].get_yticklabels()) == len(distinct) - 1 + 12  # and all references


@pytest.mark.parametrize("x", ["macs", "latency"])
@pytest.mark.slow
def test_error_bars_on_both_axes_and_the_line_of_fewer_steps(results: Path, x: str) -> None:
    frame = load(results).assign(
        latency=lambda f: f["share"], **{"latency.mad": 0.01, "latency.device": "cpu"}
    )
    more = {"latency.kind": "cpu", "latency.batch_size": 8, "fd_nano@64.delta.p.holm": 0.01}
    axes = pareto(frame.assign(**more), x).axes[0]
    bars = [bar for bar in axes.containers if isinstance(bar, ErrorbarContainer)]
    assert {bar.has_yerr for bar in bars} == {True}
    assert {bar.has_xerr for bar in bars} == {x == "latency"}
    dashed = [line for line in axes.lines if line.get_linestyle() == "--" and np.size(line.get_xdata()) == 2]
    assert len(dashed) == 1  # no cache, 12 and 6 steps
    assert sum(line.get_linewidth() == front_style()["linewidth"] for line in axes.lines) == 1


@pytest.mark.slow
def test_many_scores_are_drawn_real_data_first_and_the_rest_named(results: Path) -> None:
    frame = load(results).assign(**{"fd_nano@64.delta.p.holm": 0.01, "fd_inf_nano@64.delta.p.holm": 0.01})
    own = [name for name in frame if str(name).startswith("psnr")]
    copies = {f"{name.replace('psnr', f'psnr{i}')}": frame[name] for i in range(13) for name in own}
    figure = pareto(pd.concat([frame, pd.DataFrame(copies)], axis="columns"))
    titles = [axes.get_title("left") for axes in figure.axes if axes.get_title("left")]
    assert len(titles) == MOST and titles[:2] == ["fd_nano@64", "fd_inf_nano@64"]
    assert figure.get_supxlabel().replace("\n", " ").endswith("for want of room: psnr12@64, dist_nano@64")


def test_calibration_size_by_hand(size_study: Path) -> None:
    frame = load(size_study)
    rows = calibration_size.table(frame)
    assert list(rows["alpha"]) == [0.12] * 3 + [0.2] * 3 and list(rows["size"]) == [1, 5, 50] * 2
    own = frame[frame["label"].str.contains("alpha=0.12 of")]
    plans = {
        each: [s.rows for s in own.loc[own["label"].str.contains(f"of {each},"), "schedule"]]
        for each in (1, 50)
    }
    most = max(plans[50], key=plans[50].count)
    assert list(rows["modal"].iloc[[0, 2]]) == [plans[size].count(most) for size in (1, 50)]
    assert rows["schedules"].iloc[0] == len(set(plans[1])) > rows["schedules"].iloc[2]
    assert rows["fd_nano@64.mean"].iloc[0] == pytest.approx(2.0 + 0.12 + 0.025)
    assert rows["psnr@64.sd"].iloc[0] == pytest.approx(0.04 * np.std(range(6), ddof=1))
    assert rows["share.low"].iloc[0] < rows["share.high"].iloc[0]


def test_calibration_size_is_told_and_drawn(size_study: Path) -> None:
    frame = load(size_study)
    made = only_section(frame)
    text = "\n".join(made.lines)
    assert "### alpha = 0.12" in text and "fd_inf_nano@64 - no cache" in text and " of 6 |" in text
    [(name, draw)] = made.pictures.items()
    figure = draw()
    assert name == "calibration_size"
    assert [axes.get_title("left") for axes in figure.axes][2:] == ["psnr@64", "fd_nano@64 - no cache"]
    assert np.shape(figure.axes[1].collections[0].get_offsets())[0] == 3 * 6


def test_spread_by_hand() -> None:
    curves = curves_of(4)
    by_kind = []
    for sites in ([0, 2], [1, 3]):
        changes = (curves.l1_diff[..., 0] / curves.l1)[:, sites].mean(1)[:, 1:-1]
        by_kind.append((changes.std(0, correction=1) / changes.mean(0)).mean())
    assert curves.between_sample_cv() == pytest.approx(float(sum(by_kind)) / 2)
    assert curves_of(4, noise=0.0).between_sample_cv() == pytest.approx(0, abs=1e-12)
    assert curves_of(1).between_sample_cv() is None
    assert by_sample(curves, "ff", 2).shape == (4, 12)


def test_spearman_agrees_with_scipy() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 30))
    rho, p_value = calibration_variance.spearman(x, y + 0.4 * x)
    exact = spearmanr(x, y + 0.4 * x)
    assert rho == pytest.approx(exact.statistic) and p_value == pytest.approx(exact.pvalue, abs=0.02)
    assert calibration_variance.spearman(np.arange(9.0), np.arange(9.0))[1] < 1e-3
    assert np.isnan(calibration_variance.spearman(np.arange(3.0), np.ones(3))[0])


@pytest.mark.slow
def test_calibration_variance_is_told_and_drawn(variance_study: Path) -> None:
    frame = load(variance_study)
    rows = calibration_variance.points(frame)
    assert len(rows) == 16 and rows["spread"].nunique() == 8
    rivals = frame.loc[rows.loc[rows["rival"] >= 0, "rival"]]
    assert len(rivals) and set(rivals["family"]) == {"FORA"}
    made = only_section(frame)
    text = "\n".join(made.lines)
    assert text.count("| setting |") == 2 and "dpmpp, 20 steps, guidance 4" in text
    assert text.count("- psnr@64: rho = -1.00, p = 5e-05 (n = 8)") == 2
    [(name, draw)] = made.pictures.items()
    figure = draw()
    assert name == "calibration_variance" and len(figure.axes) == 2 * 3
    assert figure.axes[0].get_xlabel().startswith("rho = -")


def test_other_experiments_are_no_study(results: Path) -> None:
    frame = load(results)
    assert named_sections(frame).made == [] and not named_sections(frame).summarise
