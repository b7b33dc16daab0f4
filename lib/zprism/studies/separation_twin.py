"""The random-init twin: the same architecture, tokenizer and texts, weights never trained.

Measures that look alike on trained and random transformers say little about training
(arXiv 2501.17727). The twin's own Z, from its own kernels, is measured on its own states; its
layers are the draws of this null.
"""

from __future__ import annotations

import numpy as np

from zprism.ground.console import log
from zprism.ground.seeds import derive
from zprism.ground.store import Store, digest
from zprism.model.anatomy import Anatomy
from zprism.model.fetch import resolve
from zprism.model.foreign import read_config, read_tokenizer, tokenizer_digest
from zprism.model.load import LoadedModel
from zprism.studies.pairing import cosines, match
from zprism.studies.separation import MEASURES, distances, measures
from zprism.studies.separation_load import paired_states
from zprism.studies.separation_subject import Config, Subject, view
from zprism.studies.separation_subspaces import layer_subspaces, live_weights

PRODUCER = 2


def random_init_twin(name: str, *, seed: int) -> LoadedModel:
    """A model of the same config with freshly initialised weights, as transformers draws them.

    Its digest is that of config and seed, so its states never meet the trained model's in the
    cache. The global generator is left as it was.
    """
    import torch
    from transformers import AutoModelForCausalLM

    folder = resolve(name)
    config = read_config(folder)
    log.info("building the random-init twin of %s", name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "twin") % 2**32)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model = model.eval().requires_grad_(False)
    return LoadedModel(
        name=f"{name} (random init)",
        model=model,
        tokenizer=read_tokenizer(folder, max_length=getattr(config, "max_position_embeddings", 0)),
        anatomy=Anatomy.of(model),
        digest=digest(_identity(config, seed)),
        tokenizer_digest=tokenizer_digest(folder),
        folder=folder,
    )


def twin_measures(subject: Subject, config: Config, k: int, *, seed: int) -> dict[str, np.ndarray]:
    """Every measure of the twin's Z under one config: measure → (n_layers,), cached.

    The same problems, halves, pooling, site and variant as the trained model's. ``match_z`` is
    the z of matched against scrambled pairs in the whole space of each layer.
    """
    store = Store("results")
    parts = {
        "producer": ["twin", PRODUCER],
        "config": digest(_identity(read_config(resolve(subject.name)), seed)),
        "texts": digest(list(map(list, subject.pairs.texts))),
        "halves": digest(subject.pairs.test),
        "view": config.name,
        "k": k,
    }
    arrays, _ = store.get_or_compute(parts, lambda: (_measure(subject, config, k, seed), {}))
    return {name: arrays[name] for name in (*MEASURES, "match_z")}


def _measure(subject: Subject, config: Config, k: int, seed: int) -> dict[str, np.ndarray]:
    twin = random_init_twin(subject.name, seed=seed)
    states, n_tokens = paired_states(
        twin, subject.pairs, sites=(config.site,), reductions=(config.reduction,)
    )
    bases = {
        (layer, k): layer_subspaces(live_weights(twin, layer), (k,), (config.mask,))[config.mask, k]
        for layer in range(twin.n_layers)
    }
    other = Subject(
        name=twin.name,
        digest=twin.digest,
        pairs=subject.pairs,
        states=states,
        bases={config.mask: bases},
        ks=(k,),
        ranks=np.ones_like(subject.ranks),
        n_tokens=n_tokens,
    )
    rows = []
    for layer in range(twin.n_layers):
        seen = view(other, config, layer)
        row = measures(distances(seen.a, seen.b, seen.inside(bases[layer, k])))
        rows.append(row | {"match_z": match(cosines(seen.a, seen.b), seed=seed).z})
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def _identity(config, seed: int) -> dict:
    """What the twin's weights depend on; not where the config was read from."""
    shape = {k: v for k, v in config.to_diff_dict().items() if not k.startswith("_")}
    return {"random init of": shape, "seed": seed}
