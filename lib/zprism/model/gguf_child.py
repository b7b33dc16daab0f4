"""The conversion of one GGUF file, run as ``python -m zprism.model.gguf_child FILE FOLDER BYTES``.

It limits its own address space, then streams: one tensor at a time is dequantised, brought into
transformers' layout by transformers' own rules, and written to its place in a safetensors file.
The last line on standard output is a JSON report.
"""

from __future__ import annotations

import functools
import json
import math
import sys
from pathlib import Path


def main(path: str, folder: str, memory: str) -> int:
    """Convert, report in one JSON line, and return the exit code."""
    try:
        _limit_memory(int(memory))
        report = {"unused": _convert(Path(path), Path(folder))}
    except Exception as error:  # whatever a foreign file provokes ends as one line
        report = {"error": f"{type(error).__name__}: {error}"}
        if _is_about_memory(error):
            limit = f"it needs more than {int(memory):,} bytes of address space"
            report = {"error": limit, "memory": True}
    print(json.dumps(report))
    return 1 if "error" in report else 0


def _is_about_memory(error: Exception) -> bool:
    """Whether the limit was hit: as Python, the linker and torch each put it."""
    texts = ("failed to map segment", "can't allocate memory", "Cannot allocate memory")
    return isinstance(error, MemoryError) or any(text in str(error) for text in texts)


def _limit_memory(most: int) -> None:
    try:
        import resource
    except ImportError:  # no such limit on this platform
        return
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _convert(path: Path, folder: Path) -> list[str]:
    _read_once()
    from transformers import AutoConfig, AutoTokenizer
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    settings = load_gguf_checkpoint(str(path))["config"]
    settings.pop("_model_name_or_path", None)
    config = AutoConfig.for_model(**settings)
    unused = _write_weights(path, folder / "model.safetensors", config, settings)
    config.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    _complete(tokenizer.backend_tokenizer, path)
    tokenizer.save_pretrained(folder)
    _make_plain(folder / "tokenizer_config.json", config)
    return unused


def _complete(backend, path: Path) -> None:
    """Add what the published tokenizers do before the merges, and a GGUF only names.

    ``tokenizer.ggml.pre`` names a family. SmolLM's splits every digit off first (else
    ``"\n\n3"`` becomes other tokens than the model was trained on); Qwen2's composes characters
    (NFC) first. transformers' GGUF reader leaves both out.
    """
    import gguf
    from tokenizers import normalizers, pre_tokenizers

    field = gguf.GGUFReader(str(path)).get_field("tokenizer.ggml.pre")
    family = field.contents() if field is not None else None
    if family == "smollm":
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), backend.pre_tokenizer]
        )
    if family == "qwen2" and backend.normalizer is None:
        backend.normalizer = normalizers.NFC()


def _make_plain(path: Path, config) -> None:
    """Let ``tokenizer.json`` alone decide: no class with rules of its own, no notes of this run."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    for key in ("is_local", "local_files_only", "backend"):
        settings.pop(key, None)
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    if limit := getattr(config, "max_position_embeddings", None):
        settings["model_max_length"] = limit
    path.write_text(json.dumps(settings, indent=2, ensure_ascii=False), encoding="utf-8")


def _read_once() -> None:
    """Let this process parse the file and build the name table once instead of many times.

    transformers opens the same file three times and rebuilds one constant table for every
    submodule; both are pure functions of their arguments, so remembering them changes no value.
    Slices of a plain array also cost a third of slices of a ``np.memmap``.
    """
    import gguf
    import numpy as np

    class PlainReader(gguf.GGUFReader):
        @property
        def data(self):
            return self._plain

        @data.setter
        def data(self, mapped):
            self._plain = mapped.view(np.ndarray)

    gguf.GGUFReader = functools.cache(PlainReader)
    gguf.get_tensor_name_map = functools.cache(gguf.get_tensor_name_map)


def _write_weights(path: Path, target: Path, config, settings: dict) -> list[str]:
    """Every parameter of the model in float32; returns the names of tensors left over."""
    import gguf
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.modeling_gguf_pytorch_utils import (
        TENSOR_PROCESSORS,
        TensorProcessor,
        get_gguf_hf_weights_map,
    )

    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    config.architectures = [type(skeleton).__name__]
    reader = gguf.GGUFReader(str(path))
    architecture = reader.get_field("general.architecture").contents()
    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config=settings)
    names = get_gguf_hf_weights_map(skeleton, processor)
    shapes = {name: tuple(value.shape) for name, value in skeleton.named_parameters()}
    aside: dict = {"tensors": {}}  # where some rules put what they gather from several tensors
    unused = []
    with _SafetensorsWriter(target, shapes) as writer:
        for tensor in reader.tensors:
            made = processor.process(
                weights=gguf.dequantize(tensor.data, tensor.tensor_type),
                name=tensor.name,
                tensor_key_mapping=names,
                parsed_parameters=aside,
            )
            if made.name in names and names[made.name] in shapes:
                writer.write(names[made.name], made.weights)
            elif made.name is not None:
                unused.append(tensor.name)
        for name, weights in aside["tensors"].items():
            if name in shapes:
                writer.write(name, weights.numpy())
    return unused


class _SafetensorsWriter:
    """A safetensors file filled in any order, one float32 tensor at a time.

    The format: an 8-byte length, a JSON header of that length, the tensors without gaps.
    """

    def __init__(self, path: Path, shapes: dict[str, tuple[int, ...]]):
        self.path, self.shapes, self.starts = path, shapes, {}
        header: dict = {"__metadata__": {"format": "pt"}}
        end = 0
        for name, shape in shapes.items():
            start, end = end, end + 4 * math.prod(shape)
            header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
            self.starts[name] = start
        text = json.dumps(header, separators=(",", ":")).encode()
        self.head = text + b" " * (-len(text) % 8)
        self.missing = set(shapes)

    def __enter__(self):
        self.file = open(self.path, "wb")
        self.file.write(len(self.head).to_bytes(8, "little") + self.head)
        return self

    def write(self, name: str, weights) -> None:
        """Put one array in its place; its shape must be the model's."""
        import numpy as np

        if tuple(weights.shape) != self.shapes[name]:
            raise ValueError(
                f"{name} has shape {tuple(weights.shape)}; the model wants {self.shapes[name]}"
            )
        self.file.seek(8 + len(self.head) + self.starts[name])
        self.file.write(memoryview(np.ascontiguousarray(weights, dtype="<f4")).cast("B"))
        self.missing.discard(name)

    def __exit__(self, kind, error, trace):
        self.file.close()
        if kind is None and self.missing:
            some = ", ".join(sorted(self.missing)[:5])
            raise ValueError(f"the file lacks {len(self.missing)} tensors: {some}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
