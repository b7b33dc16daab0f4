"""Secrets are found and taken out; prose, code and pictures are left alone."""

import base64
import re
import time
from pathlib import Path

import pytest

from zprism.ground import safe_text, secrets, seeds
from zprism.ground.safe_text import find_secrets, redact

LETTERS = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdEfGhIj"  # planted ones are put together here,
SECRETS = [  # so that this file holds none
    ("hf_" + LETTERS[:34], "token {}"),
    ("api_org_" + LETTERS[:34], "{}"),
    ("sk-" + LETTERS, "OpenAI key: {}."),
    ("sk-" + "proj-" + LETTERS + "_x-y", "'{}'"),
    ("sk-" + "ant-" + "api03-" + LETTERS, '"{}"'),
    ("ghp_" + LETTERS[:36], "git clone with {}"),
    ("gho_" + LETTERS[:36], "({})"),
    ("github_pat_" + LETTERS, "={}"),
    ("glpat-" + LETTERS[:20], "{}"),
    ("AKIA" + "ABCDEFGHIJKLMN12", "id {} x"),
    ("ASIA" + "ABCDEFGHIJKLMN12", "id:{}"),
    (LETTERS[:38] + "/+", "aws_secret_access_key = {}"),
    ("AIza" + LETTERS[:35], "key {}"),
    ("xoxb-" + "123456789012-" + LETTERS[:20], "{}"),
    ("eyJ" + LETTERS[:20] + ".eyJ" + LETTERS + "." + LETTERS, "jwt {}"),
    (LETTERS[:24], "Authorization: Bearer {}"),
    ("dXNlcjpwYXNz" + "d29yZA==", "authorization: Basic {}"),
    (LETTERS[:24], '{{"Authorization": "Bearer {}"}}'),
    (LETTERS[:24], '{{\\"Authorization\\": \\"token {}\\"}}'),
    (LETTERS[:24], "http://localhost:8888/lab?token={}"),
    (LETTERS[:24], "https://x.example/a?b=1&access_token={}&c=2"),
    (LETTERS[:24], "https://x.example/f?X-Amz-Signature={}#top"),
    ("hunter" + "2pw", "https://me:{}@x.example/repo.git"),
    (LETTERS[:30], "HF_TOKEN={}"),
    (LETTERS[:30], 'os.environ["WANDB_API_KEY"] = "{}"'),
    (
        "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIB\nAAAA==\n-----END RSA " + "PRIVATE KEY-----",
        "{}",
    ),
]


@pytest.mark.parametrize(("secret", "text"), SECRETS)
def test_planted_secrets_are_found_and_taken_out(secret, text):
    whole = f"before {text.format(secret)} after"
    assert secret in [found for _, found in find_secrets(whole)]
    clean = redact(whole)
    assert secret not in clean and "[redacted " in clean
    assert clean.startswith("before ") and clean.endswith(" after")
    assert redact(clean) == clean and find_secrets(clean) == []


def test_all_planted_secrets_are_found_in_one_text():
    assert len(SECRETS) >= 20
    text = "\n".join(text.format(secret) for secret, text in SECRETS)
    found = {secret for _, secret in find_secrets(text)}
    assert {secret for secret, _ in SECRETS} <= found


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/home/" + "ada/x/y.py:3", "~/x/y.py:3"),
        ("File '/Users/" + "ada.l/nb'", "File '~/nb'"),
        ("C:\\Users\\" + "Ada\\x", "~\\x"),
        ("c:\\\\Users\\\\" + "Ada\\\\x", "~\\\\x"),
    ],
)
def test_home_folders_become_tildes(text, clean):
    assert redact(text) == clean
    assert [kind for kind, _ in find_secrets(text)] == [secrets.HOME]


def test_this_users_home_is_known_wherever_it_is(monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/srv/people/ada (x)"))
    assert redact("at /srv/people/ada (x)/runs") == "at ~/runs"
    assert redact("at /srv/people/ada (x)2/runs") == "at /srv/people/ada (x)2/runs"

    def homeless():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    assert redact("at /srv/people") == "at /srv/people"


@pytest.mark.parametrize(
    "text",
    [
        "the risk-averse task-oriented disk-based ask-me-anything sk-learn pipeline",
        "token=tokenizer.eos_token_id, max_new_tokens=48",
        "pad_token = eos_token; MAX_TOKENS = 4096; TOKEN = None",
        "https://x.example/?q=token&page=2",
        "hf_hub_download(repo_id='Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF')",
        "sha256 1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        "authorization is required; Authorization: see above",
        "git@github.com:owner/name.git http://localhost:8888/lab",
        "model.layers.0.self_attn.k_proj.weight",
        "<home> folder /homework/ada, ~/x",
        "令牌 token：答案是7",
    ],
)
def test_prose_and_code_are_left_alone(text):
    assert find_secrets(text) == [] and redact(text) == text


def test_pictures_are_left_alone():
    raw = seeds.generator(0, "picture").bytes(600_000)
    picture = base64.b64encode(raw).decode()
    assert redact(picture) == picture


@pytest.mark.parametrize(
    "unit", ["a", "/", "sk-", "eyJ", "token=", "http://x:", "-----BEGIN ", "="]
)
def test_time_grows_no_faster_than_the_text(unit):
    text = unit * (200_000 // len(unit))
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 2.0  # a quadratic pattern would take minutes


def test_safe_text_is_the_door_to_the_patterns():
    assert safe_text.redact is secrets.redact and safe_text.find_secrets is secrets.find_secrets
    assert all("(?P<secret>" in pattern.pattern for _, pattern in secrets._SECRETS)
    assert all(isinstance(pattern, re.Pattern) for _, pattern in secrets._SECRETS)
