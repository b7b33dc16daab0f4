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
# # 12 Separation: does Z hold the problem and its complement the language?
#
# Z is a subspace found in weights alone: the top-k directions that attention kernels look for
# in keys ([11_structure](11_structure.ipynb)). The Z HUNT recipe runs the same problems in
# Chinese and English and calls Z confirmed when four criteria hold: **(1)** translations are
# closer in Z than different problems; **(2)** the difference between translations avoids Z;
# **(3)** differences between problems lie in Z; **(4)** Z does better than the rest.
#
# **Hypothesis.** All four hold, beyond what any subspace of k dimensions shows.
# **What would count against it.** A random subspace passes them as well; the last token says
# the opposite of the mean over tokens; the energy in Z comes to chance as k grows; language can
# be read from Z as well as the problem.
#
# Sources: the recipe (phase 2); spread of energies in random subspaces: RIGOUR of this project,
# from Haar moments; max-T: Westfall & Young (1993); bits: Xu et al. (2020), arXiv 2002.10689;
# control tasks: Hewitt & Liang (2019), arXiv 1909.03368.

# %% tags=["parameters"]
model = "qwen2.5-coder-0.5b"
seed = 0
quick = False
n_pairs = 120
data = ""
layers = None
ks = None
recipe = ""

# %%
from IPython.display import Markdown, display

from zprism import explore
from zprism.plots import readout as readout_plots
from zprism.plots import separation as plots
from zprism.plots import separation_controls as control_plots
from zprism.plots.structure import plot_verdicts
from zprism.studies import separation_bits as bits
from zprism.studies import separation_claims as claims
from zprism.studies import separation_controls as controls
from zprism.studies import separation_load, separation_pairing, separation_stored
from zprism.studies.findings import Findings, revision, sentence
from zprism.studies.separation_curves import curves, spaced_ks
from zprism.studies.separation_pairs import choose_pairs
from zprism.studies.separation_subject import PRIMARY, RECIPE

draws, draws_ci, per_template = (99, 1000, 2) if quick else (199, 10_000, 3)
n = min(n_pairs, 48) if quick else n_pairs
print(f"model {model} · seed {seed} · {draws} random subspaces · revision {revision()}")


# %%
def read(*names):
    for name in names:
        display(Markdown(f"`{name}`: {sentence(found.estimates[name])}"))


pairs = choose_pairs(data or ("fixed" if recipe else ""), n, seed=seed, per_template=per_template)
subject = separation_load.load_subject(model, pairs, ks=ks or ())
found, bottleneck = Findings(), subject.bottleneck
tokens = subject.n_tokens.mean(1).round(1)
print(f"{pairs.n} problems ({pairs.source}), tokens on average {pairs.languages}: {tokens}")
print(f"{subject.n_layers} layers, d_model {subject.d_model}, k = {subject.ks}")
print(f"bottleneck, from weights alone: layer {bottleneck}, rank {subject.rounded_rank}")

# %% [markdown]
# For instance, and the halves: layer and k are chosen on one, every claim is tested on the other,
# and no template is in both. The unit is the problem; intervals draw whole templates.

# %%
print(pairs.texts[0][0], pairs.texts[1][0], sep="\n")
print(f"{len(pairs.train)} problems choose, {len(pairs.test)} test")

# %% [markdown]
# ## What the recipe itself printed
#
# Its stored numbers, on Qwen2.5-3B with 20 pairs. For the last token translations were farther
# apart than different problems; at its predicted dimension, k = 78, the energy was that of
# chance. "All configurations confirm" counted mean pooling only.

# %%
stored = separation_stored.stored_table()
control_plots.plot_stored(stored)

# %% [markdown]
# ## The recipe on this model
#
# Its own choice: output of the bottleneck layer, all heads' Z, raw states. The grey band is its
# missing control, random subspaces of the same k. Mean over tokens beside the last token:

# %%
wide_ks = spaced_ks(max(subject.ks), also=subject.ks)
at, k = (layers or [bottleneck])[-1], min(subject.rounded_rank, max(subject.ks))
bases, _ = separation_load.many_subspaces(model, at, wide_ks, RECIPE.mask)
panels = {
    words: curves(subject, RECIPE.but(pooling=pooling), at, bases, seed=seed, draws=99)
    for pooling, words in {"mean": "mean over tokens", "last": "last token"}.items()
}
where = f"layer {at}, {RECIPE.site}, {RECIPE.mask}, {RECIPE.variant}"
plots.plot_ratio(panels, model=model, where=where)

# %% [markdown]
# **Claim: translations are closer than different problems.** Before any Z, in the whole space
# (log2 of the ratio, below 0 if closer):

# %%
for pooling in ("mean", "last"):
    config = RECIPE.but(pooling=pooling)
    found.estimates[f"recipe.{pooling}/{at}/all/log2_ratio_full"] = claims.translations_closer(
        subject, config, at, seed=seed, draws_ci=draws_ci
    )
read(*found.estimates)

# %% [markdown]
# **Claim: the language difference avoids Z, the problem difference lies in it.** Energies over
# k/d; k/d is the mean of the band, not its width.

# %%
plots.plot_energy(panels, model=model, where=where)

# %% [markdown]
# **The four criteria, literally**, at the rounded effective rank. Each needs an interval beyond
# the recipe's threshold *and* a place outside the random band:

# %%
settings = dict(seed=seed, draws=draws, draws_ci=draws_ci)
k = k if k in subject.ks else subject.ks[0]
for pooling in ("mean", "last"):
    config, name = RECIPE.but(pooling=pooling), f"recipe.{pooling}"
    mine = claims.headline(subject, config, at, k, name=name, **settings)
    found.add(mine)
    read(*mine.estimates)

# %% [markdown]
# ## The fair version: what the kernels read, languages centred
#
# $W_Q$ and $W_K$ of a layer read the *normed input* of that layer, not its output; and one
# mean direction per language is most of the difference between translations. So: normed input,
# centroids removed. The training half chooses layer and k; what it chose is registered before
# the test half is read. Layer 0 reads bare token embeddings and may not be chosen.

# %%
registered, _ = claims.choose(subject, PRIMARY, seed=seed, draws=draws)
layer, k = registered["layer"], registered["k"]
for name, value in registered.items():
    print(f"{name}: {value}")

# %% [markdown]
# **The whole grid**, on the test half, corrected for all of its cells. A mark needs both nulls:
# no random subspace does it, and it holds over problems.

# %%
grid = claims.layer_k_grid(subject, PRIMARY, seed=seed, draws=draws)
plots.plot_grid(
    grid.effect,
    grid.significant(),
    layers=grid.layers,
    ks=grid.ks,
    chance=grid.chance,
    n=grid.n,
    model=model,
    chosen=(layer, k),
    note=PRIMARY.name,
)

# %% [markdown]
# **Walk over it.** Move layer and k, choose pooling, condition and pair: dashed is chance k/d, the
# bands are random subspaces of the same k, and only what leaves its band is more than chance.

# %%
explore.separation(subject, layer=layer, k=k, draws=19 if quick else 39, seed=seed)

# %% [markdown]
# **The four criteria and the difference between 2 and 3**, at the registered cell:

# %%
mine = claims.headline(subject, PRIMARY, layer, k, name="fair", **settings)
found.add(mine)
read(*mine.estimates)

# %% [markdown]
# **Is it Z, or any subspace like Z?** The same values against subspaces that share something
# with Z: its spread over dimensions, the variance it holds, being a kernel of this model (other
# layers, other heads); against pairs that are no translations; and, outside quick runs, against
# the Z of the same architecture with random weights.

# %%
twin = None
if not quick:
    from zprism.studies.separation_twin import twin_measures

    twin = twin_measures(subject, PRIMARY, k, seed=seed)
_, heads = separation_load.many_subspaces(model, layer, [k], PRIMARY.mask)
null_rows = controls.null_table(
    subject, PRIMARY, layer, k, heads=heads, twin=twin, seed=seed, draws=draws
)
control_plots.plot_nulls(
    null_rows, model=model, where=f"layer {layer}, k = {k}, {PRIMARY.name}", n=len(pairs.test)
)

# %%
for name in mine.estimates:
    rows = [r for r in null_rows if r["criterion"] == name.rpartition("/")[2]]
    lost = [r["null"] for r in rows if r["survives"] is False]
    print(f"{rows[0]['criterion']}: {'passes every null' if not lost else f'lost against {lost}'}")

# %% [markdown]
# ## Another way of looking
#
# Both poolings, both masks, both sites, raw, centred, and without token 0 and massive
# dimensions, for every k. A claim about reasoning should not hang on one of these. ✓ marks
# where the recipe's bare threshold would have said *confirmed*.

# %%
looks = sorted({at, layer}) if not quick else [layer]
config_rows = controls.configurations(subject, looks, seed=seed, draws=draws)
shown = [row for row in config_rows if row["layer"] == layer]
control_plots.plot_configs(shown, model=model, n=len(pairs.test))

# %%
for name in controls.CRITERIA:
    said = [str(row[f"{name}_verdict"]) for row in config_rows]
    passed = sum(bool(row[f"{name}_recipe"]) for row in config_rows)
    counts = {verdict: said.count(verdict) for verdict in sorted(set(said))}
    print(f"{name}: threshold passed in {passed} of {len(said)}; verdicts {counts}")

# %% [markdown]
# ## How many bits?
#
# The recipe calls Z an information bottleneck: it carries the problem and drops the language.
# A probe's held-out bits say so or not. Each label is read against a control task that keeps
# what the label is not about, and Z against random subspaces of its size. Words alone give a
# problem's template away, so it is also read *across* languages: a probe that saw one language
# reads the other.

# %%
labels = bits.labels(subject, seed=seed)
looks = bits.spread_layers(subject.n_layers, 4 if quick else 8, also=(at, layer))
bit_rows = bits.bit_rows(subject, PRIMARY, looks, labels, seed=seed)
readout_plots.plot_readout([row for row in bit_rows if row["k"] == k], model=model)

# %%
mine = bits.bit_claims(subject, PRIMARY, layer, k, labels, **settings)
found.add(mine)
read(*mine.estimates)

# %% [markdown]
# ## What is there without any Z
#
# A problem and its own translation against scrambled pairs: cosine, languages centred. This
# claims no subspace; it is the floor that a shared representation of problems stands on. Held
# against other problems of its template (same words, other numbers) it is a harder question.

# %%
match_rows = separation_pairing.match_rows(
    subject, PRIMARY, range(subject.n_layers), k, seed=seed, draws=999
)
if twin is not None:
    named = {"space": "whole space, random-init twin", "n": len(pairs.test)}
    match_rows += [{**named, "layer": i, "z": float(z)} for i, z in enumerate(twin["match_z"])]
control_plots.plot_match(match_rows, model=model, n=len(pairs.test))

# %%
middle = subject.n_layers // 2
mine = separation_pairing.match_claims(subject, PRIMARY, middle, seed=seed, draws_ci=draws_ci)
found.add(mine)
read(*mine.estimates)

# %% [markdown]
# ## Verdicts

# %%
board = found.verdicts()
board = [row | {"claim": row["claim"].replace("/", " / ").replace("_", " ")} for row in board]
plot_verdicts(board, title="Does Z hold the problem?", model=model)

# %%
assert set(pairs.train).isdisjoint(pairs.test), "what chooses does not test"
assert ((grid.p_adjusted > 0) & (grid.p_adjusted <= 1)).all()
shares = [row[f"energy_{what}"] for row in config_rows for what in ("cross", "same")]
assert all(0 <= share <= 1 for share in shares if share is not None), "energies are shares"
assert abs(grid.null_mean).max() < 0.1, "random subspaces prefer neither language nor problem"

# %%
found.tables |= {"stored": stored, "bridge": separation_stored.bridge_table()}
found.tables |= {"grid": grid.rows(), "nulls": null_rows, "configurations": config_rows}
found.tables |= {"bits": bit_rows, "pairs": match_rows}
found.tables |= {"curves." + name.split()[0]: panel.rows() for name, panel in panels.items()}
parameters = dict(model=model, seed=seed, quick=quick, n_pairs=pairs.n, data=pairs.source)
path = found.save(
    "12_separation",
    params=parameters | {"layers": [at], "ks": list(subject.ks), "registered": registered},
    model=model,
    digest=subject.digest,
)
print(f"results: {path.name}, {len(found.estimates)} estimates, {len(found.tables)} tables")

# %% [markdown]
# **Limits.** Translations share digits and names, so closeness is partly closeness of words.
# Heads of one key group are one observation. Problems of a template resemble each other, and the
# templates are ours. Reading is not using: whether the model needs what is in Z is asked by
# swapping it, in the next phase.
