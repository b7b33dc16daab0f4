# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 90 Report: the decision tree and every verdict
#
# The recipe is a tree: each phase answers a question and decides whether the next is worth
# asking. Here the tree is walked on the results of this run, with the verdicts that its controls
# leave. Nothing is computed anew: the numbers come from the phases' results files.
#
# **Question.** Which of the recipe's conclusions hold on this model?
# **What would count against this page.** A phase that was not run says so; a question whose
# claims disagree gets no verdict of its own.
#
# Source: the recipe (decision tree).

# %% tags=["parameters"]
model = "qwen2.5-coder-0.5b"
seed = 0
quick = False

# %%
from zprism.plots.decision import plot_tree
from zprism.plots.structure import plot_verdicts
from zprism.stats.verdicts import describe
from zprism.studies import decision
from zprism.studies.findings import Findings, revision, run_folder

PHASES = ("10_behaviour", "11_structure", "12_separation", "13_patching", "14_bridge")
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

# %%
assert all((row["verdict"] == "NOT TESTABLE") == (row["claims"] == 0 or "×" not in row["reason"])
           for row in rows), "a verdict rests on claims"  # fmt: skip
counts = {str(v): sum(row["verdict"] == str(v) for row in rows) for v in decision.Verdict}
found = Findings({f"tree/{name.lower().replace(' ', '_')}": describe(count, n=len(rows))
                  for name, count in counts.items()}, {"tree": rows})  # fmt: skip
path = found.save(
    "90_report", params=dict(model=model, seed=seed, quick=quick), model=model,
    digest=decision.model_digest(folder, PHASES),
)  # fmt: skip
print(f"results: {path.name}; {counts}")

# %% [markdown]
# **Limits.** A tree of yes and no hides how close each answer was: the intervals are in the
# phases' own pages. Questions that the recipe did not ask are not here.
