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
# # Read a Pareto plot
#
# Which caching policy gives the most speed for the least loss? The plot of an experiment answers at a glance, and a
# glance can mislead. This notebook takes the plot of `results/dit_ddim` apart, and then asks the three questions that
# it cannot answer: is the difference between two points real, what happens to the worst samples, and are the error
# bars right?
#
# [Reproduce a table](01_reproduce_a_table.ipynb) explains where the numbers come from.

# %%
# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 80, "bbox_inches": "tight"}
from pathlib import Path

from smoothbench.results import load

ROOT = next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "results").is_dir())
RESULTS = ROOT / "results" / "dit_ddim"  # or results/runs/dit_ddim: what you ran yourself
FIRST, SECOND = "budget-interval=3", "fora-orientation=mirrored-interval=3"  # two points, by name

results = load(RESULTS)
group, frame = results.groups[0], results.groups[0].frame  # the points that may be compared
quality, fidelity = group.headline[:2]
print(f"quality: {quality}, fidelity: {fidelity}, of {len(group.scores)} scores")

# %% [markdown]
# ## The plot
#
# `pareto` draws one panel for each score, or for those that you name. Two are enough to learn to read them: how good
# the samples are as images (*quality*: against real data) and how close they stay to the uncached samples of the same
# seeds (*fidelity*).
# The whole plot is in [results/dit_ddim](../results/dit_ddim/pareto_macs.png).

# %%
results.pareto(scores=[quality, fidelity])

# %% [markdown]
# - **Across**: cost, logarithmic, cheaper to the left. **Up**: the score; the label of the axis says which direction
#   is better. You want to be on the left, and low or high as the label says.
# - **The star** is the reference: nothing cached, all steps. The quality panel shows the *paired difference* to it on
#   the same seeds, so that the star lies at 0. The values themselves are in the table.
# - **The bars** are 95 % intervals of what is drawn: how far it would move with other seeds. Where a bar of the quality
#   panel does not reach the line at 0, the point differs from the reference.
# - **The dashed grey line** is the honest rival: no cache, just fewer steps; the band is its interval. It takes no
#   method at all, so a policy that does not beat it at the same cost has not earned its place.
# - **The pale stair line** is the Pareto front. A point is on it if no other point is at least as good in both cost
#   and score, and better in one. Points that another beats are faded; those on the front have their setting beside
#   them, where there is room.
#
# The fidelity panel has no star: the uncached samples are at no distance from themselves.
#
# The front is drawn through the values, without their bars. Points come to be on it by luck as well:

# %%
group.front(quality)[["label", "share", quality, f"{quality}.low", f"{quality}.high"]].round(3)

# %% [markdown]
# The same against **latency**, which is measured. Here the bars across are the median absolute deviation over the
# rounds of the measurement. A point that lies further right among the others here than above saves less time than its
# MACs promise.

# %%
results.pareto("latency", scores=[quality, fidelity])

# %% [markdown]
# ## Is the difference real?
#
# The bars compare each point with the reference, not with another point. Every point starts from the same noise, so a
# seed that is hard for one policy is mostly hard for the other as well, and that part of the luck cancels in the
# difference.
# `compare` takes the difference sample by sample. Here are two policies at about the same MACs:

# %%
frame.loc[frame["name"].isin([FIRST, SECOND]), ["name", "label", "share", "speedup_measured"]].round(3)

# %%
print(results.compare(FIRST, SECOND))

# %% [markdown]
# An interval that excludes 0 is a difference; one that includes it is *not* a proof that there is none. The p-values
# are not corrected: with many scores, or many pairs tried, expect some below 0.05 by luck.
#
# How much the pairs buy, over all points: the standard error of an unpaired difference to the reference, over that
# of the paired one. A `gain` of 2 is worth four times as many samples.

# %%
group.pairing_gain().round(2)

# %% [markdown]
# What the two policies do is not the same, though it costs the same. Dark is computed, pale is reused:

# %%
uncached = frame.loc[frame["reference"], "name"].iloc[0]
group.schedules([uncached, FIRST, SECOND])

# %% [markdown]
# ## The worst samples
#
# A mean hides a policy that is fine on most seeds and breaks on a few. `worst 5 %` is a bound: 5 % of the samples are
# at least this far from the uncached sample of the same seed. Two policies may change places between the mean and
# the tail.

# %%
group.fidelity_table(scores=[quality, fidelity])

# %% [markdown]
# The first seeds of the two policies under the reference. Look for images that changed what they show, not for
# small differences:

# %%
group.contact_sheet([uncached, FIRST, SECOND])

# %% [markdown]
# ## Are the error bars right?
#
# The errors come from one formula (the influence of each sample on the score). *Seed blocks* check it: the same score
# from disjoint sets of seeds. If the formula is right, the spread of B blocks, over the square root of B, is about
# the error of all of them together, and `ratio` about 1. With few blocks it is a rough check; a ratio far above 1 says
# that the bars of this score are too short. For scores that depend on the number of samples (such as Frechet
# distances), the values of the blocks are not around the value of the whole.

# %%
group.block_spread().round(3)

# %% [markdown]
# The values of the blocks for one point:

# %%
point = results.point(FIRST)
score = point.scores[quality]
print(f"{point.label}, {quality}: {score.value:.3f} from all samples; by block:")
print(", ".join(f"{value:.3f}" for value in score.blocks or ()) or "one block only")

# %% [markdown]
# From the command line, the same without a notebook:
#
# ```
# python -m smoothbench.report results/dit_ddim                                       # tables and figures
# python -m smoothbench.report results/dit_ddim --compare budget-interval=3 fora-orientation=mirrored-interval=3
# ```
#
# Next: [how to add a policy](03_add_a_policy.ipynb).
