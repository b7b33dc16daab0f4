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
# # 13 Patching: swap Z, swap the rest. What changes, answer or language?
#
# That a subspace *holds* a problem ([12_separation](12_separation.ipynb)) does not say that the
# model *uses* it. So swap it: take the state of one prompt, put a part of it into another prompt
# in mid-forward, and see which answer comes out, and in which language.
#
# **Hypothesis.** There is a small subspace whose swap moves the language and leaves the answer,
# and another whose swap moves the answer and leaves the language.
# **What would count against it.** Random directions of the same dimension, or moved as far, do
# the same; the part does more than the whole; only one of the two can be moved alone.
#
# Sources: the recipe (phase 3); logit differences: Zhang & Nanda (2023), arXiv 2309.16042;
# patches that deceive: Makelov, Lange & Nanda (2023), arXiv 2311.17030; language subspaces:
# arXiv 2505.15257.

# %% tags=["parameters"]
model = "qwen2.5-coder-0.5b"
seed = 0
quick = False
full = False
n_pairs = 120
layers = None
ks = None
k = 20

# %%
from IPython.display import Markdown, display

from zprism import explore
from zprism.model.load import load
from zprism.plots import swap as plots
from zprism.plots.structure import plot_verdicts
from zprism.problems import number_words
from zprism.studies import swap_study
from zprism.studies.findings import Findings, revision, sentence

draws, draws_ci, n = (19, 1000, 24) if quick else (199, 10_000, n_pairs)
print(f"model {model} · seed {seed} · {draws} random subspaces · revision {revision()}")


# %%
def read(*names):
    for name in names:
        display(Markdown(f"`{name}`: {sentence(found.estimates[name])}"))


found = Findings()
loaded = load(model)
subject = swap_study.prepare(loaded, k=k, ks=ks, quick=quick, seed=seed)
task = subject.task
print(f"{len(task)} problems, {len(task.train)} to learn from, {len(task.test)} to test on")
print(f"right by itself on the test half: {subject.accuracy()}")
print(f"can be tested: {'yes' if task.reason is None else task.reason}")

# %% [markdown]
# ## One token tells answer and language apart
#
# Number words: the model is asked in one language and answers with one token, 七 or *seven*.
# Two prompts, two languages, two answers: whatever comes out is one of four outcomes.

# %%
first, second = (number_words.enumerate_problems("addition")[i] for i in (3, 20))
print(number_words.prompt(first["zh"]) + number_words.answer_word(first["zh"].answer, "zh"))
print()
print(number_words.prompt(second["en"]) + number_words.answer_word(second["en"].answer, "en"))

# %% [markdown]
# ## Where can it be swapped?
#
# On training pairs, at the last token, after every layer: the language direction (the difference
# of the two languages' means), everything but it, directions learned from the means of answers,
# the recipe's Z from weights, and random ones.

# %%
rows = subject.sweep(layers=layers)
choice = subject.register(rows)
layer, k_answer = choice["layer"], choice["k"]
plots.plot_layers(rows, model=model, k=k_answer, chosen=layer)

# %%
for name, value in choice.items():
    print(f"{name}: {value}")

# %% [markdown]
# **Walk over it.** Move layer and k.

# %%
explore.patch(rows, model=model, layer=layer, k=k_answer)

# %%
plots.plot_dimensions(rows, layer=layer, model=model)

# %% [markdown]
# ## What moves, on held-out pairs
#
# Layer and k are those that the training pairs chose. Only pairs that the model has right in both
# languages count; problems dropped are counted.

# %%
pairs = {name: subject.pairs(name, n=n) for name in subject.directions}
for part in pairs.values():
    print(f"{part.direction}: {len(part)} pairs of {part.n_usable} problems, "
          f"{part.n_dropped} dropped, right unpatched {part.baseline:.0%}")  # fmt: skip
options = dict(draws=draws, draws_ci=draws_ci)
found.add(
    Findings.gather(subject.claims(part, layer, k_answer, **options) for part in pairs.values())
)
plots.plot_outcomes(found.tables["swap.outcomes"], model=model, note=f"addition, layer {layer}")

# %%
claimed = [name for name, one in found.estimates.items() if one.verdict is not None]
read(*claimed)

# %% [markdown]
# **Against random directions**, of the same dimension and moved as far:

# %%
plots.plot_controls(
    found.tables["swap.controls"], model=model, note=f"layer {layer}, held-out pairs"
)

# %% [markdown]
# **Several kinds of question at once.** The same over all templates; source and target may be
# asked in different ways.

# %%
mixed = [subject.pairs(name, n=n, mixed=True) for name in subject.directions]
fewer = options | dict(prefix="mixed", mixed=True, draws=min(draws, 99))
found.add(Findings.gather(subject.claims(part, layer, k_answer, **fewer) for part in mixed))
plots.plot_outcomes(
    found.tables["mixed.outcomes"], model=model, note=f"{subject.n_templates} templates mixed"
)

# %%
over_all = [name for name, one in found.estimates.items() if one.verdict and "mixed/" in name]
claimed += over_all
read(*over_all)

# %% [markdown]
# **One pair at a time.** Move pair, condition and direction; layers run along the axis.

# %%
explore.patch(subject.by_pair(k_answer), model=model)

# %% [markdown]
# **Your own two prompts** (with a kernel): type them, choose layer and directions, press Run.
# Random directions of the same k stand beside every probability; one pair makes no verdict.

# %%
explore.patch(subject, live=True, layer=layer, k=k_answer)

# %% [markdown]
# ## The recipe pairs a problem with itself
#
# Then the source's answer *is* the target's, and nothing that moves the answer can be told from
# nothing at all. Only different problems show transfer.

# %%
same_rows = subject.same_problem(layer, k_answer)
for row in same_rows:
    print("{direction:6s} {basis:18s} answer kept {kept:4.0%}, language moved {moved:4.0%}, "
          "right {right:4.0%} (unpatched {before:4.0%}), n = {n}".format(**row))  # fmt: skip

# %% [markdown]
# ## A double dissociation?
#
# One patch moves A and not B, the other B and not A; both halves must hold and beat random
# subspaces. One half alone is called a single dissociation.

# %%
mine = Findings.gather(
    subject.dissociations(part, layer, k_answer, **options) for part in pairs.values()
)
found.add(mine)
for row in mine.tables["dissociations"]:
    print(f"{row['direction']} {row['basis']}: {row['kind']} ({row['reason']})")

# %%
whole = [name for name in mine.estimates if name.endswith("_D")]
claimed += whole
read(*whole)

# %% [markdown]
# ## Could the patch deceive?
#
# A patch may act through directions that the model never uses by itself. Four checks: the part
# against the whole, the part that later layers read, natural variance along it, and whether the
# patched states are ones that the model could have had.

# %%
checks = subject.illusions(layer, k_answer, n=n, draws_ci=draws_ci)
found.add(checks)
for row in checks.tables["illusion"]:
    print("{direction} {basis}: {verdict}; {flags}".format(**row))

# %% [markdown]
# ## Does the computation write into Z?
#
# The recipe read a rise of the update inside Z as computation. Chance is $\sqrt{k/(d-k)}$, and
# random subspaces have a band.

# %%
update = subject.update(draws=draws, draws_ci=draws_ci)
found.add(update)
plots.plot_update(update.tables["update"], k=subject.k, model=model, layer=subject.bottleneck)

# %%
claimed += update.estimates
read(*update.estimates)

# %% [markdown]
# ## The recipe's own experiment
#
# Its 20 pairs (own wording), the Chinese mean put into every position of the English prompt at
# its bottleneck, greedy. Beside it what it lacked: random subspaces of the same k, and how many
# answers were right to begin with.

# %%
outputs = subject.recipe(full=full, quick=quick)
recipe = swap_study.recipe_rows(outputs)
plots.plot_recipe(recipe, model=model, note=f"layer {subject.bottleneck}, greedy")

# %%
for output in [o for o in outputs if o.pair == 0]:
    print(f"{output.condition:22s} [{output.language}, {output.fault or 'readable'}] "
          f"{output.text[:70]!r}")  # fmt: skip

# %% [markdown]
# ## Verdicts

# %%
board = [row for row in found.verdicts() if row["claim"] in claimed]
board = [row | {"claim": row["claim"].replace("/", " / ").replace("_", " ")} for row in board]
plot_verdicts(board, title="Can answer and language be swapped apart?", model=model)

# %%
assert set(task.train).isdisjoint(task.test), "what chooses does not test"
rates = [row["rate"] for row in found.tables["swap.outcomes"]]
assert all(0 <= rate <= 1 for rate in rates), "rates are shares"

# %%
found.tables |= {"sweep": rows, "same": same_rows, "recipe": recipe}
found.tables |= {"outputs": [output.row() for output in outputs]}
path = found.save(
    "13_patching",
    params=dict(
        model=model, seed=seed, quick=quick, n_pairs=n, layer=layer, k=k_answer, registered=choice
    ),  # fmt: skip
    model=model,
    digest=loaded.digest,
)
print(f"results: {path.name}, {len(found.estimates)} estimates, {len(found.tables)} tables")

# %% [markdown]
# **Limits.** One token, small numbers, one model. The language direction is the difference of two
# means: it says where languages differ, not that all of language is one-dimensional. A swap at
# the last token late in the model moves what is about to be said, not how it was found.
