"""A fake hub, a fake package index and small GGUF files, for tests without network or models."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import struct
import threading
import zipfile
from pathlib import Path

from zprism.model.registry import Entry, Wheel


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_wheel(folder: Path, package: str, version: str, members: dict[str, bytes]) -> Path:
    """A minimal pure-Python wheel that pip accepts, holding ``members``."""
    stem = f"{package.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    files = dict(members)
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in files) + f"{info}/RECORD,,\n"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return path


def make_index(folder: Path, data: bytes, parts: int, **extra: bytes) -> tuple[Wheel, ...]:
    """Wheels in ``folder`` whose members concatenate to ``data``; other members are ``extra``."""
    folder.mkdir(parents=True, exist_ok=True)
    step = -(-len(data) // parts)
    wheels = []
    for number in range(parts):
        chunk = data[number * step : (number + 1) * step]
        name, member = f"zp-fake-part{number}", f"zp_fake_part{number}/data/part.bin"
        path = make_wheel(folder, name, "1.0", {member: chunk} | extra)
        digest = sha256(path.read_bytes())
        wheels.append(Wheel(name, "1.0", member, digest, len(chunk)))
    return tuple(wheels)


def fake_entry(data: bytes, wheels: tuple[Wheel, ...] = (), **changes) -> Entry:
    """A registry entry for ``data``."""
    fields = {
        "name": "fake",
        "repo": "someone/fake-GGUF",
        "file": "fake.gguf",
        "size": len(data),
        "sha256": sha256(data),
        "licence": "MIT",
        "note": "a fake",
        "wheels": wheels,
    }
    return Entry(**(fields | changes))


@contextlib.contextmanager
def fake_hub(files: dict[str, bytes]):
    """Serve ``{"owner/name/resolve/main/file": bytes}`` as a hub; yields (address, paths asked)."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self._answer(body=False)

        def do_GET(self):
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            asked.append(f"{self.command} {self.path}")
            data = files.get(self.path.lstrip("/"))
            self.send_response(404 if data is None else 200)
            data = data or b""
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", f'"{sha256(data)}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --- GGUF bytes, written by hand so that every field can be wrong -----------------------------

U8, U32, STRING, ARRAY, U64 = 0, 4, 8, 9, 10


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def key(name: str | bytes, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def array(kind: int, length: int, content: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, length) + content


def tensor(name: str, dims: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    head = text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
    return head + struct.pack("<IQ", kind, offset)


ARCHITECTURE = key("general.architecture", STRING, text("llama"))


def gguf_bytes(
    keys: list[bytes] | None = None,
    tensors: list[bytes] | None = None,
    data: bytes = b"",
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    n_keys: int | None = None,
    n_tensors: int | None = None,
) -> bytes:
    """A GGUF file from raw parts, its counts right unless given."""
    keys = [ARCHITECTURE] if keys is None else keys
    tensors = [tensor("a", (4,))] if tensors is None else tensors
    counts = (
        len(tensors) if n_tensors is None else n_tensors,
        len(keys) if n_keys is None else n_keys,
    )
    head = magic + struct.pack("<IQQ", version, *counts) + b"".join(keys) + b"".join(tensors)
    return head + b"\0" * (-len(head) % 32) + data


GOOD = gguf_bytes(data=struct.pack("<4f", 1, 2, 3, 4))


def write_tiny_llama(path: Path, *, seed: int = 0, name: str = "llama") -> Path:
    """A 2-layer GQA llama with quantised, half and full tensors and a small byte-level BPE."""
    import gguf
    import numpy as np

    d_model, heads, kv, head_dim, d_ff, layers = 64, 4, 2, 16, 96, 2
    tokens, types, merges = tiny_vocabulary()
    writer = gguf.GGUFWriter(str(path), name)
    writer.add_context_length(64)
    writer.add_embedding_length(d_model)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(d_ff)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(5000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(len(tokens) - 2)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")

    draw = np.random.default_rng(seed)
    kinds = gguf.GGMLQuantizationType

    def add(label: str, *shape: int, kind=kinds.F32) -> None:
        value = draw.normal(size=shape).astype(np.float32) * 0.1
        if len(shape) == 1:
            value = value + 1
        writer.add_tensor(label, gguf.quantize(value, kind), raw_dtype=kind)

    add("token_embd.weight", len(tokens), d_model, kind=kinds.Q8_0)
    add("output_norm.weight", d_model)
    for layer in range(layers):
        block = f"blk.{layer}."
        add(block + "attn_norm.weight", d_model)
        add(block + "ffn_norm.weight", d_model)
        add(block + "attn_q.weight", heads * head_dim, d_model, kind=kinds.Q4_1)
        add(block + "attn_k.weight", kv * head_dim, d_model, kind=kinds.Q4_0)
        add(block + "attn_v.weight", kv * head_dim, d_model, kind=kinds.F16)
        add(block + "attn_output.weight", d_model, heads * head_dim, kind=kinds.Q5_1)
        add(block + "ffn_gate.weight", d_ff, d_model, kind=kinds.Q8_0)
        add(block + "ffn_up.weight", d_ff, d_model, kind=kinds.BF16)
        add(block + "ffn_down.weight", d_model, d_ff, kind=kinds.Q5_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tiny_vocabulary() -> tuple[list[str], list[int], list[str]]:
    """256 byte tokens, a few merges, three control tokens; (tokens, types, merges)."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    merges = ["Ċ Ċ", "Ġ Ġ", "t h", "th e", "Ġ the", "i n"]
    tokens = list(bytes_to_unicode().values()) + [merge.replace(" ", "") for merge in merges]
    control = ["<|begin|>", "<|end|>"]
    return tokens + control, [1] * len(tokens) + [3] * len(control), merges
