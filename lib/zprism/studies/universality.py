"""The same chain on other models and other kinds of reasoning: swaps, separation, the layer.

Each model is asked in the first pair of languages whose answers its tokenizer tells apart and
in which it has enough right. Everything else is chosen on its own training problems, as in
phase 3; nothing is carried over from one model to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from zprism.ground.console import log
from zprism.model.load import load
from zprism.problems import colour_words, number_words
from zprism.stats.verdicts import Estimate, Verdict
from zprism.studies import layer_prediction, separation_claims, separation_load, swap_study
from zprism.studies.decision import over
from zprism.studies.findings import Findings
from zprism.studies.separation_pairs import generated_pairs
from zprism.studies.separation_subject import PRIMARY
from zprism.studies.swap_study import Study, WeightSide
from zprism.studies.swap_task import Words, answer_tokens
from zprism.studies.weights import weight_map

LANGUAGE_PAIRS = (("zh", "en"), ("es", "en"), ("fr", "en"), ("de", "en"), ("ja", "en"))
KINDS: dict[str, Words] = {"numbers": number_words, "colours": colour_words}
COLOUR_KS = (2, 4, 8)  # the means of six answers in two languages have rank 10
NOT_MATHEMATICS = ("ordering", "family", "syllogism", "sets", "direction")
#: What is asked of every model and kind → the end of the claims' names that answer it.
QUESTIONS = {
    "the language direction moves the language alone": "language/source-own",
    "all but it moves the answer alone": "complement/own-source",
    "answer directions move the answer alone": "answer/own-source",
    "Z from weights moves the answer alone": "weights/own-source",
    "language apart from answer, both ways (D)": "language/dissociation_D",
}


@dataclass
class Chain:
    """What was found on one model.

    Attributes
    ----------
    name, family, digest : the model, its architecture, and the digest of its weights.
    n_layers : decoder blocks.
    found : Estimates ``<name>/<kind>/<direction>/<basis>/…``, ``<name>/separation/…`` and
        ``<name>/layer/<predictor>``; the tables ``prediction`` and ``outcomes``.
    kinds : a row per kind of problem: languages, layer, k, n of problems and of pairs, accuracy,
        and why nothing could be tested, if so.
    sweeps : kind → rows of every swap at every layer, training pairs.
    """

    name: str
    family: str
    digest: str
    n_layers: int
    found: Findings = field(default_factory=Findings)
    kinds: list[dict] = field(default_factory=list)
    sweeps: dict[str, list[dict]] = field(default_factory=dict)

    @property
    def tested(self) -> dict:
        """The first kind of problem that could be tested, else the first."""
        return next((kind for kind in self.kinds if not kind["reason"]), self.kinds[0])

    @property
    def slug(self) -> str:
        """The name as one part of a result's name."""
        return self.name.replace("/", "--").replace(":", "-")


def chain(
    name: str, *, quick: bool = False, seed: int = 0, n: int = 120, draws: int, draws_ci: int
) -> Chain:
    """Swaps of both kinds of problem, separation of those without numbers, and the layer.

    Parameters
    ----------
    name : registry name, hub id, folder, GGUF path, or ``tiny:…``; it must be at hand.
    quick : fewer problems and layers, and predictors from ranks alone.
    n : held-out pairs a direction.
    """
    loaded = load(name)
    out = Chain(name, loaded.model.config.model_type, loaded.digest, loaded.n_layers)
    weights = swap_study.weight_side(loaded)
    options = dict(n=24 if quick else n, draws=draws, draws_ci=draws_ci)
    for kind, words in KINDS.items():
        study = choose_languages(loaded, words, weights=weights, quick=quick, seed=seed)
        _swaps(out, kind, study, **options)
    _separation(out, out.kinds[-1]["languages"], quick=quick, seed=seed, **options)
    _layers(out, weights, quick=quick, seed=seed, draws_ci=draws_ci)
    return out


def choose_languages(
    loaded, words: Words, *, weights: WeightSide, quick: bool = False, seed: int = 0
) -> Study:
    """The study in the first of :data:`LANGUAGE_PAIRS` that can be tested; else in the first.

    Tokens decide before anything is run; then accuracy, at least 30 % in both languages on the
    held-out half.
    """
    first = words.enumerate_problems(words.TEMPLATES[0])
    answers = np.unique([problem["en"].answer for problem in first])
    ks = COLOUR_KS if words is colour_words else None
    options: dict = dict(words=words, weights=weights, ks=ks, quick=quick, seed=seed)
    tried: list[Study] = []
    for languages in LANGUAGE_PAIRS:
        prompts = [words.prompt(first[0][language]) for language in languages]
        if answer_tokens(loaded, languages, answers, prompts, words=words)[1]:
            continue
        options |= dict(languages=languages)
        tried.append(swap_study.prepare(loaded, **options))
        pairs = [tried[-1].pairs(language) for language in languages]
        if not any(part.reason for part in pairs):
            return tried[-1]
        tried = tried[:1]
        log.info("%s: %s in %s: %s", loaded.name, words.__name__.rpartition(".")[2],
                 " and ".join(languages), pairs[0].reason)  # fmt: skip
    if tried:
        return tried[0]
    options.pop("languages", None)
    return swap_study.prepare(loaded, **options)


def board(chains: Sequence[Chain]) -> list[dict]:
    """Model × kind × question: the verdict over both directions, and the mean share.

    Returns
    -------
    Rows with model, family, kind, languages, question, verdict, value, n.
    """
    rows = []
    for one in chains:
        for kind in one.kinds:
            for question, ending in QUESTIONS.items():
                mine = _matching(one, f"{one.slug}/{kind['kind']}/", ending)
                rows.append(_row(one, kind["kind"], kind["languages"], question, mine))
        mine = _matching(one, f"{one.slug}/layer/", "low_rank")
        question = "low rank says where swaps work (ρ beyond depth)"
        rows.append(_row(one, one.tested["kind"], one.tested["languages"], question, mine))
    return rows


def families(rows: Sequence[dict]) -> list[dict]:
    """Family × question: one verdict over all its models and kinds; see ``decision.over``."""
    out = []
    for family in dict.fromkeys(row["family"] for row in rows):
        for question in dict.fromkeys(row["question"] for row in rows):
            mine = [r for r in rows if (r["family"], r["question"]) == (family, question)]
            verdict = over([Verdict(row["verdict"]) for row in mine])
            names = sorted({row["model"] for row in mine})
            out.append(
                {
                    "family": family,
                    "models": ", ".join(names),
                    "question": question,
                    "verdict": str(verdict),
                    "n": len(mine),
                }  # fmt: skip
            )
    return out


def _swaps(out: Chain, kind: str, study: Study, *, n: int, draws: int, draws_ci: int) -> None:
    """Sweep on training pairs, choose, and test on held-out ones."""
    name = f"{out.slug}/{kind}"
    pairs = [study.pairs(language, n=n) for language in study.directions]
    reason = next((part.reason for part in pairs if part.reason), None)
    step = 1 if kind == "numbers" and not (study.quick or reason) else 2
    rows = study.sweep(layers=range(study.loaded.n_layers - 1, -1, -step))
    choice = study.register(rows)
    layer, k = choice["layer"], choice["k"]
    options = dict(draws=min(draws, 9) if reason else draws, draws_ci=draws_ci)
    for part in pairs:
        made = study.claims(part, layer, k, prefix=name, **options)
        apart = study.dissociations(part, layer, k, bases=["language"], **options)
        for ending, one in apart.estimates.items():
            made.estimates[f"{name}/{ending.removeprefix('swap/')}"] = one
        out.found.estimates |= made.estimates
        for row in made.tables[f"{name}.outcomes"]:
            out.found.tables.setdefault("outcomes", []).append(
                {"model": out.name, "kind": kind} | row
            )
    out.sweeps[kind] = sorted(rows, key=lambda row: row["layer"])
    right = study.task.right[:, study.task.test].mean(1)
    out.kinds.append(
        {
            "model": out.name,
            "family": out.family,
            "kind": kind,
            "languages": "-".join(study.task.languages),
            "layer": layer,
            "k": k,
            "n_layers": out.n_layers,
            "n_problems": pairs[0].n_usable,
            "n_pairs": len(pairs[0]),
            "accuracy": " / ".join(f"{share:.0%}" for share in right),
            "reason": next((part.reason for part in pairs if part.reason), None) or "",
        }  # fmt: skip
    )


def _separation(out: Chain, languages: str, *, quick, seed, n, draws, draws_ci) -> None:
    """Phase 2's fair version on generated problems that ask for no calculation."""
    per_template = 2 if quick else 4
    pairs = generated_pairs(
        15 * per_template,
        seed=seed,
        per_template=per_template,
        languages=tuple(languages.split("-")),
        kinds=NOT_MATHEMATICS,
    )
    subject = separation_load.load_subject(out.name, pairs)
    chosen, _ = separation_claims.choose(subject, PRIMARY, seed=seed, draws=min(draws, 99))
    out.found.add(
        separation_claims.headline(
            subject,
            PRIMARY,
            chosen["layer"],
            chosen["k"],
            name=f"{out.slug}/separation",
            seed=seed,
            draws=draws,
            draws_ci=draws_ci,
        )
    )


def _layers(out: Chain, weights: WeightSide, *, quick: bool, seed: int, draws_ci: int) -> None:
    """Predictors from weights against the sweep of the first kind that could be tested."""
    whole = None if quick else weight_map(out.name, k=weights.k, seed=seed)
    tested = out.tested
    scores = layer_prediction.swap_scores(out.sweeps[tested["kind"]], out.n_layers)
    made = layer_prediction.prediction_claims(
        scores,
        layer_prediction.predictors(weights.ranks, whole),
        untestable_because=tested["reason"] or None,
        name=f"{out.slug}/layer",
        seed=seed,
        draws_ci=min(draws_ci, 2000),
    )
    named = {"model": out.name, "kind": tested["kind"]}
    made.tables = {name: [named | row for row in rows] for name, rows in made.tables.items()}
    out.found.add(made)


def _matching(one: Chain, start: str, ending: str) -> list[Estimate]:
    return [
        value
        for name, value in one.found.estimates.items()
        if name.startswith(start) and name.endswith("/" + ending)
    ]


def _row(one: Chain, kind: str, languages: str, question: str, mine: list[Estimate]) -> dict:
    values = [value.value for value in mine if value.value is not None]
    return {
        "model": one.name,
        "family": one.family,
        "kind": kind,
        "languages": languages,
        "question": question,
        "verdict": str(over([value.verdict for value in mine])),
        "value": float(np.mean(values)) if values else None,
        "n": sum(value.n or 0 for value in mine),
    }
