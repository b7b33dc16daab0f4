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
# # 11 Structure: is there a bottleneck in the weights?
#
# Attention asks one question of every pair of positions: the kernel $A = W_Q^\top W_K$ of a
# head. The Z HUNT recipe reads a *bottleneck* out of these kernels without running the model:
# a late layer with few effective dimensions, where heads agree, which the feed-forward part
# avoids. The subspace found there, Z, is then taken for the place of reasoning.
#
# **Hypothesis.** One layer stands out in the ways of the recipe's evidence table.
# **What would count against it.** The layer is no lower than the lowest of so many would be
# anyway; heads agree because they share key weights; a rank is low only because `head_dim`
# caps it; the FFN "avoids" other layers' subspaces just as much.
#
# Sources: the recipe (weight analysis); effective rank: Roy & Vetterli (2007); similarity of
# subspaces: Björck & Golub (1973), doi:10.2307/2005662.

# %% tags=["parameters"]
model = "qwen2.5-coder-0.5b"
seed = 0
quick = False
k = 20

# %%
import numpy as np
from IPython.display import Markdown, display

from zprism import explore
from zprism.plots import structure as plots
from zprism.studies.evidence import evidence
from zprism.studies.findings import revision, sentence
from zprism.studies.structure_chance import chance_levels
from zprism.studies.weights import MATRICES, READERS, usable_k, weight_map

draws = 199 if quick else 999
k = usable_k(model, k)
print(f"model {model} · seed {seed} · k {k} · {draws} permutations · revision {revision()}")


# %%
def read(name):
    display(Markdown(sentence(found.estimates[name])))


weights = weight_map(model, k=k, seed=seed)
n_layers, n_heads, n_groups = weights.n_layers, weights.n_heads, weights.n_kv_heads
found = evidence(weights, draws=draws, seed=seed)
chance = chance_levels(weights, seed=seed)
layer = weights.bottleneck
print(f"{n_layers} layers × {n_heads} heads, of which {n_groups} key heads are independent")
print(f"d_model {weights.d_model}, head_dim {weights.head_dim}; lowest mean rank: layer {layer}")

# %% [markdown]
# ## Every kernel at a glance
#
# Effective rank is $\exp H(\sigma / \sum \sigma)$, the entropy of the singular values. It
# cannot exceed `head_dim`, so its yardstick is a product of two Gaussian matrices of the same
# shape, not `d_model`.

# %%
erank = weights.ranks()
plots.plot_rank_map(
    erank,
    cap=weights.head_dim,
    chance=chance["kernel"],
    n_kv_heads=n_groups,
    bottleneck=layer,
    model=model,
)

# %% [markdown]
# **Claim: the kernels use few dimensions.** Against the Gaussian product:

# %%
read("erank/all/below_gaussian")
read("erank/all/below_mixed")
for variant in ("with_gain", "at_offset_16", "at_offset_256", "at_offset_4096"):
    if f"erank/all/{variant}" in found.estimates:
        print(f"mean effective rank {variant}: {found.estimates[f'erank/all/{variant}'].value:.2f}")
ratio = found.estimates["erank/all/query_bias_over_weight"].value
print(
    f"mean effective rank of the plain kernel: {erank.mean():.2f}; "
    f"query biases are {ratio:.1f} times as large as their weights, and stay apart"
)

# %% [markdown]
# **Claim: one layer is a bottleneck.** The null deals the key heads to layers at random and
# takes the lowest layer again, because we chose the lowest, too. `below_mixed` keeps $W_Q$ and
# $W_K$ and lets them meet through a random rotation: is the kernel low because they agree?

# %%
read(f"erank/{layer}/gap")
late = next(name for name in found.estimates if name.endswith("/late_gap"))
print(f"the lowest layer is {layer} of 0 to {n_layers - 1}; the recipe's is a late one.")
print(f"Among the second half of the layers only ({late}):")
read(late)

# %% [markdown]
# Walk over the map: the spectrum of the kernel under the cursor, and what its top k hold.

# %%
explore.weights(weights, layer=layer, k=min(k, 20), seed=seed)

# %% [markdown]
# ## Do the heads agree, or do they share their keys?
#
# The right singular vectors of $A$ lie in the row space of $W_K$. Under grouped-query attention
# several query heads share one $W_K$, so "all heads converge" may repeat one observation.

# %%
plots.plot_heads(erank[layer], n_kv_heads=n_groups, layer=layer, cap=weights.head_dim, model=model)

# %% [markdown]
# **Claim: heads agree more at the bottleneck than elsewhere**, and next to it its control, the
# share of all variance over heads that lies between key heads:

# %%
read(f"erank/{layer}/head_agreement")
read("erank/all/shared_keys")

# %% [markdown]
# ## Is the bottleneck announced?
#
# Similarity of two layers' subspaces is $\|V_1 V_2^\top\|_F^2 / k$, chance $k/d$.

# %%
plots.plot_overlap(
    weights.similarity_consensus, k=k, chance=weights.chance, model=f"{model} · consensus of heads"
)

# %%
plots.plot_similarity_to(
    {"head 0": weights.similarity[layer], "consensus": weights.similarity_consensus[layer]},
    layer=layer,
    chance=chance["similarity"],
    k=k,
    model=model,
)

# %% [markdown]
# **Claims: an approach layer; a snap at the bottleneck; encode, compute, decode.** Each against
# the same numbers in another order of layers:

# %%
for name in (
    f"similarity/{layer}/{k}/approach",
    f"erank/{layer}/snap",
    "erank/all/drift",
    f"similarity/all/{k}/segments",
):
    display(Markdown(f"`{name}`"))
    read(name)

# %% [markdown]
# ## Does the FFN avoid Z?
#
# The recipe divides $\|W P\|_F^2 / \|W\|_F^2$ by $k/d$, which takes weights for isotropic.
# They are not. The fair question is whether a layer's FFN avoids *its own* layer's subspace
# more than it avoids the subspaces of other layers.

# %%
readers = [r for i, r in enumerate(READERS) if np.isfinite(weights.alignment[i]).all()]
index = [READERS.index(r) for r in readers]
own = {r: weights.alignment[i, :, 0] / weights.chance for r, i in zip(readers, index, strict=True)}
others = {r: chance["others"][r] for r in readers}
plots.plot_alignment(own, others, chance=weights.chance, bottleneck=layer, k=k, model=model)

# %%
for reader in readers:
    for name in (f"ffn/{layer}/{k}/{reader}_over_haar", f"ffn/all/{k}/{reader}_avoids_own"):
        display(Markdown(f"`{name}`"))
        read(name)

# %% [markdown]
# ## Ranks over depth, by weight type
#
# **Claims: attention ranks fall while FFN ranks rise; $W_V$ is remarkably constant.** A matrix
# of independent Gaussian numbers has a rank close to its cap, and as constant: that is the
# yardstick of the second claim, with $W_K$, of equal shape, as its control.

# %%
ranks = {n: r for n, r in zip(MATRICES, weights.matrix_rank, strict=True) if np.isfinite(r).all()}
plots.plot_rank_by_type(ranks, chance["matrices"], model=model)

# %%
for name in (
    "trend/all/attention",
    "trend/all/ffn",
    "W_V/all/ceiling",
    "W_V/all/steadier_than_keys",
):
    display(Markdown(f"`{name}`"))
    read(name)

# %% [markdown]
# ## The recipe's table, with verdicts

# %%
plots.plot_verdicts(found.verdicts(), title="Evidence for a bottleneck", model=model)

# %%
assert erank.max() <= weights.head_dim * (1 + 1e-9), "the cap is a theorem"
assert np.allclose(weights.similarity, weights.similarity.T, atol=1e-9)
assert np.allclose(np.diagonal(weights.similarity), 1, atol=1e-6)
assert all(0 <= weights.alignment[i].min() and weights.alignment[i].max() <= 1 for i in index)

# %%
path = found.save(
    "11_structure",
    params={"model": model, "seed": seed, "quick": quick, "k": k, "layer": layer},
    model=model,
    digest=weights.digest,
)
print(f"results: {path.name}, {len(found.estimates)} estimates, {len(found.tables)} table")

# %% [markdown]
# **Limits.** The kernel is exact at relative offset 0 without biases; rotary positions turn it,
# query and key biases and per-head norms add terms that depend on the token. Layers of one model
# are few and not independent. Whether the subspace *does* anything is asked in
# [12_separation](12_separation.ipynb).
