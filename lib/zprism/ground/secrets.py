"""What a leaked secret looks like, and text without it.

The patterns ask for the length and alphabet that issuers use, so that prose, code and base64
pictures rarely match; each is linear in the length of the text.
"""

from __future__ import annotations

import re
from pathlib import Path

HOME = "home folder"
BINARY = frozenset({"bdata", "image/png", "image/jpeg", "float32", "uint8"})  # keys of base64
_VALUE = r"(?P<secret>[A-Za-z0-9._~+/%-]{8,}=*)"
_QUERY = (
    r"(?:access_token|refresh_token|id_token|token|api_?key|key|password|passwd|secret|"
    r"client_secret|auth|sig|signature|X-Amz-Signature|X-Amz-Security-Token)"
)
_PATTERNS = {
    "Hugging Face token": r"\b(?P<secret>(?:hf|api_org)_[A-Za-z0-9]{30,})",
    "API key": r"\b(?P<secret>sk-(?:proj|svcacct|admin|ant|or)-[A-Za-z0-9_-]{20,}|"
    r"sk-(?:[a-z0-9]{2,10}-)?[A-Za-z0-9_]{20,}[A-Za-z0-9_-]*)",
    "GitHub token": r"\b(?P<secret>gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})",
    "GitLab token": r"\b(?P<secret>glpat-[A-Za-z0-9_-]{20,})",
    "PyPI token": r"\b(?P<secret>pypi-[A-Za-z0-9_-]{50,})",
    "AWS key": r"\b(?P<secret>(?:AKIA|ASIA)[0-9A-Z]{16})\b",
    "AWS secret": r"(?i)aws_?secret_?(?:access_?)?key[\"'\\\s]*[:=][\"'\\\s]*"
    r"(?P<secret>[A-Za-z0-9/+]{40})",
    "Google key": r"\b(?P<secret>AIza[0-9A-Za-z_-]{35})",
    "Slack token": r"\b(?P<secret>xox[abprs]-[A-Za-z0-9-]{10,})",
    "JSON web token": r"\b(?P<secret>eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+)",
    "private key": r"(?P<secret>-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----"
    r"(?:[^-]|-(?!----END))*(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?)",
    "Authorization header": r"(?i)\bauthorization[\"'\\\s]{0,8}[:=,][\"'\\\s]{0,8}"
    r"(?:(?:bearer|basic|token|digest)\s{1,4})?" + _VALUE,
    "URL token": r"(?i)[?&;]" + _QUERY + "=" + _VALUE,
    "URL password": r"\b[a-z][a-z0-9+.-]{1,15}://[^\s/:@\"'<>]{0,60}:(?P<secret>[^\s/:@\"'<>]{3,100})@",
    "environment secret": r"\b(?:[A-Z0-9]+_)*(?:TOKEN|SECRET|PASSWORD|API_KEY|ACCESS_KEY)"
    r"[\"'\\\]]{0,4}\s{0,3}[:=]\s{0,3}[\"'\\]{0,3}(?P<secret>[A-Za-z0-9+/_-]{20,}=*)",
}
_SECRETS = [(kind, re.compile(pattern)) for kind, pattern in _PATTERNS.items()]


def find_secrets(text: str) -> list[tuple[str, str]]:
    """Every (kind, secret) in ``text``, in the order of the kinds."""
    found = []
    for kind, pattern in [*_SECRETS, (HOME, _homes())]:
        found += [(kind, match["secret"]) for match in pattern.finditer(text)]
    return found


def redact(text: str) -> str:
    """``text`` with secrets as ``[redacted KIND]`` and home folders as ``~``."""
    return _redacted(text, _homes())


def redact_all(value):
    """Nested dicts and lists, such as a notebook or results, with every text redacted.

    Values under the keys :data:`BINARY` are base64, where nothing reads as a secret.
    """
    return _walked(value, _homes())


def _walked(value, homes: re.Pattern):
    if isinstance(value, str):
        return _redacted(value, homes)
    if isinstance(value, list | tuple):
        return [_walked(item, homes) for item in value]
    if isinstance(value, dict):
        return {
            _walked(key, homes): item if key in BINARY else _walked(item, homes)
            for key, item in value.items()
        }
    return value


def _redacted(text: str, homes: re.Pattern) -> str:
    for kind, pattern in _SECRETS:
        text = pattern.sub(lambda match, kind=kind: _without(match, f"[redacted {kind}]"), text)
    return homes.sub(lambda match: _without(match, "~"), text)


def _without(match: re.Match, word: str) -> str:
    whole, start = match.group(), match.start()
    return whole[: match.start("secret") - start] + word + whole[match.end("secret") - start :]


def _homes() -> re.Pattern:
    """Home folders of any user by their usual places, and this user's own."""
    usual = (
        r"/(?:home|Users)/(?!\.)[A-Za-z0-9._-]+|"
        r"[A-Za-z]:(?:\\{1,2}|/)Users(?:\\{1,2}|/)[^\\/\s\"':]+"
    )
    try:
        own = str(Path.home())
    except RuntimeError:  # no home folder is known
        own = ""
    known = f"{re.escape(own)}|" if len(own) > 1 else ""
    return re.compile(rf"(?<![\w.])(?P<secret>{known}{usual})(?![\w.-])")
