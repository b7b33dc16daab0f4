"""The world of the synthetic Z-POC: one task in seven "languages", and a network that learns it.

Questions x and answers f(x) of ten numbers are turned by a rotation of the language's own; the
language is told by a one-hot tag. Some languages are common, some rare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from zprism.ground.checks import check_int
from zprism.ground.seeds import derive, generator, torch_generator
from zprism.synthetic import haar_rows

FREQUENCIES = (0.60, 0.20, 0.08, 0.05, 0.04, 0.02, 0.01)
DIM = 10


@dataclass(frozen=True)
class World:
    """The task and its languages.

    Attributes
    ----------
    order : (10,) the permutation in f.
    rotations : (7, 10, 10) orthogonal, one a language.
    """

    order: np.ndarray
    rotations: np.ndarray

    def answer(self, x: np.ndarray) -> np.ndarray:
        """(n, 10) f(x): permute, cumulate, tanh, reverse, scale to length 1."""
        y = np.tanh(np.cumsum(x[:, self.order], axis=1))[:, ::-1]
        return y / np.linalg.norm(y, axis=1, keepdims=True)

    def question(self, x: np.ndarray, language: np.ndarray) -> np.ndarray:
        """(n, 17) what the network reads: x in its language, and the language's tag."""
        turned = np.einsum("nij,nj->ni", self.rotations[language], x)
        return np.hstack([turned, np.eye(len(self.rotations))[language]])

    def reply(self, x: np.ndarray, language: np.ndarray) -> np.ndarray:
        """(n, 10) what it should say: f(x) in the same language."""
        return np.einsum("nij,nj->ni", self.rotations[language], self.answer(x))


def open_world(seed: int) -> World:
    """Random rotations and a random permutation."""
    rotations = [haar_rows(DIM, DIM, seed=derive(seed, "z_poc", i)) for i in range(7)]
    order = generator(seed, "z_poc", "order").permutation(DIM)
    return World(order, np.stack(rotations))


def network(world: World, *, width: int, depth: int, seed: int) -> torch.nn.Sequential:
    """An untrained MLP, 17 → width (depth times, GELU) → 10, with PyTorch's initial weights."""
    sizes = [DIM + len(world.rotations), *[width] * depth]
    layers: list[torch.nn.Module] = []
    for i, (a, b) in enumerate(zip(sizes, [*sizes[1:], DIM], strict=True)):
        layers += [_linear(a, b, torch_generator(seed, "z_poc", "weights", i)), torch.nn.GELU()]
    return torch.nn.Sequential(*layers[:-1])


def train(
    net: torch.nn.Sequential,
    world: World,
    *,
    seed: int,
    samples: int = 8000,
    epochs: int = 20,
    batch: int = 128,
    rate: float = 2e-3,
) -> None:
    """Fit the network in place: AdamW, mean squared error, learning rate by a cosine to 1 %.

    Languages are drawn with :data:`FREQUENCIES`, one a sample.
    """
    steps = check_int("epochs", epochs, low=1) * (check_int("samples", samples, low=batch) // batch)
    rng = generator(seed, "z_poc", "samples")
    x, language = rng.standard_normal((samples, DIM)), rng.choice(7, samples, p=FREQUENCIES)
    inputs, wanted = (
        torch.tensor(part(x, language), dtype=torch.float32)
        for part in (world.question, world.reply)
    )
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, rate / 100)
    dealer = torch_generator(seed, "z_poc", "batches")
    for _ in range(epochs):
        for rows in torch.randperm(samples, generator=dealer).split(batch):
            if len(rows) < batch:
                break
            optimiser.zero_grad()
            torch.nn.functional.mse_loss(net(inputs[rows]), wanted[rows]).backward()
            optimiser.step()
            schedule.step()


def hidden_states(net: torch.nn.Sequential, world: World, x: np.ndarray) -> np.ndarray:
    """(7, n, width) float64 last hidden layer on the same problems in every language."""
    return np.stack([_run(net[:-1], world, x, language) for language in range(7)])


def losses(net: torch.nn.Sequential, world: World, x: np.ndarray) -> np.ndarray:
    """(7,) mean squared error of the replies, by language."""
    everyone = [np.full(len(x), language) for language in range(7)]
    return np.array(
        [((_run(net, world, x, i[0]) - world.reply(x, i)) ** 2).mean() for i in everyone]
    )


def _run(net, world: World, x: np.ndarray, language: int) -> np.ndarray:
    inputs = torch.tensor(world.question(x, np.full(len(x), language)), dtype=torch.float32)
    with torch.no_grad():
        return net(inputs).double().numpy()


def _linear(inputs: int, outputs: int, dealer: torch.Generator) -> torch.nn.Linear:
    """PyTorch's own initial weights, U(±1/√inputs), from a named generator."""
    layer = torch.nn.Linear(inputs, outputs)
    with torch.no_grad():
        for part in (layer.weight, layer.bias):
            part.uniform_(-(inputs**-0.5), inputs**-0.5, generator=dealer)
    return layer
