"""Shards come back as they were written, whole or not at all."""

from pathlib import Path

import numpy as np
import pytest

from tests.vla_runtime.pretraining.conftest import lesson, write_shard
from vla_runtime.errors import InvalidDataset
from vla_runtime.pretraining.shards import NOTHING, Frames, frame_count


def test_frames_of_several_shards_share_their_tables(tmp_path: Path) -> None:
    paths = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for number, path in enumerate(paths):
        write_shard(path, frames=2 + number, episode=number)
    frames = Frames.load(paths)
    assert len(frames) == 5
    assert frame_count(paths[1]) == 3
    assert frames.sentences == ("put the red cube in the blue bowl", "put the lemon in the blue bowl")
    assert frames.columns["sentences"][4].tolist()[:3] == [0, 1, NOTHING]
    assert frames.columns["episodes"].tolist() == [0, 0, 1, 1, 1]
    assert frames.columns["actions"][1, 1].tolist() == pytest.approx(lesson(1).answers[1].action.tolist())
    assert frames.columns["targets"][0, :2].tolist() == [0, 1]
    assert not list(tmp_path.glob("*.part"))


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    path = tmp_path / "shard_0000.npz"
    write_shard(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InvalidDataset, match=r"shard_0000\.npz: not a whole shard"):
        Frames.load([path])
    with pytest.raises(InvalidDataset, match="no shards"):
        Frames.load([])


def test_pictures_are_shrunk_as_the_processor_does_it(small: Path, tmp_path: Path) -> None:
    from vla_runtime.models.openvla.configuration import read_json
    from vla_runtime.models.openvla.images import ImagePreprocessing
    from vla_runtime.pretraining.shards import shrunk

    image = np.random.default_rng(1).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    processor = ImagePreprocessing.from_mapping(read_json(small / "preprocessor_config.json"), "")
    assert np.array_equal(shrunk(image, processor.size), processor.resized(image))
