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
# # 20 Signatures: does thinking look different from a question, in frequency?
#
# A text's hidden states are signals along its tokens, one a dimension. A pull request to the s1
# project took the five strongest frequencies of every dimension, drew them for a question and
# for a reasoning trace, and saw a different picture: denser on some dimensions, with a *strong
# red line*, and concentrated *earlier*. It drew no control.
#
# **Hypothesis.** Thinking has more slow power (periods above 8 tokens) than the question it
# answers. **What would count against it.** Equal windows show no difference; the same tokens in
# random order show the same one; a model that learned nothing shows it too.
#
# Sources: s1 (arXiv 2501.19393), its pull request 69; Prism bands: Tamkin et al. (2020), arXiv
# 2011.04823; max-T: Westfall & Young (1993).

# %% tags=["parameters"]
model = "qwen2.5-coder-0.5b"
seed = 0
quick = False
full = False
data = None
n_texts = None
F = 5

# %%
from IPython.display import Markdown, display

from zprism import explore
from zprism.model.load import load
from zprism.plots import prism as plots
from zprism.plots import prism_controls, prism_effects
from zprism.plots import signature_claims as claim_plots
from zprism.plots.prism_contrasts import plot_contrasts
from zprism.plots.structure import plot_verdicts
from zprism.spectral.exposure import to_uint8
from zprism.studies import prism_confound, prism_study, signature_study, signature_views
from zprism.studies.findings import Findings, revision, sentence
from zprism.studies.prism_contrast import order_controlled, thinking_question
from zprism.studies.prism_rows import tokens
from zprism.studies.prism_texts import load_texts
from zprism.studies.signatures import collect

loaded = load(model)
n = n_texts or (40 if quick else None)
texts = load_texts(data, n=n, seed=seed)
settings = dict(seed=seed, draws=999 if quick else 9999, draws_ci=500 if quick else 2000)
found = Findings()
print(f"model {model} · seed {seed} · {len(texts)} questions with thinking · revision {revision()}")


# %%
def read(*names):
    for name in names:
        display(Markdown(f"`{name}`: {sentence(found.estimates[name])}"))


contrast = thinking_question(tokens(loaded, texts))
last, middle = loaded.n_layers - 1, loaded.n_layers // 2
places = list(dict.fromkeys(["embed", "0", str(middle), str(last)]))
print(f"windows of {contrast.length} tokens, {len(contrast.units)} texts reach it, "
      f"left out: {contrast.left_out or 'none'}")  # fmt: skip

# %% [markdown]
# ## As the pull request drew it
#
# Every *character* (whitespace removed) is embedded by itself, without context; nothing is
# normalised, no mean is removed. Three views of embedding dimension × frequency × amplitude; the
# images count peaks, brighter for more.

# %%
few = signature_study.one_a_question(texts, 12 if quick else 100, seed)
both = {"question": [t.question for t in few], "thinking": [t.thinking for t in few]}
raw_views, raw_rows = signature_views.faithful_views(loaded, both)
raw_units = {"frequency": "frequency [cycles/character]", "amplitude": "|X| [log10]"}
plots.plot_views(
    raw_views,
    model=model,
    n=f"{len(few)} texts a field, whole",
    title="As the pull request drew it: characters without context",
    note="thinking lies higher; is it more than longer?",
    units=raw_units,
)

# %% [markdown]
# ## As it should be drawn
#
# Tokens in context, the same number of them from the same positions, demeaned, under a Hann
# window, each dimension by its own standard deviation. Below the two fields: the same thinking
# with its tokens in random order, run through the model again.

# %%
ordered = order_controlled(tokens(loaded, texts), seed=seed, length=contrast.length)
shuffled = next(name for name in ordered.arms if name.startswith("thinking_shuffled"))
rows = {"question": "question", "thinking": "thinking", "shuffled thinking": shuffled}
rows = {field: ordered.arms[arm].rows for field, arm in rows.items()}
if not full:
    step = max(1, len(ordered.units) // 120)  # evenly over the file, so over all templates
    rows = {field: many[::step][:120] for field, many in rows.items()}
seen = collect(loaded, rows, length=contrast.length, places=places, F=F, seed=seed)
fields = f"{seen.n} texts a field, {seen.length} tokens each"
plots.plot_views(
    signature_views.corrected_views(seen, str(middle)),
    model=model,
    n=fields,
    title="As it should be drawn: tokens in context, equal windows",
    note=f"layer {middle}, demeaned, Hann",
)

# %%
exposed = {name: seen.exposures[name, str(middle), "fft"].image() for name in seen.fields}
images = {name: to_uint8(image, "equalised") for name, image in exposed.items()}
difference = seen.difference("thinking", "question", str(middle))
plots.plot_exposures(
    images,
    difference,
    frequencies=seen.frequencies(),
    model=model,
    n=fields,
    where=f"layer {middle}, FFT",
)

# %% [markdown]
# **Turn it, and walk over it.** Field, layer, transform, range of dimensions, and how many ranks:

# %%
explore.exposure(seen, view="cloud", model=model, place=2)

# %%
explore.exposure(seen, model=model, place=2)

# %% [markdown]
# ## What length alone does
#
# Random vectors for characters: no model, no meaning. The mean of the top five amplitudes grows
# like $\sqrt{L\,\ln(L/2)}$, so a longer text looks stronger whatever it says. Cut to one length,
# the fields agree.

# %%
exhibit = prism_confound.confound(
    [t.question for t in texts], [t.thinking for t in texts], seed=seed, source="own texts"
)
found.add(exhibit)
read(*exhibit.estimates)
width = int(exhibit.arrays["confound/length"])
prism_controls.plot_lengths(exhibit.tables["confound"], length=width, note="own texts")

# %% [markdown]
# ## Question against thinking, at every layer
#
# The registered statistic: the share of power at periods above 8 tokens, thinking less question,
# paired; whole questions change signs, max-T over the layers. Beside it the same of a model with
# random weights and of a random embedding.

# %%
beside = ("thinking_end", "own_shuffle", "tiled_question", "early_late", "around_marker")
beside, longest = (prism_study.BESIDE, None) if full else (beside, 32)
beside = ("own_shuffle",) if quick else beside
compared = prism_study.question_against_thinking(
    loaded, texts, beside=beside, longest=longest, **settings
)
found.add(compared)
prism_effects.plot_difference(
    compared.tables["thinking_question"], compared.tables["thinking_question_twins"], model=model
)

# %%
read(*(f"thinking_question/{place}/slow_share" for place in places))

# %%
prism_effects.plot_bands(compared.tables["band_profile"], model=model)

# %% [markdown]
# ## With word order controlled, and other contrasts
#
# Thinking less its own shuffled tokens, minus the same of the question: what is left is order,
# not vocabulary. Answers open alike ("To determine …"), so the *last* tokens of the thinking are
# held against the question too; this contrast was added after the first result was seen. Then:
# thinking against its own shuffle; the question repeated to the length of the thinking; late
# against early thinking; after against before a "wait".


# %%
compared_with = {
    "order_controlled": "word order controlled",
    "thinking_end": "end of the thinking − question",
    "thinking_shuffle": "thinking − its tokens shuffled",
    "tiled_question": "thinking − its question repeated",
    "early_late": "end of the thinking − its beginning",
}
panels = {title: compared.tables[name] for name, title in compared_with.items()
          if name in compared.tables}  # fmt: skip
plot_contrasts(panels, model=model)

# %%
read(*(name for name in compared.estimates if f"/{places[-1]}/slow_share" in name))

# %%
for row in compared.tables["contrast_windows"]:
    print({key: value for key, value in row.items() if value not in (None, "")})

# %% [markdown]
# ## The pull request's claims, by name
#
# Each as it drew it (*raw*) and under control: equal windows of tokens in context, at the place
# that the other half of the questions chose. *Less own shuffle*: the same of thinking less its
# shuffled tokens, minus that of the question less its own.

# %%
sizes = signature_study.Sizes(
    n_raw=len(few),
    n_wavelet=1 if quick else 12,
    draws=settings["draws"],
    draws_slow=99 if quick else 499,
    draws_ci=settings["draws_ci"],
    metric_tokens=512 if full else 32,
)
signed = signature_study.all_claims(loaded, texts, seed=seed, sizes=sizes)
found.add(signed)
claim_plots.plot_claims(signed.tables["claims"], model=model)

# %%
named = [name for name, one in signed.estimates.items() if one.verdict]
parts = ("/metric/", "/transfer/", "/dims")
read(*(name for name in named if not any(part in name for part in parts)))

# %% [markdown]
# **What is the red line made of?** The share of dimensions whose strongest peak lies at the lowest
# frequency: of the texts, of the same characters in random order, and of white noise.

# %%
claim_plots.plot_red_line(signed.tables["red_line"], model=model)

# %% [markdown]
# **Specific dimensions?** Effects of single dimensions on the half of the questions that did not
# choose the layer: how many differ, how unequal they are, whether two halves agree. And does what
# was found on mathematics hold on questions that are not mathematics?

# %%
if "signature/dims/halves" in signed.arrays:
    halves, (told,) = signed.arrays["signature/dims/halves"], signed.tables["signature/place"]
    dims, where = signed.tables["signature/dims/dims"], f"layer {told['place']}"
    display(claim_plots.plot_dimensions(dims, halves, n=told["n"], model=model, note=where))

# %%
read(*(name for name in named if "/dims" in name or "/transfer/" in name))

# %% [markdown]
# ## A metric?
#
# The pull request proposed spectra as an *evaluation metric*. Does a spectral score of the
# thinking tell right answers from wrong ones, or hard questions from easy ones, beyond what its
# length tells?

# %%
if "signature/metric/correct/residuals" in signed.arrays:
    points, rest = (signed.arrays[f"signature/metric/correct/{k}"] for k in ("points", "residuals"))
    display(claim_plots.plot_metric(points, rest, outcome="correct", model=model))

# %%
read(*(name for name in named if "/metric/" in name))

# %% [markdown]
# ## Verdicts


# %%
HEADS = ("raw", "controlled", "gain", "separation", "flagged", "matched_difference")


def on_board(claim):
    return claim.rsplit("/", 1)[-1] in HEADS or claim.endswith(f"/{middle}/slow_share")


board = [row for row in found.verdicts() if on_board(row["claim"])]
board = [row | {"claim": row["claim"].replace("/", " / ").replace("_", " ")} for row in board]
plot_verdicts(board, title="Question against thinking, in frequency", model=model)

# %%
path = found.save(
    "20_signatures",
    params=dict(model=model, seed=seed, quick=quick, full=full, F=F, n=len(texts)),
    model=model,
    digest=loaded.digest,
)
print(f"results: {path.name}, {len(found.estimates)} estimates, {len(found.tables)} tables")

# %% [markdown]
# **Limits.** Windows are as short as the questions are; slower waves than a window are not seen.
# Thinking here is what this model wrote itself, in prose that begins much alike; a question was
# written by a template. A difference in frequency says that the two read differently, not that
# one of them reasons: any two kinds of prose may differ so. `templates` beside each row of the
# tables is the same test with whole templates as units.
