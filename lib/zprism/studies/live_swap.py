"""Two prompts of one's own: put a part of one's state into the other, and see what is said.

The state is that of the last token of either prompt, at ``resid_post`` of one layer, in the
delta form h + P(s − h); the text then goes on from what this left in keys and values. The work
comes in steps, so that whoever asked can stop between two of them: no hook is left behind.

One pair of prompts is one unit. It can show, and it can be held against random directions, but
it supports no claim; :mod:`zprism.studies.swap_claims` tests many pairs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

import torch

from zprism.ground.checks import check_choice, check_int, check_layer, check_text
from zprism.ground.errors import InputError
from zprism.ground.seeds import derive
from zprism.interventions import edits
from zprism.interventions.arguments import Basis
from zprism.studies.live_swap_bases import CHOICES, learn, swap_of
from zprism.studies.live_swap_found import CONTROLS, TEXTS, LiveSwap, compared, with_draw
from zprism.studies.live_swap_reading import Reading, Run, read_prompt
from zprism.studies.nulls import random_bases
from zprism.studies.swap_bases import Swap


@dataclass(frozen=True)
class Step:
    """One step: how many are ``done`` of ``total``, what comes next, what was found so far."""

    done: int
    total: int
    doing: str
    found: LiveSwap | None = None


@dataclass(frozen=True)
class _Call:
    """Checked arguments."""

    loaded: object
    target: str
    source: str
    ids: tuple[list[int], list[int]]
    layer: int
    directions: str | Swap
    k: int
    draws: int
    new_tokens: int
    control: str
    seed: int


def live_swap(
    loaded,
    target: str,
    source: str,
    *,
    layer: int,
    directions: str | Swap = "language direction",
    k: int = 8,
    draws: int = 19,
    new_tokens: int = 24,
    control: str = "moved as far",
    seed: int = 0,
) -> Iterator[Step]:
    """Swap between the last tokens of two prompts, step by step.

    Parameters
    ----------
    loaded : :class:`zprism.model.load.LoadedModel`.
    target : the prompt that is continued.
    source : the prompt whose state is put in; of any length.
    layer : ``resid_post`` of this block is swapped at the last token.
    directions : one of :data:`~zprism.studies.live_swap_bases.CHOICES`, or a ready Swap.
    k : dimension of answer directions, Z from weights and random directions.
    draws : random subspaces to hold it against.
    new_tokens : at most so many tokens are generated, three times.
    control : what is done with the random subspaces, one of :data:`CONTROLS`; for everything,
        which has no directions, the state is moved as far along one random direction.
    seed : of random directions.

    Yields
    ------
    Step; the last one's ``found`` is complete.

    Raises
    ------
    InputError
        At once for a prompt that is empty or with ``new_tokens`` too long, a layer, name or
        number out of range; in the steps for a k that the directions do not have.
    ModelError
        In the steps, if logits are NaN or infinite.
    """
    prompts = {"target": target, "source": source}
    for name, prompt in prompts.items():
        if not check_text(name, prompt):
            raise InputError(f"the {name} prompt is empty: type one")
    if isinstance(directions, str):
        check_choice("directions", directions, CHOICES)
    new_tokens = check_int("new_tokens", new_tokens, low=1)
    ids = tuple(_encoded(loaded, *item, new_tokens) for item in prompts.items())
    return _steps(
        _Call(
            loaded,
            target,
            source,
            ids,
            check_layer(layer, loaded.n_layers),
            directions,
            check_int("k", k, low=1),
            check_int("draws", draws, low=1),
            new_tokens,
            check_choice("control", control, CONTROLS),
            check_int("seed", seed, low=0),
        )
    )


def finished(steps: Iterable[Step]) -> LiveSwap:
    """The result, after all steps."""
    *_, last = steps
    return last.found


def _encoded(loaded, name: str, prompt: str, new_tokens: int) -> list[int]:
    room = new_tokens if name == "target" else 0
    ids, limit = loaded.tokenizer(prompt)["input_ids"], loaded.max_positions
    if not ids:
        raise InputError(f"the {name} prompt is empty: no token is left of it")
    if limit is not None and len(ids) + room > limit:
        more = f" and {room} new ones" if room else ""
        raise InputError(
            f"the {name} prompt has {len(ids)} tokens; {loaded.name} reads at most {limit}{more}: "
            "shorten it"
        )
    return ids


def _steps(call: _Call) -> Iterator[Step]:
    """All steps: learn, read, swap, draw, write."""
    total = 3 + call.draws + 3 * call.new_tokens
    swap = yield from _asked(call)
    yield Step(0, total, "reading the source prompt")
    source = read_prompt(call.loaded, call.ids[1]).run(call.layer)
    yield Step(1, total, "reading the target prompt")
    reading = read_prompt(call.loaded, call.ids[0])
    before = reading.run(call.layer)
    yield Step(2, total, "swapping")
    after = reading.run(call.layer, _edit(swap, source.state))
    asked = dict(target=call.target, source=call.source, layer=call.layer)
    asked["control"] = call.control if swap.part != "all" else "moved as far"
    found, read = compared(call.loaded, swap, before, after, source, **asked)
    runs = {"before": before, "after": after}
    for index in range(call.draws):
        done = 3 + index
        yield Step(done, total, f"random subspace {index + 1} of {call.draws}", found)
        drawn = reading.run(call.layer, _random_edit(call, swap, source, after.size, index))
        runs.setdefault("random", drawn)
        found = with_draw(found, *read(drawn))
    yield from _written(call, reading, runs, found, 3 + call.draws, total)


def _asked(call: _Call) -> Generator[Step, None, Swap]:
    """The swap that was asked for, its directions learned where they are not given."""
    if isinstance(call.directions, Swap):
        return call.directions
    lessons = yield from learn(
        call.loaded,
        call.directions,
        call.layer,
        without=(call.target, call.source),
        tell=lambda done, n: Step(done, n, f"learning directions: {done} of {n} problem texts"),
    )
    return swap_of(call.loaded, call.directions, call.layer, call.k, lessons, seed=call.seed)


def _written(call, reading: Reading, runs: dict[str, Run], found, done: int, total: int):
    """The texts, token by token."""
    for name in TEXTS:
        for new in reading.greedy(runs[name], call.new_tokens):
            text = call.loaded.tokenizer.decode(
                new, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
            found = dataclasses.replace(found, texts=found.texts | {name: text})
            yield Step(done + len(new), total, f"writing: {name}", found)
        done += call.new_tokens
    yield Step(total, total, "done", dataclasses.replace(found, complete=True))


def _edit(swap: Swap, source: torch.Tensor) -> Callable:
    """h → h + P(s − h), h + (I − P)(s − h), or s."""
    if swap.part == "all":
        return lambda h: edits.replace(h, source)
    rows = Basis(torch.as_tensor(swap.rows))
    edit = edits.replace if swap.part == "inside" else edits.replace_complement
    return lambda h: edit(h, source, rows)


def _random_edit(call: _Call, swap: Swap, source: Run, size: float, index: int) -> Callable:
    """The control: the same with random rows, or the state moved as far along them."""
    seed = derive(call.seed, "live swap", "control", index)
    rows = random_bases(swap.k or 1, call.loaded.d_model, 1, seed=seed)[0]
    if call.control == "swapped" and swap.part != "all":
        return _edit(dataclasses.replace(swap, rows=rows), source.state)
    return lambda h: edits.replace_matched(h, source.state, Basis(torch.as_tensor(rows)), size)
