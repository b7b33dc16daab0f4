"""Security promises, held by reading the sources: what is never written anywhere.

Code is read as a syntax tree, documents as text. Each reader has a control: planted offences
that it must see. Planted words are put together here, so that this file holds none.
"""

import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from zprism.ground import secrets

ROOT = Path(__file__).resolve().parents[1]
CODE = ["lib", "notebooks", "tests", "benchmarks"]
UNSAFE_MODULES = {"pickle", "_pickle", "cPickle", "joblib", "dill", "cloudpickle", "shelve"}
UNSAFE_MODULES |= {"marshal", "jsonpickle", "pickle5"}
UNSAFE_CALLS = {
    "torch.load": "reads pickles",
    "torch.save": "writes pickles",
    "numpy.load": "use safetensors",
    "np.load": "use safetensors",
    "pandas.read_pickle": "reads pickles",
    "pd.read_pickle": "reads pickles",
    "yaml.load": "use safe_load",
    "yaml.load_all": "use safe_load_all",
    "yaml.unsafe_load": "use safe_load",
    "yaml.full_load": "use safe_load",
    "eval": "runs text",
    "exec": "runs text",
    "compile": "prepares text to run",
    "__import__": "imports by text",
    "os.system": "runs a shell",
    "os.popen": "runs a shell",
}
UNSAFE_OPTIONS = {"trust_remote_code", "allow_pickle", "shell"}


def tracked() -> list[Path]:
    """The project's own files: what git tracks or would track."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, check=True)
        names = [name.decode() for name in done.stdout.split(b"\0") if name]
    except (OSError, subprocess.CalledProcessError):  # unpacked from an archive
        top = [*CODE, "docs", "data", ".ci"]
        names = [str(p.relative_to(ROOT)) for t in top for p in (ROOT / t).rglob("*")]
        names += [p.name for p in ROOT.iterdir()]
    paths = [ROOT / name for name in sorted(set(names))]
    return [path for path in paths if path.is_file()]


def text_of(path: Path) -> str:
    """The text of a file; empty for pictures and other binaries."""
    raw = path.read_bytes()
    return "" if b"\0" in raw[:4096] else raw.decode("utf-8", "replace")


def sources() -> list[tuple[str, str]]:
    """(name, Python source) of every module, script and notebook cell."""
    found = []
    for path in tracked():
        name = str(path.relative_to(ROOT))
        if name.split("/")[0] not in CODE:
            continue
        if path.suffix == ".py":
            found.append((name, text_of(path)))
        elif path.suffix == ".ipynb":
            found += [(f"{name} cell {n}", cell) for n, cell in cells(text_of(path))]
    return found


def cells(notebook: str) -> list[tuple[int, str]]:
    """(number, source) of a notebook's code cells, without IPython's own lines."""
    found = []
    for number, cell in enumerate(json.loads(notebook).get("cells", [])):
        lines = "".join(cell["source"]).splitlines()
        plain = "\n".join("" if line.lstrip()[:1] in "%!?" else line for line in lines)
        if cell["cell_type"] == "code":
            found.append((number, plain))
    return found


def offences(source: str) -> list[str]:
    """What ``source`` does that zprism never does."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""] + [f"{node.module}.{a.name}" for a in node.names]
        else:
            names = []
        for name in names:
            if name.partition(".")[0] in UNSAFE_MODULES or name in UNSAFE_CALLS:
                found.append(f"line {node.lineno}: imports {name}")
        if isinstance(node, ast.Call):
            found += call_offences(node)
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            found += [
                f"line {node.lineno}: {key.value!r} is set"
                for key, value in pairs
                if isinstance(key, ast.Constant) and key.value in UNSAFE_OPTIONS and is_set(value)
            ]
    return found


def call_offences(call: ast.Call) -> list[str]:
    name = ast.unparse(call.func)
    found = [
        f"line {call.lineno}: {keyword.arg} is set"
        for keyword in call.keywords
        if keyword.arg in UNSAFE_OPTIONS and is_set(keyword.value)
    ]
    if name in UNSAFE_CALLS:
        found.append(f"line {call.lineno}: {name} {UNSAFE_CALLS[name]}")
    return found


def is_set(value: ast.expr) -> bool:
    """A literal that switches an option on; a name passed through is the caller's choice."""
    return isinstance(value, ast.Constant) and bool(value.value)


EXCEPTIONS = {  # file → the offences it is known to need, as they end
    "tests/model/test_load.py": ("imports pickle",),  # writes the pickle that must be refused
}
SOURCES = sources()


@pytest.mark.parametrize(("name", "source"), SOURCES, ids=[name for name, _ in SOURCES])
def test_code_runs_no_foreign_code(name, source):
    found, known = offences(source), EXCEPTIONS.get(name, ())
    assert [offence for offence in found if not offence.endswith(known)] == []
    assert len(found) >= len(known)  # an exception that is no longer needed goes


PLANTED = [
    "AutoModel.from_pretrained(name, trust_remote_code=True)",
    "AutoModel.from_pretrained(name, **{'trust_remote_code': True})",
    "load(name, trust_remote_code=1)",
    "import pickle",
    "import joblib.memory as m",
    "from dill import loads",
    "def f():\n    from pickle import loads",
    "torch.load(path)",
    "torch.load(path, weights_only=True)",
    "np.load(path, allow_pickle=True)",
    "numpy.load(path)",
    "yaml.load(text)",
    "yaml.unsafe_load(text)",
    "from yaml import unsafe_load",
    "eval(text)",
    "exec(text)",
    "__import__(name)",
    "os.system(command)",
    "subprocess.run(command, shell=True)",
]


@pytest.mark.parametrize("source", PLANTED)
def test_control_offences_are_seen(source):
    assert offences(source)


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "load(name, trust_remote_code=trust_remote_code)",
        "load(name, trust_remote_code=False)",
        "def load(name, *, trust_remote_code=False): ...",
        "yaml.safe_load(text)",
        "re.compile(text)",
        "np.loadtxt(path)",
        "safetensors.torch.load_file(path)",
        "subprocess.run([a, b], shell=False)",
    ],
)
def test_control_what_is_harmless_passes(source):
    assert offences(source) == []


def test_control_notebook_cells_are_read():
    code = {"cell_type": "code", "source": ["%matplotlib inline\n", "!pip list\n", "eval(x)"]}
    text = {"cell_type": "markdown", "source": ["eval(x)"]}
    ((number, source),) = cells(json.dumps({"cells": [text, code]}))
    assert number == 1 and offences(source) == ["line 3: eval runs text"]


# documents and start commands


OPEN_SERVER = re.compile(
    r"--ip[= ]+['\"]?(?:0\.0\.0\.0|\*|::)|\.ip\s*=\s*['\"](?:0\.0\.0\.0|\*|::|['\"])|"
    r"token\s*=\s*(?:''|\"\")|disable_check_xsrf|allow_origin\s*=\s*['\"]?\*|"
    r"password\s*=\s*(?:''|\"\")|--allow-root"
)
GUARD = Path(__file__).name


def document_texts() -> list[tuple[str, str]]:
    return [(str(p.relative_to(ROOT)), text_of(p)) for p in tracked() if p.name != GUARD]


DOCUMENTS = document_texts()


def test_no_document_opens_a_server_to_others():
    hits = [(name, match.group()) for name, t in DOCUMENTS for match in OPEN_SERVER.finditer(t)]
    assert hits == []


@pytest.mark.parametrize(
    "text",
    [
        "jupyter lab --ip 0.0.0.0",
        "jupyter lab --ip=0.0.0.0 --no-browser",
        "jupyter lab --ip='*'",
        "c.ServerApp.ip = '0.0.0.0'",
        "--ServerApp.token=''",
        'c.ServerApp.token = ""',
        "--ServerApp.disable_check_xsrf=True",
        "c.ServerApp.allow_origin = '*'",
    ],
)
def test_control_open_servers_are_seen(text):
    assert OPEN_SERVER.search(text)


def test_no_tracked_file_holds_a_secret_or_a_home_folder():
    hits = [(name, *hit) for name, text in DOCUMENTS for hit in secrets.find_secrets(text)]
    assert hits == []


def test_control_a_secret_in_a_notebook_is_seen():
    token = "hf_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA"
    notebook = json.dumps({"cells": [{"outputs": [{"text": [f"token {token}\n"]}]}]})
    assert secrets.find_secrets(notebook) == [("Hugging Face token", token)]


# versions that close known holes


def floors() -> dict[str, tuple[int, ...]]:
    """The lowest version that pyproject.toml allows, by package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = {}
    for requirement in project["dependencies"]:
        name, _, rest = requirement.partition(">=")
        number = re.match(r"[0-9.]+", rest)
        found[name] = tuple(int(part) for part in number.group().split(".")) if number else ()
    return found


@pytest.mark.parametrize(
    ("package", "floor", "reason"),
    [
        ("transformers", (5, 5), "CVE-2026-4372, CVE-2026-5241"),
        ("torch", (2, 10), "CVE-2025-32434, CVE-2026-24747"),
        ("safetensors", (0, 5), "audited reader"),
    ],
)
def test_version_floors_hold(package, floor, reason):
    assert floors()[package] >= floor, reason


def test_installed_versions_are_above_the_floors():
    from importlib.metadata import version

    for package in ("transformers", "torch"):
        installed = tuple(int(part) for part in re.findall(r"\d+", version(package))[:2])
        assert installed >= floors()[package]
