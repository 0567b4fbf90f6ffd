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
# # Add a policy
#
# A caching policy is a rule for which layers are computed at which step. This notebook writes one in a dozen lines,
# looks at what it plans and what that costs, and runs it on eight samples against no cache and
# [FORA](https://arxiv.org/abs/2407.01425). The last section makes it a policy of the benchmark: one file, one YAML.
#
# It runs on the small DiT that comes with the repository (28 x 28 pixels, Fashion-MNIST), on the CPU.

# %%
# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"dpi": 100, "bbox_inches": "tight"}
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from baselines.fora import FORA
from baselines.none import NoCache
from metrics.paired import PSNR
from smoothbench.caching import Schedule, cached
from smoothbench.results import load

ROOT = next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "results").is_dir())
SEEDS = range(8)

# %% [markdown]
# ## What a policy sees
#
# A **site** is a place where an output can be kept: one branch (attention or feed-forward) of one block. It has a
# *kind* and a cost. A **trajectory** is the sites and the evaluations of one sampling run, in the order of execution:
# evaluation 0 is the noisiest.

# %%
reference = load(ROOT / "results" / "dit_ddim").point("reference")  # no cache, 50 DDIM steps, guidance 2
bench = reference.rebuild()
trajectory, sites = bench.trajectory, bench.trajectory.sites
print(f"{trajectory.evals} evaluations of {len(sites)} sites, from {sites[0].name} to {sites[-1].name}")
pd.DataFrame({"kind": site.kind, "MACs": site.macs} for site in sites).drop_duplicates().set_index("kind")

# %% [markdown]
# ## The policy
#
# `plan` gives a **schedule**: for each evaluation one bit a site, 1 = compute. Nothing else: the engine keeps the
# outputs and puts them in place, and it does that for every method alike. This policy gives each kind of layer an
# interval of its own.


# %%
@dataclass(frozen=True)
class ByKind:
    """Attention and feed-forward computed at intervals of their own."""

    self_attn: int = 3
    ff: int = 2
    name, version = "by_kind", 1  # by which results are known; other numbers need another version
    needs_curves = False  # True: plan wants error curves, as SmoothCache does

    def plan(self, trajectory, curves=None):
        """A kind without an interval is always computed; evaluation 0 is a multiple of all of them."""
        interval = {"self_attn": self.self_attn, "ff": self.ff}
        every = [interval.get(site.kind, 1) for site in trajectory.sites]
        computed = [[e % n == 0 for n in every] for e in range(trajectory.evals)]
        return Schedule.of(trajectory.sites, computed, {"method": "by_kind", **interval})


# %% [markdown]
# ## What it plans, and what that costs
#
# Each panel is a schedule: evaluations across, sites down, dark = computed. The percentage is the share of MACs,
# attention products and everything that cannot be skipped included.

# %%
policies = {"no cache": NoCache(), "FORA N=2": FORA(2), "FORA N=3": FORA(3), "by kind": ByKind()}
plans = {label: policy.plan(trajectory) for label, policy in policies.items()}
bench.draw_schedules(plans)

# %% [markdown]
# ## Run it
#
# `cached` is the whole interface of the engine: within it the model follows the schedule, after it the model is as it
# was. It takes any schedule, and a **predictor**, which says what stands in for an output that is not computed: the
# last one (`reuse`), or an extrapolation of the last ones (`taylor1`, first order).
#
# All runs start from the same noise, one random generator for each seed.


# %%
def sample(schedule, predictor="reuse"):
    with cached(bench.denoiser, schedule, predictor=predictor) as run:
        images = bench.draw(SEEDS, run)
    return images, run


runs = {label: sample(plan) for label, plan in plans.items()}
runs["by kind, order 1"] = sample(plans["by kind"], "taylor1")

# %% [markdown]
# What it cost and how far the samples are from the uncached ones. The engine counts the forwards that it really
# executed; the MACs from these counts must be those of the plan. PSNR is the score of the benchmark, in dB, higher is
# closer, at most 60; the interval is the usual 95 % of a mean, here of eight samples.

# %%
psnr, (uncached, _) = PSNR(), runs["no cache"]
table = []
for label, (images, run) in runs.items():
    planned = plans[label.removesuffix(", order 1")]
    assert run.calls == planned.calls()
    close = psnr.score(psnr.per_sample(images, uncached)).estimate
    table.append(
        {
            "policy": label,
            "MACs (G)": f"{trajectory.cost(run.calls).total / 1e9:.3f}",
            "MACs (%)": f"{100 * trajectory.share(planned):.1f}",
            "PSNR (dB)": f"{close.value:.1f}",
            "95 %": f"[{close.low:.1f}, {close.high:.1f}]",
        }
    )
pd.DataFrame(table).set_index("policy")

# %% [markdown]
# The samples, one row a policy:

# %%
shares = {label: trajectory.share(plans[label.removesuffix(", order 1")]) for label in runs}
bench.draw_samples({label: images for label, (images, _) in runs.items()}, SEEDS, shares)

# %% [markdown]
# Eight samples show whether a policy works at all. They do not show which of two is better: for that, run the
# benchmark, which scores hundreds of samples against real data as well and compares them in pairs.
#
# ## Make it a policy of the benchmark
#
# One file in `baselines/`, the class as above:
#
# ```python
# # baselines/by_kind.py
# """Attention and feed-forward at intervals of their own."""
#
# from dataclasses import dataclass
#
# from smoothbench.caching import ErrorCurves, Schedule, Trajectory
#
#
# @dataclass(frozen=True)
# class ByKind:
#     """Attention and feed-forward computed at intervals of their own."""
#
#     self_attn: int = 3
#     ff: int = 2
#     name, version = "by_kind", 1
#     needs_curves = False
#
#     def plan(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Schedule:
#         """A kind without an interval is always computed; evaluation 0 is a multiple of all of them."""
#         interval = {"self_attn": self.self_attn, "ff": self.ff}
#         every = [interval.get(site.kind, 1) for site in trajectory.sites]
#         computed = [[e % n == 0 for n in every] for e in range(trajectory.evals)]
#         return Schedule.of(trajectory.sites, computed, {"method": "by_kind", **interval})
# ```
#
# One YAML, `conf/cache/by_kind.yaml`, which names the class, its parameters, and how the tables and plots call it. Its
# first line goes into the README's list of methods, `# NAME: what it does`, with `(arXiv ID)` after the name where
# there is a paper:
#
# ```yaml
# # By kind: computes attention and feed-forward at intervals of their own.
# policy:                  # conf/cache/by_kind.yaml
#   _target_: baselines.by_kind.ByKind
#   self_attn: 3           # interval of the attention branches
#   ff: 2                  # interval of the feed-forward branches
# predictor: reuse         # reuse | taylor1 .. taylor4
# family: by kind
# label: by kind ${.policy.self_attn}, ${.policy.ff}
# ```
#
# No other code changes. The contract tests find the new YAML by themselves; three commands tell them and the README of
# it, and `make quick` runs them:
#
# ```
# python -m docs.readme_parts         # the README's list of methods
# python -m tests.contracts.pin       # the class's code, held to its version
# python -m tests.contracts.freeze    # the ids of its results
# make quick
# ```
#
# The policy runs with all that the benchmark does for the others:
#
# ```
# python -m smoothbench cache=by_kind                            # 256 samples, against no cache on the same seeds
# python -m smoothbench cache=by_kind cache.policy.ff=3 cache.predictor=taylor1
# ```
#
# For a line in the experiment's plot, give it a place in `conf/exp/rivals_image.yaml`: the first line goes into
# `defaults`, before `_self_`, the second under `points`:
#
# ```
#   - /cache@points.by_kind.cache: by_kind
#   by_kind: {sweep: {cache.policy.self_attn: [2, 3], cache.policy.ff: [2, 3]}}
# ```
#
# A policy that decides at run time, from what it sees, has a method `decide(evaluation)` in place of `plan`.
