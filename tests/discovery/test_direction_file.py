"""Directions in files of their own: what is read, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from latentdial.cli import main
from latentdial.discovery.file import MAX_BYTES, fingerprint, read_direction
from latentdial.errors import LatentdialError


@pytest.fixture
def good(codec) -> dict:
    return {
        "format": "latentdial-direction",
        "version": 1,
        "name": "smile",
        "model": fingerprint(codec),
        "latent": codec.latent,
        "vector": [3.0, 0, -4, *[0] * (codec.latent - 3)],
    }


def test_a_direction_is_read_with_the_moments_of_the_codec(codec, good, tmp_path):
    path = tmp_path / "smile.json"
    path.write_text(json.dumps(good))
    direction = read_direction(path, codec)
    assert direction.name == "smile"
    assert np.allclose(direction.vector[:4], [0.6, 0, -0.8, 0])
    along = codec.codes @ direction.vector
    assert direction.mean == pytest.approx(along.mean(), abs=1e-5)
    assert direction.sd == pytest.approx(along.std(), rel=1e-4)


def test_edit_takes_the_file(codec, good, tmp_path, tiny_runs, discs, capsys):
    from PIL import Image

    (tmp_path / "smile.json").write_text(json.dumps(good))
    Image.fromarray(discs[0]).save(tmp_path / "disc.png")
    command = ["edit", str(tiny_runs["fcn-vae"]), str(tmp_path / "disc.png"), "smile+=1s", "--json"]
    assert main(command) == 1
    capsys.readouterr()
    assert main([*command, "--direction", str(tmp_path / "smile.json")]) == 0
    code = np.array(json.loads(capsys.readouterr().out)["edits"][0]["code"])
    direction = read_direction(tmp_path / "smile.json", codec)
    assert np.allclose(code - codec.encode(discs[:1])[0], direction.step, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "other"}, "it is not latentdial-direction"),
        ({"version": 2}, "version 1"),
        ({"model": "00000000"}, "another model"),
        ({"name": "1"}, "no word"),
        ({"name": ["smile"]}, "no word"),
        ({"name": "a b; c"}, "cannot name a direction"),
        ({"vector": [1.0]}, "has not 6 numbers"),
        ({"vector": "aaaaaa"}, "has not 6 numbers"),
        ({"vector": [1, 2, 3, 4, 5, float("nan")]}, "no finite number"),
        ({"vector": [1, 2, 3, 4, 5, 10**400]}, "too large a number"),
        ({"vector": [1, 2, 3, 4, 5, True]}, "no finite numbers"),
        ({"vector": [0] * 6}, "has no length"),
    ],
)
def test_an_odd_file_is_refused_in_one_line(codec, good, tmp_path, change, reason):
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(good | change))
    with pytest.raises(LatentdialError, match=reason) as error:
        read_direction(path, codec)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[" * 100_000, b"[1]", b" " * (MAX_BYTES + 1)])
def test_hostile_bytes_are_refused(codec, tmp_path, data):
    path = tmp_path / "odd.json"
    path.write_bytes(data)
    with pytest.raises(LatentdialError, match="is no direction of"):
        read_direction(path, codec)


def test_a_missing_file_is_named(codec, tmp_path):
    with pytest.raises(LatentdialError, match=r"none\.json is no direction"):
        read_direction(tmp_path / "none.json", codec)
