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

from IPython.display import Markdown

from smoothbench.report import load
from smoothbench.report.data.frame import higher_is_better, scores, settings
from smoothbench.report.figures.contact_sheet import contact_sheet
from smoothbench.report.figures.pareto_front import front
from smoothbench.report.figures.pareto_plot import pareto
from smoothbench.report.figures.schedule_raster import schedules
from smoothbench.report.tables.pairing_gain import block_spread, pairing_gain
from smoothbench.report.tables.point_tables import fidelity_columns, headline, ranking, strings
from smoothbench.report.tables.text import to_markdown
from smoothbench.report.tables.two_points import compare

ROOT = next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "results").is_dir())
RESULTS = ROOT / "results" / "dit_ddim"  # or results/runs/dit_ddim: what you ran yourself
FIRST, SECOND = "budget-interval=3", "fora-orientation=mirrored-interval=3"  # two points, by name

_, part = next(settings(load(RESULTS)))
quality, fidelity = headline(part)[:2]
print(f"quality: {quality}, fidelity: {fidelity}, of {len(scores(part))} scores")

# %% [markdown]
# ## The plot
#
# `pareto` draws one panel for each score. Two are enough to learn to read them: how good the samples are as images
# (*quality*: against real data) and how close they stay to the uncached samples of the same seeds (*fidelity*).
# The whole plot is in [results/dit_ddim](../results/dit_ddim/pareto_macs.png).

# %%
others = [f"{score}.higher_is_better" for score in scores(part) if score not in (quality, fidelity)]
two = part.drop(columns=others)  # without its direction a score is not drawn
pareto(two)

# %% [markdown]
# - **Across**: cost, logarithmic, cheaper to the left. **Up**: the score; the label of the axis says which direction
#   is better. You want to be on the left, and low or high as the label says.
# - **The star** is the reference: nothing cached, all steps. **The grey band** is its 95 % interval. A point inside
#   the band may still be worse than the reference: see below.
# - **The bars** are 95 % intervals too: how far the score would move with other seeds.
# - **The dashed grey line** is the honest rival: no cache, just fewer steps. It takes no method at all, so a policy
#   that does not beat it at the same cost has not earned its place.
# - **The pale stair line** is the Pareto front. A point is on it if no other point is at least as good in both cost
#   and score, and better in one. Points that another beats are faded; those on the front have their setting beside
#   them, where there is room.
#
# The fidelity panel has no band: the uncached samples are at no distance from themselves.
#
# The front is drawn through the values, without their bars. Points come to be on it by luck as well:

# %%
on_front = front(part["macs"], part[quality], higher_is_better(part, quality))
part.loc[on_front, ["label", "share", quality, f"{quality}.low", f"{quality}.high"]].round(3)

# %% [markdown]
# The same against **latency**, which is measured. Here the bars across are the median absolute deviation over the
# rounds of the measurement. A point that lies further right among the others here than above saves less time than its
# MACs promise.

# %%
pareto(two, "latency")

# %% [markdown]
# ## Is the difference real?
#
# Two bars that overlap do not say that two points are equal. Every point starts from the same noise, so a seed that
# is hard for one policy is mostly hard for the other as well, and that part of the luck cancels in the difference.
# `compare` takes the difference sample by sample. Here are two policies at about the same MACs:

# %%
part.loc[part["name"].isin([FIRST, SECOND]), ["name", "label", "share", "speedup_measured"]].round(3)

# %%
print(compare(RESULTS, FIRST, SECOND))

# %% [markdown]
# An interval that excludes 0 is a difference; one that includes it is *not* a proof that there is none. The p-values
# are not corrected: with many scores, or many pairs tried, expect some below 0.05 by luck.
#
# How much the pairs buy, over all points: the standard error of an unpaired difference to the reference, over that
# of the paired one. A `gain` of 2 is worth four times as many samples.

# %%
pairing_gain(part).round(2)

# %% [markdown]
# What the two policies do is not the same, though it costs the same. Dark is computed, pale is reused:

# %%
pair = part[part["name"].isin([FIRST, SECOND]) | part["reference"]]
schedules(pair)

# %% [markdown]
# ## The worst samples
#
# A mean hides a policy that is fine on most seeds and breaks on a few. `worst 5 %` is a bound: 5 % of the samples are
# at least this far from the uncached sample of the same seed. Two policies may change places between the mean and
# the tail.

# %%
columns = fidelity_columns(two)
Markdown(to_markdown(strings(columns), ranking(columns)))

# %% [markdown]
# The first seeds of the two policies under the reference. Look for images that changed what they show, not for
# small differences:

# %%
contact_sheet(pair, RESULTS / "previews")

# %% [markdown]
# ## Are the error bars right?
#
# The errors come from one formula (the influence of each sample on the score). *Seed blocks* check it: the same score
# from disjoint sets of seeds. If the formula is right, the spread of B blocks, over the square root of B, is about
# the error of all of them together, and `ratio` about 1. With few blocks it is a rough check; a ratio far above 1 says
# that the bars of this score are too short. For scores that depend on the number of samples (such as Frechet
# distances), the values of the blocks are not around the value of the whole.

# %%
block_spread(part).round(3)

# %% [markdown]
# The values of the blocks for one point:

# %%
row = part[part["name"] == FIRST].iloc[0]
print(f"{row['label']}, {quality}: {row[quality]:.3f} from all samples; by block:")
print(", ".join(f"{value:.3f}" for value in row[f"{quality}.blocks"]) or "one block only")

# %% [markdown]
# From the command line, the same without a notebook:
#
# ```
# python -m smoothbench.report results/dit_ddim                                       # tables and figures
# python -m smoothbench.report results/dit_ddim --compare budget-interval=3 fora-orientation=mirrored-interval=3
# ```
#
# Next: [how to add a policy](03_add_a_policy.ipynb).
