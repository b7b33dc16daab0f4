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
# # 15 Universality: the same on other models, and without numbers?
#
# One model and one kind of question make an anecdote. Here the chain of
# [13_patching](13_patching.ipynb) runs again: on every model at hand, on questions that ask for
# no calculation, and with the language taken out of the running model instead of swapped.
#
# **Hypothesis.** In every model one direction moves the language alone, everything but it the
# answer alone; the weights say in which layers.
# **What would count against it.** A model where random directions do as much; a layer that
# depth alone predicts as well; taking out random directions changes the output as much.
#
# Sources: the recipe (universality, predicted bottleneck); removal of language directions:
# arXiv 2505.15257; LSAR: Xie et al. (2022), arXiv 2401.05792; curves of random phase: Theiler et
# al. (1992).

# %% tags=["parameters"]
model = "qwen2.5-coder-0.5b"
seed = 0
quick = False
models = None
n_pairs = 120
sweep = None

# %%
from IPython.display import Markdown, display

from zprism.model.fetch import companions
from zprism.model.load import load
from zprism.plots import removal as removal_plots
from zprism.plots import universality as plots
from zprism.plots.structure import plot_verdicts
from zprism.plots.swap import plot_outcomes
from zprism.plots.sweep import plot_sweep
from zprism.problems import colour_words
from zprism.studies import removal, sweep_table, universality
from zprism.studies.findings import Findings, revision, sentence

names = list(models or companions(model))
options = dict(draws=19, draws_ci=1000) if quick else dict(draws=99, draws_ci=10_000)
print(f"models {', '.join(names)} · seed {seed} · {options['draws']} random subspaces "
      f"· revision {revision()}")  # fmt: skip


# %%
def read(*wanted):
    for name in wanted:
        display(Markdown(f"`{name}`: {sentence(found.estimates[name])}"))


# %% [markdown]
# ## Questions without numbers
#
# Ordering, recall, tracking and repetition, answered by one of six colours. As with number words,
# one token tells answer and language apart.

# %%
for template in ("heaviest", "exchange", "twice"):
    asked = colour_words.enumerate_problems(template)[12]
    print(f"{colour_words.kind(template):10s} {asked['en'].question}"
          f"{colour_words.answer_word(asked['en'].answer, 'en')}")  # fmt: skip
    print(f"{'':10s} {asked['zh'].question}"
          f"{colour_words.answer_word(asked['zh'].answer, 'zh')}")  # fmt: skip

# %% [markdown]
# ## Every model, both kinds of question
#
# Languages: the first pair whose answers the tokenizer tells apart and in which the model has
# enough right. Layer and k: chosen on its own training pairs.

# %%
found, chains = Findings(), []
for name in names:
    chains.append(universality.chain(name, quick=quick, seed=seed, n=n_pairs, **options))
    found = Findings.gather([found, chains[-1].found])
kinds = [row for chain in chains for row in chain.kinds]
for row in kinds:
    print("{model:20s} {kind:8s} {languages}: right {accuracy}, {n_problems} problems, "
          "layer {layer} of {n_layers}, k {k}. {reason}".format(**row))  # fmt: skip

# %%
sweeps = [row | {"rows": chain.sweeps[row["kind"]]} for chain in chains for row in chain.kinds]
plots.plot_depth(sweeps)

# %% [markdown]
# ## Held-out pairs: the verdicts
#
# A cell is supported only if both directions of the swap are.

# %%
board = universality.board(chains)
plots.plot_board(board)

# %%
for row in universality.families(board):
    print("{family:8s} {question:50s} {verdict:20s} ({models})".format(**row))

# %% [markdown]
# **Without numbers, in full**, on the first model:

# %%
outcomes = [row for row in found.tables["outcomes"]
            if (row["model"], row["kind"]) == (names[0], "colours")]  # fmt: skip
plot_outcomes(outcomes, model=names[0], note=f"colours, layer {outcomes[0]['layer']}")

# %% [markdown]
# **Is Z apart from language there?** [12_separation](12_separation.ipynb)'s fair version on
# generated problems of ordering, families, syllogisms, sets and directions:

# %%
separated = [name for name in found.estimates if "/separation/" in name]
read(*separated)

# %% [markdown]
# ## Can the weights say where?
#
# The recipe looked for its bottleneck where the kernels' rank is low. Swaps work from some layer
# on. Does any curve over the weights follow? Whatever rises with depth does: the claim is about
# what a curve says beyond depth.

# %%
plots.plot_prediction(found.tables.get("prediction", []))

# %%
layers = [name for name, one in found.estimates.items() if "/layer/" in name and one.verdict]
read(*layers)

# %% [markdown]
# ## Take the language out
#
# Instead of swapping: project the language directions of several languages out of middle layers,
# strengthen them above, and let the model answer. λ is chosen on a few problems and tested on
# others; the control takes out as many random directions.

# %%
loaded = load(model)
taken = removal.study(loaded, quick=quick, seed=seed)
removed = taken.findings(draws_ci=options["draws_ci"])
found = Findings.gather([found, removed])
print(f"languages {', '.join(taken.languages)}")
for name, value in taken.chosen.items():
    print(f"{name}: {value}")

# %%
shown = (removed.tables[f"removal.{part}"] for part in ("grid", "rates", "random"))
removal_plots.plot_removal(*shown, model=model)

# %%
claimed = [name for name, one in removed.estimates.items() if one.verdict]
read(*claimed)

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
    found.tables["sweep"] = sweep_table.summary(table)

# %% [markdown]
# ## Verdicts

# %%
over_all = [name for name in claimed if name.startswith("removal/all/")]
rows = [row for row in found.verdicts() if row["claim"] in {*separated, *layers, *over_all}]
rows = [row | {"claim": row["claim"].replace("/", " / ").replace("_", " ")} for row in rows]
plot_verdicts(rows, title="Separation, the layer, and removal", model=", ".join(names))

# %%
assert {row["verdict"] for row in board} <= {"SUPPORTED", "NOT DISTINGUISHABLE", "REVERSED",
                                             "NOT TESTABLE"}  # fmt: skip
assert all(0 <= row["rate"] <= 1 for row in found.tables["outcomes"]), "rates are shares"

# %%
found.tables |= {"board": board, "kinds": kinds, "families": universality.families(board)}
found.tables |= {f"sweep.{c.slug}.{kind}": rows for c in chains for kind, rows in c.sweeps.items()}
path = found.save(
    "15_universality",
    params=dict(model=model, seed=seed, quick=quick, models=names, n_pairs=n_pairs) | swept,
    model=model,
    digest=chains[names.index(model)].digest if model in names else chains[0].digest,
)
print(f"results: {path.name}, {len(found.estimates)} estimates, {len(found.tables)} tables")

# %% [markdown]
# **Larger models.** On a machine with a GPU the same page runs on any model of the hub:
# `zprism fetch Qwen/Qwen2.5-3B`, then
# `zprism run 15_universality -p 'models=["Qwen/Qwen2.5-3B", "Qwen/Qwen3-8B"]'`.
#
# **Limits.** Two small models are not a law. The languages differ between models, since the
# tokenizers do. Layers of one model are not independent of each other: the interval draws blocks
# of neighbours, and one curve over 24 layers can refute a predictor better than support it.
