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
# # Reproduce a table
#
# A diffusion transformer is called once for each sampling step, and from one step to the next most of its layers
# give almost the same output. A *caching policy* decides which of these outputs are computed and which are taken
# from an earlier step. SmoothBench runs such policies on one engine, on the same noise, and writes down what each
# costs and what it loses.
#
# One experiment is one folder. This notebook reads the published folder `results/dit_ddim`, shows its table, makes
# the table again from the records and compares the bytes, and then makes some of the samples again.

# %%
import json
from pathlib import Path

from smoothbench.caching import cached
from smoothbench.results import load

ROOT = next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "results").is_dir())
RESULTS = ROOT / "results" / "dit_ddim"  # or results/runs/dit_ddim: what you ran yourself

# %% [markdown]
# ## The records
#
# Every point of an experiment (a model, a solver and a policy at one setting) is one JSON file in `records/`, gzipped
# where it is published. `load` reads them all; its `frame` is a DataFrame with one row a point. `groups` are the points
# that may stand in one table: points of another model, of other seeds or from another kind of device are never
# compared. The first group is the largest.

# %%
results = load(RESULTS)
group = results.groups[0]
print(f"{len(results.frame)} records, {len(group.frame)} of them in this table")
print(group.title)
print(f"seeds {group.frame['seeds'].iloc[0]}")
print(f"scores: {', '.join(group.scores)}")

# %% [markdown]
# ## The table
#
# Below is a short form with four of the scores; `report.md` in the folder has all of them.
#
# - **MACs (%)** is counted, not estimated: the multiply-accumulates of the denoiser over the whole trajectory, as a
#   share of the reference's. The **reference** computes everything at every step.
# - **speed-up** is measured: the reference's time over the point's. Compare it with 100 / MACs (%), which is what the
#   count alone would allow.
# - A **score** is the value ± half the width of its 95 % interval. The number after `@` is the number of samples:
#   scores of other counts do not compare. Arrows in the heading say which direction is better; † marks a caution,
#   which `report.md` spells out.
# - `fd_nano` is a Frechet distance in the features of this project's own small classifier, so it is no FID.
#   `psnr` and `ssim` compare each sample with the uncached one that started from the same noise.
# - **In brackets**: the paired difference to the reference on the same seeds. ▲ (better) and ▼ (worse) mark those
#   with p < 0.05 after Holm's correction for the number of policies; without a mark, no difference was shown.
# - Bold is the best of a column, underlined the second; the reference does not compete.

# %%
results.table()

# %% [markdown]
# ## The same bytes again
#
# `table.csv` is the whole frame at full precision, without what is no number (schedules, provenance). `table.tex` is
# the table for a paper. Both are functions of the records alone, so they can be made again at any time, and the files
# in the folder must come out byte for byte.

# %%
for name, made in {"table.csv": group.csv(), "table.tex": group.latex()}.items():
    same = made.encode() == (RESULTS / name).read_bytes()
    print(f"{name}: {len(made.encode())} bytes, {'the same' if same else 'OTHER'} bytes as the file")
    assert same

# %% [markdown]
# The command for this, which also draws all figures again, needs no samples and no model:
#
# ```
# python -m smoothbench.report results/dit_ddim
# ```
#
# ## From a record back to samples
#
# A record says what the point is made of: each part by name, version and parameters, wherever its code lies today.
# That is enough to build the point again. Take one
# that had to be calibrated: SmoothCache measures on other seeds how much each kind of layer changes from step to
# step (the *error curves*, kept in `curves/`), and reuses outputs where the change is small.

# %%
point = results.point("budget-interval=3")
print(point.label)
print(json.dumps(point.record.described.policy.to_json(), indent=2))

# %% [markdown]
# Planned again from the stored curves, the policy must ask for exactly the schedule in the record: one bit for each
# step and each layer.

# %%
curves = point.curves
schedule = point.policy.plan(curves.trajectory, curves)
assert schedule.computed == point.schedule.computed
print(f"{schedule.evals} evaluations x {len(schedule.sites)} layers: the recorded schedule, bit for bit")

# %% [markdown]
# Each folder keeps a few samples of every point in `previews/`, named by their seeds. Run the schedule on the model
# for these seeds, and compare. Kernels round differently on other machines and for other batch sizes, so samples are
# not promised to the bit, only to a grey level in nearly all pixels.

# %%
again = point.rebuild()
with cached(again.denoiser, schedule) as run:
    samples = again.draw(point.previews, run)
published = again.read_samples(point.previews.values())
agree = (samples.int() - published.int()).abs() <= 1
print(f"{len(samples)} samples made again: {agree.float().mean():.1%} of the pixels agree to a grey level")
assert agree.float().mean() > 0.95

# %% [markdown]
# ## Everything again
#
# In a clone, `make demo` installs and runs the experiment at its small size, and writes to `results/runs/dit_ddim`:
#
# ```
# make demo                                   # most points of python -m smoothbench +exp=dit_ddim
# ```
#
# The published numbers have several *seed blocks*: sample i of block b has the seed b x 10^6 + i, as the seeds above
# show. Hydra's multirun (`-m`) runs one block after the other, and the blocks are merged into one record a point.
# Four blocks of 512 samples, with the additional scores:
#
# ```
# python -m smoothbench -m +exp=dit_ddim seed=0,1,2,3 num_samples=512 'metrics=[image,effnet]'
# python -m smoothbench.report results/runs/dit_ddim --publish results/dit_ddim
# ```
#
# What is done is not done again: stop either command at any moment, and the same command goes on. MACs and schedules
# come out as here; scores up to the rounding of samples; latency is that of your machine.
#
# Next: [how to read the Pareto plot](02_read_a_pareto_plot.ipynb), [how to add a policy](03_add_a_policy.ipynb).
