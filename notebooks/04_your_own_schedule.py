# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: -all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own schedule
#
# From a model to the file that you deploy, in ten cells: record a few samples, plan which evaluations are computed and
# fit weights that stand in for the others, write one file, run it, and see what it costs and loses.
#
# It runs on the small DiT that comes with the repository (28 x 28 pixels, Fashion-MNIST), on the CPU. On a pipeline of
# diffusers the same functions take `pipe.transformer`; `python -m smoothbench stage=tune at=0.22 out=schedule.json`
# does all of this by itself.

# %%
# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 100, "bbox_inches": "tight"}
import json
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd

from metrics.paired import PSNR
from smoothbench.caching import (
    CalibrationBatch,
    Fitted,
    Schedule,
    StateMatching,
    cached,
    calibrate,
    find_sites,
)
from smoothbench.results import load

ROOT = next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "results").is_dir())
bench = load(ROOT / "results" / "dit_ddim").point("reference").rebuild()  # 50 DDIM steps, guidance 2

# %% [markdown]
# ## A calibration batch
#
# Sixteen samples, of seeds that nobody evaluates on. What can be reused here is the **denoiser**'s whole output: a
# skipped evaluation then costs nothing but a weighted sum.

# %%
CALIBRATION, HELD_OUT = range(999_000_000, 999_000_016), range(8)
sites = find_sites(bench.denoiser, "denoiser")
trajectory = calibrate(
    bench.denoiser, lambda run: bench.draw_latents(CALIBRATION[:1], run), sites=sites
).trajectory
batch = CalibrationBatch(
    bench.denoiser, lambda run: bench.draw_latents(CALIBRATION, run), trajectory, rows_per_sample=2
)

# %% [markdown]
# ## Plan, then fit
#
# The plan says which 11 of the 50 evaluations are computed: those from which all others are predicted best. The fit
# gives the weights for this plan, so that the samples go where the uncached ones went.

# %%
plan = Fitted(full=11).plan_on(trajectory, batch)
weights = StateMatching(depth=3).fit(plan, batch)
print("computed:", *[e for e, bits in enumerate(plan.computed) if all(bits)])
print(f"{trajectory.share(plan):.0%} of the MACs; planning ran the batch {batch.spent.runs} times")

# %% [markdown]
# ## The file
#
# One JSON file holds bits and weights. No pickled objects, nothing else is needed.

# %%
path = Path(mkdtemp()) / "schedule.json"
plan.with_predictor(weights).save(path)
content = json.loads(path.read_text())
print({key: type(value).__name__ for key, value in content.items()})
print("weights of the last computed outputs at evaluation 2:", content["_weights"]["table"]["denoiser"][2])

# %% [markdown]
# ## Run it
#
# `cached` finds the weights in the schedule. After the context the model is the original again.


# %%
def sample(schedule, predictor=None):
    with cached(bench.denoiser, schedule, predictor=predictor) as run:
        return bench.draw(HELD_OUT, run)


schedule = Schedule.load(path, sites)
images = {
    "no cache": bench.draw(HELD_OUT),
    "the file": sample(schedule),
    "its plan, order 1": sample(schedule, "taylor1"),
    "its plan, reuse": sample(schedule, "reuse"),
}

# %% [markdown]
# ## What it loses
#
# PSNR to the uncached samples of the same seeds, in dB, with the 95 % interval of a mean over eight samples that
# calibration never saw. All three rows cost the same.

# %%
psnr, table = PSNR(), []
for label, samples in list(images.items())[1:]:
    close = psnr.score(psnr.per_sample(samples, images["no cache"])).estimate
    table.append(
        {"run": label, "PSNR (dB)": f"{close.value:.1f}", "95 %": f"[{close.low:.1f}, {close.high:.1f}]"}
    )
pd.DataFrame(table).set_index("run")

# %%
shares = {label: 1.0 if label == "no cache" else trajectory.share(plan) for label in images}
bench.draw_samples(images, HELD_OUT, shares)

# %% [markdown]
# ## Where it does not belong
#
# A schedule is for one number of steps, one time grid and one denoiser; these weights also remember a step of the
# solver, by which another solver or another guidance is noticed. Here it meets a plan of 30 evaluations.

# %%
other = Schedule.steps(sites, [e % 2 == 0 for e in range(30)])
try:
    other.with_predictor(weights)
except ValueError as error:
    print(error)

# %% [markdown]
# ## In a pipeline
#
# What you deploy needs the file, torch and `smoothbench.caching`:
#
# ```python
# from smoothbench.caching import Schedule, cached, saved_sites
#
# schedule = Schedule.load("schedule.json", saved_sites("schedule.json", pipe.transformer))
# with cached(pipe.transformer, schedule) as run:
#     pipe(class_labels=[207, 360], num_inference_steps=50, guidance_scale=2.0)
# ```
#
# How the file is made by one command, what is in it, and what is noticed where:
# [a schedule of your own](../docs/your_schedule.md).
