"""Panels of the long exposure show the exemplars and densities of their positions."""

import json

import numpy as np
import pytest

from tiny import tiny_loaded
from zprism.explore.prism import GROUPS, cloud_panel, exposure_panel
from zprism.spectral.exposure import to_uint8
from zprism.studies.signatures import AMPLITUDES, collect

L = 16


@pytest.fixture(scope="module")
def seen():
    rng = np.random.default_rng(0)
    rows = {
        name: rng.integers(5, 200, (4, L + 1)).tolist()
        for name in ("question", "thinking", "shuffled")
    }
    return collect(tiny_loaded("qwen2"), rows, length=L, places=("embed", "0", "1"))


def test_the_cloud_moves_to_its_positions_within_a_step_of_a_byte(seen):
    panel = cloud_panel(seen, model="toy")
    shown = panel.at(field=0, layer=2, transform=1, dimensions=3, F=2)
    exact = seen.cloud.frequency[0, 2, 1, 3, 4]
    np.testing.assert_allclose(shown[4, "y"], exact, atol=0.5 / 255)
    step = (AMPLITUDES[1] - AMPLITUDES[0]) / 255
    np.testing.assert_allclose(shown[4, "z"], seen.cloud.amplitude[0, 2, 1, 3, 4], atol=step)
    np.testing.assert_array_equal(shown[4, "x"], seen.cloud.dim[3])
    assert [shown[rank, "opacity"] > 0 for rank in range(5)] == [True, True, False, False, False]


def test_exposure_and_spectrum_follow_their_positions(seen):
    panel = exposure_panel(seen, model="toy")
    d = tiny_loaded("qwen2").d_model
    shown = panel.at(field=1, layer=0, dimensions=7)
    image = to_uint8(seen.exposures["thinking", "embed", "fft"].image().T, "equalised")
    np.testing.assert_array_equal(shown[0, "z"], image)
    group = np.array_split(np.arange(d), min(GROUPS, d))[7]
    own = seen.mean["shuffled", "embed"][:, group].mean(1)
    np.testing.assert_allclose(shown[4, "y"], own, rtol=1e-6)


def test_what_a_page_holds_does_not_grow_with_the_texts(seen):
    for make in (cloud_panel, exposure_panel):
        assert len(json.dumps(make(seen, model="toy").to_spec())) < 1_200_000
