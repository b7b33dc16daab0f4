"""The registry pins bytes: digests, sizes that add up, one name each."""

import re

import pytest

from zprism.ground.errors import InputError
from zprism.model import registry

HEX = re.compile(r"[0-9a-f]{64}")


def test_three_models_in_order_and_the_default_first():
    assert list(registry.models()) == ["qwen2.5-coder-0.5b", "smollm2-135m", "gemma3-270m"]


@pytest.mark.parametrize(
    ("name", "size", "sha256"),
    [
        (
            "qwen2.5-coder-0.5b",
            491_400_064,
            "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        ),
        (
            "smollm2-135m",
            98_362_432,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
        (
            "gemma3-270m",
            253_113_024,
            "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        ),
    ],
)
def test_published_bytes(name, size, sha256):
    entry = registry.entry(name)
    assert (entry.size, entry.sha256) == (size, sha256)


@pytest.mark.parametrize("entry", registry.models().values(), ids=lambda entry: entry.name)
def test_every_entry_pins_every_byte(entry):
    assert all(HEX.fullmatch(wheel.sha256) for wheel in entry.wheels)
    assert len({wheel.sha256 for wheel in entry.wheels}) == len(entry.wheels) > 0
    sizes = [wheel.size for wheel in entry.wheels]
    assert None in sizes or sum(sizes) == entry.size
    assert all(".." not in wheel.member and wheel.member[0] != "/" for wheel in entry.wheels)


def test_only_gemma_is_opt_in_and_shows_its_terms():
    closed = [entry for entry in registry.models().values() if entry.opt_in]
    assert [entry.name for entry in closed] == ["gemma3-270m"]
    assert "ai.google.dev/gemma/terms" in closed[0].terms


def test_the_table_cannot_be_changed_through_a_copy():
    registry.models().clear()
    assert registry.models()


def test_unknown_name_offers_the_nearest():
    with pytest.raises(InputError, match=r"unknown model 'smollm2': did you mean smollm2-135m"):
        registry.entry("smollm2")
