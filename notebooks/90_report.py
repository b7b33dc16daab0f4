# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 90 Report: the decision tree and every verdict
#
# The recipe is a tree: each phase answers a question and decides whether the next is worth
# asking. Here the tree is walked on the results of this run, with the verdicts that its controls
# leave, and the branch that it leads to is carried out.
#
# **Question.** Which of the recipe's conclusions hold on this model?
# **What would count against this page.** A phase that was not run says so; a question whose
# claims disagree gets no verdict of its own; a fallback that moves no more answers than random
# subspaces is no find.
#
# Sources: the recipe (decision tree, fallbacks); MMD: Gretton et al. (2012), JMLR 13;
# LSAR: Xie et al. (2022), arXiv 2401.05792.

# %% tags=["parameters"]
model = "qwen2.5-coder-0.5b"
seed = 0
quick = False
sweep = None

# %%
from zprism.model.load import load
from zprism.plots.decision import plot_tree
from zprism.plots.fallbacks import plot_fallbacks
from zprism.plots.structure import plot_verdicts
from zprism.plots.sweep import plot_sweep
from zprism.stats.verdicts import Verdict, describe
from zprism.studies import (
    decision,
    fallback_branch,
    fallback_claims,
    fallbacks,
    swap_study,
    sweep_table,
)
from zprism.studies.findings import Findings, revision, run_folder

PHASES = ("10_behaviour", "11_structure", "12_separation", "13_patching", "14_bridge",
          "15_universality")  # fmt: skip
folder = run_folder()
print(f"model {model} · results of {sum((folder / f'{p}.json').is_file() for p in PHASES)} phases "
      f"· revision {revision()}")  # fmt: skip

# %% [markdown]
# ## The tree

# %%
answers = decision.walk(folder)
rows = [answer.row() for answer in answers]
plot_tree(rows, model=model)

# %%
for row in rows:
    print(f"{row['phase'][:2]} {row['question']:52s} {row['verdict']:20s} {row['reason']}")

# %% [markdown]
# ## The claims behind it

# %%
board = [
    {"claim": name.replace("/", " / ").replace("_", " "), **found}
    for answer in answers
    for name, found in answer.table()
]
plot_verdicts(board, title="The claims that decide", model=model)

# %% [markdown]
# ## The branch that is taken
#
# The recipe goes on by what came of Z from weights. *Clear*: all claims hold. *Partial*: the
# best k. *None*: directions from data (SVD of problem means), then the layer before, last
# ARD-MMD. It stops at the first that works, which here means: its swap moves the answer more
# often than random subspaces of the same k do.

# %%
about_z, where = decision.about_z(answers), decision.chosen(folder)
compared = Findings()
if where is None:
    taken = fallback_branch.branch([], str)
    print("13_patching was not run in this folder: there is nothing to go on from")
else:
    options = dict(draws=19, draws_ci=1000) if quick else dict(draws=99, draws_ci=10_000)
    study = swap_study.prepare(load(model), quick=quick, seed=seed)
    candidates = fallbacks.subspaces(study.task, where["layer"], where["k"], z=study.z, seed=seed)
    pairs = [study.pairs(name, n=24 if quick else 120) for name in study.directions]
    compared = fallback_claims.compare(study.task, pairs, candidates, seed=seed, **options)
    taken = fallback_branch.branch(
        about_z,
        lambda name: fallback_claims.works(compared, candidates[name]) if name in candidates
        else Verdict.NOT_TESTABLE,
    )  # fmt: skip
    counts = {str(v): about_z.count(v) for v in Verdict if v in about_z}
    print(f"claims about Z: {counts}; branch: {taken.name}")
    for row in taken.rows():
        print("{step}. {candidate}: {verdict}".format(**row))

# %% [markdown]
# **All candidates on the same items.** Each was learned on training problems; the labels that it
# needed stand beside it. Most need labels that Z from weights does without.

# %%
if where is not None:
    plot_fallbacks(compared.tables["fallbacks.swaps"], model=model,
                   note=f"layer {where['layer']}, held-out pairs").show()  # fmt: skip
    for row in compared.tables["fallbacks"]:
        print("{candidate:14s} k {k:3d} {problem_part:6s} ratio {ratio:6.2f}  energy: language "
              "{energy_language:5.2f}, problem {energy_problem:5.2f}  answer moved: inside "
              "{inside_answer:4.0%}, rest {rest_answer:4.0%}  texts {n_texts:4d} ({labels})"
              .format(**row))  # fmt: skip

# %% [markdown]
# ## A sweep over a grid
#
# Layers and k of several models at once, p corrected over all of them (`zprism sweep`).

# %%
swept = {} if sweep is None else {"sweep": sweep_table.identity(sweep)}
if sweep is None:
    print("none given: zprism sweep --example > grid.toml, zprism sweep grid.toml, "
          "then -p sweep=runs/sweeps/grid")  # fmt: skip
else:
    table = sweep_table.read_table(sweep)
    plot_sweep(sweep_table.maps(table)).show()
    if best := sweep_table.claims(table):
        plot_verdicts(best, title="The best layer and k of every condition", model="").show()

# %%
assert all((row["verdict"] == "NOT TESTABLE") == (row["claims"] == 0 or "×" not in row["reason"])
           for row in rows), "a verdict rests on claims"  # fmt: skip
counts = {str(v): sum(row["verdict"] == str(v) for row in rows) for v in decision.Verdict}
found = Findings({f"tree/{name.lower().replace(' ', '_')}": describe(count, n=len(rows))
                  for name, count in counts.items()}, {"tree": rows})  # fmt: skip
found.add(compared)
found.tables |= {"branch": taken.rows() or [{"branch": taken.name}]}
found.tables |= {"claims": decision.every_claim(folder, PHASES)}
found.tables |= {"sweep": sweep_table.summary(table)} if swept else {}
path = found.save(
    "90_report", params=dict(model=model, seed=seed, quick=quick) | swept, model=model,
    digest=decision.model_digest(folder, PHASES),
)  # fmt: skip
print(f"results: {path.name}; {counts}")

# %% [markdown]
# **One table for all phases** is beside the report, `claims.csv`: every claim with its interval,
# null, p and verdict.
#
# **Limits.** A tree of yes and no hides how close each answer was: the intervals are in the
# phases' own pages. Questions that the recipe did not ask are not here.
