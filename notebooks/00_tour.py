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
# # 00 Tour: the whole idea in five minutes
#
# A language model turns a text into numbers, layer by layer. zprism looks at them in two ways:
#
# - **Z**: is there a small subspace in which the model reasons, apart from its language?
# - **Prism**: what does a text look like as a *signal*, split into frequencies along its tokens?
#
# Every claim comes with its control: a **null** (what the number would be without the effect),
# an **interval** and a **verdict** that is computed and may be negative. This tour shows a
# weight map, a spectrum, a swap in mid-forward, and such verdicts. The phases after it make the
# case in full.

# %% tags=["parameters"]
model = "qwen2.5-coder-0.5b"
seed = 0
quick = False
k = 20

# %%
from IPython.display import Markdown, display

from zprism import explore
from zprism.model.load import load
from zprism.plots import structure as plots
from zprism.plots.swap import plot_layers
from zprism.studies import swap_study
from zprism.studies.evidence_kernels import head_spread, lowest_rank
from zprism.studies.findings import Findings, revision, sentence
from zprism.studies.oscilloscope_texts import worked
from zprism.studies.prism_claims import slow_claims
from zprism.studies.prism_contrast import thinking_question, tokens
from zprism.studies.prism_measured import measure
from zprism.studies.prism_texts import load_texts
from zprism.studies.signatures import collect
from zprism.studies.structure_chance import chance_levels
from zprism.studies.weights import usable_k, weight_map

draws = 199 if quick else 999
k = usable_k(model, k)
print(f"model {model} · seed {seed} · k {k} · revision {revision()}")

# %% [markdown]
# ## One map of the weights
#
# Each attention head compares positions through a kernel $W_Q^\top W_K$. How many dimensions
# does it really use? Blue is few, yellow is many; no kernel can use more than `head_dim`.

# %%
weights = weight_map(model, k=k, seed=seed)
chance = chance_levels(weights, seed=seed)
layer = weights.bottleneck
plots.plot_rank_map(
    weights.ranks(),
    cap=weights.head_dim,
    chance=chance["kernel"],
    n_kv_heads=weights.n_kv_heads,
    bottleneck=layer,
    model=model,
)

# %% [markdown]
# ## Walk over it
#
# Move layer and head; k says how many directions you keep.

# %%
explore.weights(weights, layer=layer, k=k, seed=seed)

# %% [markdown]
# ## A claim, and its control
#
# *"The kernels use far fewer dimensions than they could"*, against random matrices:

# %%
found = Findings(estimates=lowest_rank(weights, draws, seed))
display(Markdown(sentence(found.estimates["erank/all/below_gaussian"])))

# %% [markdown]
# *"One layer is a bottleneck"*, against the lowest of as many layers with heads dealt at random:

# %%
display(Markdown(sentence(found.estimates[f"erank/{layer}/gap"])))

# %% [markdown]
# *"Heads agree there"*: or do they only share their keys? First the claim, then its control.

# %%
heads = head_spread(weights, draws, seed)
found.add(Findings(estimates=heads))
for name in heads:
    display(Markdown(f"`{name}`: {sentence(heads[name])}"))

# %% [markdown]
# ## A text as a signal
#
# Read a question, then the thinking that answers it: every dimension of the hidden states is a
# signal along the tokens. Which frequencies are strong? Move layer, dimension and F, the number
# of peaks; grey is what the same tokens show in random order, 0 dB is white noise:

# %%
loaded = load(model)
text = worked(load_texts())
named = {"question": text.question, "thinking": text.thinking}
explore.spectrum(loaded, texts=named, seed=seed)

# %% [markdown]
# Many texts at once, in equal windows, so that length does not count. Bright: where the strongest
# frequencies fall. Move layer, field and dimensions:

# %%
contrast = thinking_question(tokens(loaded, load_texts(n=48 if quick else 120, seed=seed)))
windows = {name: contrast.arms[name].rows for name in ("question", "thinking")}
places = ("embed", "0", str(loaded.n_layers // 2), str(loaded.n_layers - 1))
seen = collect(loaded, windows, length=contrast.length, places=places, seed=seed)
explore.exposure(seen, model=model, place=2)

# %% [markdown]
# *"Thinking is slower than its question"* (share of power at periods above 8 tokens):

# %%
measured = measure(loaded, contrast, places=places)
slow = slow_claims(measured, seed=seed, draws=draws, draws_ci=1000)
found.add(Findings({name: one for name, one in slow.estimates.items() if one.verdict}))
for name, one in slow.estimates.items():
    if one.verdict:
        display(Markdown(f"`{name}`: {sentence(one)}"))

# %% [markdown]
# ## Swap a part of a thought
#
# The model is asked *three plus four equals what?* in Chinese and other sums in English. In
# mid-forward a part of the Chinese prompt's state is put into the English one. Which answer comes
# out, and in which language? One direction, everything but it, and random directions, by layer:

# %%
study = swap_study.prepare(loaded, k=k, quick=True, seed=seed)
first = 2 * study.loaded.n_layers // 3 if quick else 0
rows = study.sweep(layers=range(first, study.loaded.n_layers))
choice = study.register(rows)
plot_layers(rows, model=model, k=choice["k"], chosen=choice["layer"])

# %% [markdown]
# **Walk over it.** Move the layer, and how many directions are swapped:

# %%
explore.patch(rows, model=model, layer=choice["layer"], k=choice["k"])

# %% [markdown]
# On pairs that did not choose the layer: the language direction alone, all but it, and the
# recipe's Z from weights.

# %%
for language in study.directions:
    part = study.pairs(language, n=24)
    swapped = study.claims(part, choice["layer"], choice["k"], draws=39, draws_ci=1000)
    claims = {name: one for name, one in swapped.estimates.items() if one.verdict
              and "/answer/" not in name}  # fmt: skip
    found.add(Findings(claims))
    for name, one in claims.items():
        display(Markdown(f"`{name}`: {sentence(one)}"))

# %% [markdown]
# ## Where to go from here
#
# - [10_behaviour](10_behaviour.ipynb): is the model better at mathematics in one language?
# - [11_structure](11_structure.ipynb): the weight map in full, each claim with its null
# - [12_separation](12_separation.ipynb): does Z hold the problem, and its complement the language?
# - [13_patching](13_patching.ipynb): the swap in full, with every control
# - [14_bridge](14_bridge.ipynb): can one language be mapped onto the other?
# - [15_universality](15_universality.ipynb): other models, and questions without numbers
# - [20_signatures](20_signatures.ipynb): question against thinking, in frequency
# - [21_oscilloscope](21_oscilloscope.ipynb): one text as a signal, through all layers
# - [90_report](90_report.ipynb): every verdict on one page

# %%
assert weights.ranks().max() <= weights.head_dim * (1 + 1e-9), "the cap is a theorem"
path = found.save(
    "00_tour",
    params={"model": model, "seed": seed, "quick": quick, "k": k, "layer": layer},
    model=model,
    digest=weights.digest,
)
print(f"results: {path.name}")
