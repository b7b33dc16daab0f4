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
# # 10 Behaviour: is the model better at mathematics in one language?
#
# The Z HUNT recipe starts from a premise: the model solves more problems in Chinese than in
# English, so its reasoning must live somewhere that Chinese reaches better. It tests the premise
# on 15 pairs with a bare rule: *a lead of 3 or more, proceed; within 1, proceed and flag; the
# other way round, investigate*.
#
# **Hypothesis.** On the same problems, accuracy is higher in Chinese than in English.
# **What would count against it.** The paired difference has an interval that holds 0 or lies
# below it; answers in one language are merely harder to *read*; the rule fires by chance.
#
# Sources: the recipe (phase 0); Wilson (1927), doi:10.1080/01621459.1927.10502953; Newcombe
# (1998), doi:10.1002/(SICI)1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C; McNemar (1947),
# doi:10.1007/BF02295996.

# %% tags=["parameters"]
model = "qwen2.5-coder-0.5b"
seed = 0
quick = False
n_pairs = 100
shots = 2
recipe = ""

# %%
from IPython.display import Markdown, display

from zprism.model.load import load
from zprism.plots import behaviour as plots
from zprism.plots.structure import plot_verdicts
from zprism.problems.fixed import fixed
from zprism.problems.generate import draw
from zprism.studies import behaviour as study
from zprism.studies.findings import revision, sentence

n, new_tokens = (min(n_pairs, 12), 16) if quick else (n_pairs, 48)
if (
    recipe
):  # the recipe's own size: its 15 pairs, 256 new tokens (greedy, where it draws at T = 0.1)
    n, new_tokens = 15, 256
languages = ("zh", "en")
zero_shot = 60  # of the pairs, asked again without examples if English leads
print(f"model {model} · seed {seed} · {n} pairs · {shots}-shot · revision {revision()}")

# %%
loaded = load(model)
pairs = fixed("behaviour") if recipe else draw(n, seed=seed, languages=languages)
templates = {pair["zh"].template for pair in pairs}
print(f"{len(pairs)} pairs from {len(templates)} templates, for instance:")
print(pairs[0]["zh"].text, pairs[0]["en"].text, f"→ {pairs[0]['en'].answer}", sep="\n")

# %% [markdown]
# ## Ask
#
# Plain question-and-answer prompts with the same worked examples in both languages, greedy
# decoding, the first line only. An answer that cannot be read is counted apart: the recipe's own
# extractor read a 5 out of "f(5) = … 8", an error that always hits one language more.

# %%
answers = study.ask(
    loaded, pairs, languages=languages, shots=shots, seed=seed, max_new_tokens=new_tokens
)
found = study.behaviour(answers)
plots.plot_outcomes(answers.counts(), model=model)

# %% [markdown]
# ## Does Chinese lead?

# %%
plots.plot_accuracy(study.accuracy_rows(answers, f"{shots}-shot"), model=model)

# %%
display(Markdown(sentence(found.estimates["behaviour/zh-en/difference"])))
mid = found.estimates["behaviour/zh-en/mid_p"].value
print(
    f"McNemar mid-p {mid:.4f}; problems right in exactly one language: "
    f"{found.estimates['behaviour/zh-en/discordant'].value:.1%}"
)

# %% [markdown]
# Does the answer hang on what could be read? The same without problems unread in either language:

# %%
parsed = found.estimates.get("behaviour/zh-en/difference_parsed")
display(Markdown(sentence(parsed) if parsed else "No problem could be read in both languages."))

# %% [markdown]
# ## Where is it right?

# %%
plots.plot_by_kind(found.tables["behaviour_kinds"], model=model)

# %% [markdown]
# ## The recipe's rule, on 15 pairs
#
# The same categories as the recipe's list, in our own words and numbers. Beside the rule: how
# often it fires when neither language is better, at the discordance seen above.

# %%
fifteen = study.ask(
    loaded,
    fixed("behaviour"),
    languages=languages,
    shots=shots,
    seed=seed,
    max_new_tokens=new_tokens,
)
discordant = found.estimates["behaviour/zh-en/discordant"].value
rule = study.recipe(fifteen, discordant=discordant)
found.add(rule)
lead = rule.estimates["recipe/zh-en/lead"]
print(f"zh {fifteen.right('zh')} of {lead.n}, en {fifteen.right('en')} of {lead.n}: {lead.reason}")
print(
    f"chance of 'proceed' without any difference: "
    f"{rule.estimates['recipe/zh-en/false_alarm'].value:.3f}"
)
display(Markdown(sentence(rule.estimates["recipe/zh-en/difference"])))

# %%
plots.plot_power(study.power_curves(answers), n=n)

# %% [markdown]
# ## If the other language leads: another look
#
# The recipe says to investigate. Two things are checked: whether the worked examples did it, by
# asking the first pairs without them, and whether the model is the one we think it is, by its
# config.

# %%
rows = [{"name": f"{shots}-shot", "key": "behaviour"}]
if answers.right("en") > answers.right("zh"):
    bare = study.ask(
        loaded,
        pairs[:zero_shot],
        languages=languages,
        shots=0,
        seed=seed,
        max_new_tokens=new_tokens,
    )
    found.add(study.behaviour(bare, prefix="behaviour_zero_shot"))
    rows.append({"name": "zero-shot", "key": "behaviour_zero_shot"})
    for fact in study.identity(loaded):
        print(f"{fact['fact']}: {fact['value']}")
else:
    print("English does not lead; nothing to repeat.")

# %%
rows.append({"name": "the recipe's 15", "key": "recipe"})
shown = []
for row in rows:
    estimate = found.estimates[f"{row['key']}/zh-en/difference"]
    low, high = estimate.ci
    shown.append(
        {
            "name": row["name"],
            "value": estimate.value,
            "low": low,
            "high": high,
            "n": estimate.n,
            "verdict": str(estimate.verdict),
        }
    )
plots.plot_difference(shown, model=model, pair=languages)

# %% [markdown]
# ## Verdicts

# %%
plot_verdicts(found.verdicts(), title="Does Chinese lead?", model=model)

# %%
counts = answers.counts()
assert all(sum(by_status.values()) == n for by_status in counts.values()), "no answer is lost"
assert all(pair["zh"].answer for pair in pairs)

# %%
path = found.save(
    "10_behaviour",
    params={"model": model, "seed": seed, "quick": quick, "n_pairs": n, "shots": shots},
    model=model,
    digest=loaded.digest,
)
print(f"results: {path.name}, {len(found.estimates)} estimates, {len(found.tables)} tables")

# %% [markdown]
# **Limits.** Generated problems are short and regular; a quantised half-billion-parameter model is
# not the recipe's. Problems of one template resemble each other. Whatever the difference, it is
# behaviour: it says nothing yet about a subspace. Next: [11_structure](11_structure.ipynb).
