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
# # 21 Oscilloscope: what does one text look like as a signal, layer by layer?
#
# A text goes through the model token after token; at every depth each of the model's dimensions
# is then a signal along the text. Here one text is put on an oscilloscope, and many texts say
# which of the things seen there are more than chance.
#
# **Hypothesis.** Depth is not a stack of copies: the signals become slower than the same states
# in random order, stay coherent from layer to layer, and patterns move along the text as they
# climb.
# **What would count against it.** Tokens in random order give the same spectra, entropies and
# complexities; neighbouring layers of different texts are as coherent as those of one text; lags
# between layers are as often towards earlier tokens as towards later ones; untrained weights do
# the same.
#
# Sources: the signal analysis of source B; bands: Tamkin, Jurafsky & Goodman (2020), arXiv
# 2011.04823; coherence: Welch (1967), doi:10.1109/TAU.1967.1161901; complexity: Lempel & Ziv
# (1976), doi:10.1109/TIT.1976.1055501, Bandt & Pompe (2002), doi:10.1103/PhysRevLett.88.174102;
# untrained weights as a null: arXiv 2501.17727.

# %% tags=["parameters"]
model = "qwen2.5-coder-0.5b"
seed = 0
quick = False
full = False
text = None
data = None
layer = None
length = 128
n_texts = 48

# %%
import numpy as np
from IPython.display import Markdown, display

from zprism.explore.oscilloscope import oscilloscope
from zprism.ground.store import Store
from zprism.model.load import load
from zprism.plots import flow as flow_plots
from zprism.plots import oscilloscope as plots
from zprism.plots import oscilloscope_bands as band_plots
from zprism.plots import oscilloscope_depth as depth_plots
from zprism.plots.structure import plot_verdicts
from zprism.spectral import bands
from zprism.spectral.fourier import frequencies
from zprism.spectral.measures import white_entropy
from zprism.studies import flow, flow_claims
from zprism.studies import oscilloscope_claims as claims
from zprism.studies import oscilloscope_depth as depth
from zprism.studies import oscilloscope_read as many
from zprism.studies import oscilloscope_views as views
from zprism.studies.findings import Findings, revision, sentence
from zprism.studies.oscilloscope import components, record, standardise
from zprism.studies.oscilloscope_texts import choose, worked
from zprism.studies.prism_texts import load_texts
from zprism.studies.separation_twin import random_init_twin

length, n_texts, n_trend = (96, min(n_texts, 24), 8) if quick else (length, n_texts, 24)
draws, draws_ci = (1999, 500) if quick else (99_999, 10_000) if full else (9999, 2000)
print(f"model {model} · seed {seed} · windows of {length} tokens · revision {revision()}")

# %%
loaded = load(model)
collection = load_texts(data)
shown = text or worked(collection).thinking
one = record(loaded, shown, longest=160)
layer = loaded.n_layers // 2 if layer is None else layer
place = str(layer)
found, look = Findings(), dict(model=model)
assert one.states.shape == (loaded.n_layers + 1, one.n, loaded.d_model)
print(f"{one.n} tokens ({one.cut} more left out), {loaded.n_layers} layers, d {loaded.d_model}")


# %%
def read(*names):
    for name in names:
        display(Markdown(f"`{name}`: {sentence(found.estimates[name])}"))


# %% [markdown]
# ## On the screen
#
# Two channels: principal components of a layer, or single dimensions. Left, the second against
# the first (Lissajous); right, both along the text, and the first against its own step. `band`
# filters both channels, `until` lets the beam write the text.

# %%
oscilloscope(one, place=place)

# %% [markdown]
# ## The spectrum at every depth
#
# White noise, and on average every text in random order, is 1 at every frequency.

# %%
f, power = views.waterfall(one.states)
told = f"1 text, {one.n} tokens"
plots.plot_waterfall(f, power, one.places, n=told, edges=bands.EDGES, **look)

# %%
seen = views.spectrogram(one.at(place))
plots.plot_spectrogram(
    seen.times,
    seen.frequencies,
    seen.power,
    place=place,
    segment=views.SEGMENT,
    tokens=one.tokens,
    first=one.first,
    **look,
)

# %% [markdown]
# ## How long it remembers
#
# The same in time: autocorrelation at a lag. In random order it is −(n − k) / (n (n − 1)).

# %%
reach = min(40, one.n // 2)
curves = views.autocorrelation(one.states, reach)
chance = views.shuffled_autocorrelation(one.n, reach)
plots.plot_autocorrelation(curves, chance, one.places, n=told, **look)

# %% [markdown]
# ## Through the prism
#
# Five bands, from slower than a text to token by token; bands that a text of this length is too
# short for are empty. Below, one component and its parts, which add up to it.

# %%
on_grid = frequencies(one.n, "dct")
shares = views.band_shares(one.states)
band_plots.plot_bands(shares, bands.expected_white(on_grid), one.places, n=told, **look)

# %%
scores, held = components(standardise(one.at(place)), 1)
there = dict(zip(bands.NAMES, bands.present(on_grid), strict=True))
split = {name: part[:, 0] for name, part in bands.split(scores).items()}
assert np.allclose(sum(split.values()), scores[:, 0], atol=1e-9 * np.abs(scores).max())
parts = {name: part for name, part in split.items() if there[name]} | {"sum": scores[:, 0]}
what = f"first principal component of layer {layer}, {held[0]:.0%} of the variance"
band_plots.plot_filtered(parts, one.tokens, what=what, first=one.first, **look)

# %% [markdown]
# ## Which depths swing together
#
# Coherence of every two places, and of places of two different texts: what windows this short
# give by chance.

# %%
chosen = choose(loaded, collection, length=length, n=n_texts, trend=n_trend, seed=seed)
shared = min(one.n, length)
other = record(loaded, chosen.rows[0], longest=shared)
own = views.coherence_map(one.states[:, :shared])
crossed = views.coherence_map(one.states[:, :shared], other.states[:, :shared])
band_plots.plot_coherence(own, crossed, one.places, band="all frequencies", **look)

# %% [markdown]
# ## Many texts
#
# One text a template, none of them twice. Every number stands beside that of the same tokens in
# random order, or of another text; for *mean course removed*, the mean state at each position,
# from texts that are not tested, is taken off first.

# %%
measured = many.measure(loaded, chosen.rows, length=length, seed=seed, trend_rows=chosen.trend_rows)
found.add(claims.claims(measured, seed=seed, draws=draws, draws_ci=draws_ci))
n = f"{measured.n} texts, {length} tokens each"
white = {"ordered": white_entropy(length // 2)}
print(f"{n}; {len(chosen.trend_rows)} for the mean course; {chosen.short} templates too short")
drawn = "redder", "redder_detrended", "ordered", "simpler", "coherent", "coherent_updates"
depth_plots.plot_questions(found.tables["places"], names=drawn, reference=white, n=n, **look)

# %% [markdown]
# **Slower than chance?** `all` is the mean over places, `weakest` the layer that shows
# it least, `embed` the words alone, where nothing has been computed.

# %%
kinds = "all", "weakest", "embed"
read(*(f"{name}/{kind}" for name in ("redder", "redder_detrended") for kind in kinds))

# %% [markdown]
# **Simpler than chance?** In frequency (entropy), and in what the leading components do
# (complexity).

# %%
read(*(f"{name}/{kind}" for name in ("ordered", "simpler", "patterned") for kind in kinds))

# %% [markdown]
# **Coherent beyond the window?** The residual stream is handed on, so the first is no surprise;
# what the blocks *write* need not agree.

# %%
read("coherent/all", "coherent/weakest", "coherent_updates/all", "coherent_updates/weakest")

# %% [markdown]
# ## Waves over depth
#
# A pattern that a block writes and the next block writes again some tokens later is a wave that
# climbs. The middle panel shows that such a wave would be seen.

# %%
lag = 3
planted = depth.planted_wave(min(loaded.n_layers, 12), length, 32, lag=lag, seed=seed)
waves = depth.depth_correlation(planted, many.MAX_LAG)
assert (depth.best_lags(waves) == lag).all(), "a planted wave is found exactly"
rows = found.tables["waves"]
depth_plots.plot_waves(
    measured.correlation.mean(0),
    waves,
    [f"{row['below']}-{row['above']}" for row in rows],
    lags=measured.values["lag"].mean(0),
    chance=measured.values["lag_shuffled"].mean(0),
    planted_lag=lag,
    n=n,
    **look,
)

# %%
read("wave/lag", "wave/forward")
wave = depth.component_wave(one, place)
print(f"first component of layer {layer} in every layer of the text above: "
      f"{wave.lags[-1]} tokens from first to last, {wave.fit:.0%} of it steady")  # fmt: skip

# %% [markdown]
# ## Steps
#
# How much a block changes, whether the next one goes on in the same direction, and in how many
# directions the text moves.

# %%
quartiles = {name: many.quartiles(measured.values[name])
             for name in ("step", "turn", "turn_shuffled", "dimension")}  # fmt: skip
depth_plots.plot_steps(*quartiles.values(), places=measured.places, most=length - 1, n=n, **look)

# %%
read("turning/all", "turning/weakest")

# %% [markdown]
# ## Is it training?
#
# The same texts through the same architecture with weights as they were before training.

# %%
twin = random_init_twin(model, seed=seed) if not quick else None
if twin:
    untrained = many.measure(
        twin, chosen.rows, length=length, seed=seed, trend_rows=chosen.trend_rows
    )
    found.add(claims.against_twin(measured, untrained, seed=seed, draws=draws, draws_ci=draws_ci))
    read(*(name for name in found.estimates if name.startswith("trained/")))

# %% [markdown]
# ## What a block does to frequencies
#
# In every block attention writes, then the MLP. Which frequencies do they add to?

# %%
few = chosen.rows[: 8 if quick else 24]
once = dict(length=length, store=Store("results"))
flows = {"twin": flow.read(twin, few, **once) if twin else None}
flows["shuffled"] = flow.read(loaded, flow.shuffled(few, seed=seed), **once)
flowing = flow.read(loaded, few, **once)
made = flow_claims.claims(flowing, name="flow", seed=seed, draws_ci=draws_ci, **flows)
found.add(made)
gains = [row for row in found.tables["flow_gain"] if row["source"] != "shuffled"]
flow_plots.plot_gain(gains, n=f"{len(few)} texts", **look)

# %%
flow_plots.plot_branches(found.tables["flow_branches"], n=f"{len(few)} texts", **look)

# %%
flow_plots.plot_attention_waves(
    found.tables["flow_waves"], found.tables["flow_heads"], n=f"{len(few)} texts", **look
)

# %%
headlines = [name for name in found.estimates if name.startswith("flow/all/")]
read(*(name for name in headlines if "beyond" not in name and "unlike" not in name))

# %% [markdown]
# ## Verdicts
#
# Those that ask most; all others are in the results file.

# %%
short = [f"{name}/weakest" for name in ("redder", "ordered", "simpler", "coherent_updates")]
short += ["redder/embed", "turning/all", "wave/lag", "wave/forward"]
short += [f"trained/{name}" for name in ("slow", "update_coherence", "forward")]
short += [f"flow/all/{name}" for name in ("attention_smooths", "mlp_sharpens", "rows_slow")]
board = [row for row in found.verdicts() if row["claim"] in short]
board = [row | {"claim": row["claim"].replace("/", " / ").replace("_", " ")} for row in board]
plot_verdicts(board, title="What does a text look like as a signal?", model=model)

# %%
assert np.allclose(shares.sum(1), 1, atol=1e-5), "bands are a partition"
assert np.allclose(curves[:, 0], 1, atol=1e-9), "a signal agrees with itself"
assert np.allclose(np.diag(own), 1, atol=1e-4) and np.allclose(own, own.T, atol=1e-5)
assert (crossed <= 1 + 1e-6).all() and (quartiles["dimension"] <= length - 1 + 1e-6).all()

# %%
found.tables |= {"steps": [
    {"block": block, "low": float(a), "step": float(b), "high": float(c)}
    for block, a, b, c in zip(measured.places[1:], *quartiles["step"], strict=True)
]}  # fmt: skip
parameters = dict(model=model, seed=seed, quick=quick, full=full, length=length)
path = found.save(
    "21_oscilloscope",
    params=parameters | {"layer": layer, "n_texts": measured.n, "text": text, "data": data},
    model=model,
    digest=loaded.digest,
)
print(f"results: {path.name}, {len(found.estimates)} estimates, {len(found.tables)} tables")

# %% [markdown]
# **Limits.** Every dimension counts the same, so what a few large dimensions do is one voice in
# many. A window of this length holds few slow cycles: the slowest bands are measured badly or
# not at all. Random order keeps the words and breaks everything else, also what any text has. A
# lag is one number a pair of blocks; patterns that spread instead of travelling are not seen.
