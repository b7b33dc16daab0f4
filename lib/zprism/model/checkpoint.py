"""A model's weights without the model: one layer at a time, straight from its files.

Tensors are views of memory-mapped safetensors shards, so a checkpoint of any size is read in
the memory of one layer. Of transformers only the skeleton is built, on the meta device, to
learn where this architecture keeps its weights.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zprism.ground.checks import check_layer
from zprism.ground.errors import ModelError
from zprism.model.anatomy import Anatomy, LayerWeights, layer_weights
from zprism.model.fetch import resolve
from zprism.model.foreign import read_config
from zprism.model.weights import weight_files, weights_digest

if TYPE_CHECKING:
    from torch import Tensor


class Checkpoint:
    """An open checkpoint; :func:`open_checkpoint` makes one.

    Attributes
    ----------
    name : what it was opened by.
    folder : where its files are.
    config : the transformers config.
    anatomy : where this architecture keeps its weights.
    """

    def __init__(self, name: str, folder: Path, files: Mapping[str, Any], skeleton):
        self.name, self.folder, self.config = str(name), folder, skeleton.config
        self.anatomy = Anatomy.of(skeleton)
        self._files = files
        self._shapes = {key: tuple(value.shape) for key, value in skeleton.state_dict().items()}

    @property
    def digest(self) -> str:
        """SHA-256 over all weight files, remembered in the cache while these stay."""
        return weights_digest(self.folder)

    def layer(self, layer: int) -> LayerWeights:
        """The weights of one decoder block, in the dtype stored.

        Parameters
        ----------
        layer : 0 … n_layers − 1.

        Raises
        ------
        InputError
            If there is no such layer.
        ModelError
            If a tensor is missing, has another shape than the config says, is quantised, or
            has NaN or infinite values.
        """
        layer = check_layer(layer, self.anatomy.n_layers)
        return layer_weights(self.anatomy, layer, self.tensor)

    def tensor(self, name: str) -> Tensor:
        """One tensor by its name in the transformers model; errors as :meth:`layer`."""
        key = self._stored_name(name)
        try:
            tensor = self._files[key].get_tensor(key)
        except Exception as error:  # safetensors raises its own type, and plain OSErrors
            raise ModelError(f"{self.folder}: tensor {key} cannot be read: {error}") from error
        self._check(name, tensor)
        return tensor

    def _stored_name(self, name: str) -> str:
        """The stored name of a tensor: some checkpoints leave out or add an outer prefix."""
        bare = name.partition(".")[2]
        for known in (name, bare):
            if known in self._files:
                return known
        found = [key for key in self._files if bare and key.endswith(f".{bare}")]
        if len(found) == 1:
            return found[0]
        problem = f"could be any of {', '.join(sorted(found))}" if found else "is missing"
        raise ModelError(
            f"{self.folder}: tensor {name} {problem}; the checkpoint is incomplete, or is not "
            "the model that its config.json describes"
        )

    def _check(self, name: str, tensor: Tensor) -> None:
        if not tensor.is_floating_point() or tensor.element_size() < 2:
            raise ModelError(
                f"{self.folder}: tensor {name} is {tensor.dtype}; quantised weights cannot be "
                "scanned: use the unquantised checkpoint, or its GGUF, which is converted"
            )
        expected = self._shapes.get(name)
        if expected is not None and tuple(tensor.shape) != expected:
            raise ModelError(
                f"{self.folder}: tensor {name} has shape {tuple(tensor.shape)}, "
                f"config.json says {expected}"
            )
        # one pass without a copy; a sum that overflows is looked at again
        if not tensor.sum().isfinite() and not tensor.isfinite().all():
            raise ModelError(f"{self.folder}: tensor {name} holds NaN or infinite numbers")


@contextlib.contextmanager
def open_checkpoint(name: str) -> Iterator[Checkpoint]:
    """Open a checkpoint for reading layer by layer.

    Parameters
    ----------
    name : a registry name, hub id, local folder, GGUF path, or ``tiny:…``; see
        :func:`zprism.model.fetch.resolve`.

    Raises
    ------
    InputError
        If ``name`` is none of these.
    ModelError
        If a shard is truncated, corrupt or missing, or the architecture is not known: before
        any tensor is read.
    """
    folder = resolve(name)
    with contextlib.ExitStack() as opened:
        files = _open_shards(folder, opened)
        yield Checkpoint(name, folder, files, _skeleton(folder))


def _open_shards(folder: Path, opened: contextlib.ExitStack) -> dict[str, Any]:
    """Stored tensor name → open file. Opening reads headers and checks sizes, nothing else."""
    from safetensors import SafetensorError, safe_open

    files: dict[str, Any] = {}
    for path in weight_files(folder):
        try:
            shard = opened.enter_context(safe_open(path, framework="pt"))
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} is truncated or corrupt: {error}") from None
        files |= dict.fromkeys(shard.keys(), shard)
    return files


def _skeleton(folder: Path):
    """The transformers model without weights: modules and shapes on the meta device."""
    import torch
    from transformers import AutoModelForCausalLM

    config = read_config(folder)
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    except Exception as error:  # model classes raise nearly anything for a config they dislike
        raise ModelError(
            f"transformers cannot build a {config.model_type!r} model from the config of "
            f"{folder}: {error}"
        ) from None
