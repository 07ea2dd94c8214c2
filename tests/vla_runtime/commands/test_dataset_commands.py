"""vla-statistics, vla-tokenize and the training of FAST, on a data set on disk."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.vla_runtime.actions.vocabularies import byte_level
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.actions.tokenizer_files import load_tokenizer
from vla_runtime.commands import compute_statistics, tokenize_dataset
from vla_runtime.datasets import DatasetWriter, EpisodeWriter, Feature
from vla_runtime.errors import ConfigurationError, InvalidDataset, InvalidStatistics
from vla_runtime.specs import DELTA_AXES

ROOT = Path(__file__).parents[3]
FPS = 5  # [Hz]
FEATURES = {
    "action": Feature("float32", (7,), list(DELTA_AXES)),
    "observation.state": Feature("float32", (2,), ["a", "b"]),
}


def smooth(seed: int, steps: int = 24) -> np.ndarray:
    random, times = np.random.default_rng(seed), np.arange(steps)[:, None]
    swing = np.sin(random.uniform(0.05, 0.2, (1, 6)) * times + random.uniform(0, 6.3, (1, 6)))
    gripper = (times < random.integers(5, 18)).astype(float)
    return np.concatenate([swing * ([0.05] * 3 + [0.25] * 3), gripper], axis=1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "swings"
    staged = []
    for number in range(10):
        episode = EpisodeWriter(root / ".staging" / str(number), FEATURES, FPS, "swing")
        for action in smooth(number):
            episode.append(
                {"action": action.astype(np.float32), "observation.state": np.array([1.0, 2.0], np.float32)}
            )
        staged.append(episode.finish())
    with DatasetWriter(root, FEATURES, FPS) as writer:
        for folder in staged:
            writer.add(folder)
    return root


def test_statistics_are_those_of_all_frames(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compute_statistics.main([f"dataset={dataset}", f"out={tmp_path}", "memory_mb=1"]) == 0
    rows = np.concatenate([smooth(number).astype(np.float32) for number in range(10)]).astype(float)
    content = json.loads((tmp_path / "dataset_statistics.json").read_text())
    entry = content["swings"]
    np.testing.assert_array_equal(entry["action"]["q01"], np.quantile(rows, 0.01, axis=0))
    assert entry["action"]["mask"] == [True] * 6 + [False]
    assert entry["proprio"]["mean"] == [1.0, 2.0]
    assert (entry["num_transitions"], entry["num_trajectories"]) == (240, 10)
    assert ActionStatistics.load(tmp_path / "dataset_statistics.json").mask[6] is False
    assert (tmp_path / "dataset_statistics.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert "240 frames in 10 episodes" in said
    assert {file.name for file in tmp_path.iterdir()} == {"dataset_statistics.json", "dataset_statistics.png"}


def test_without_matplotlib_there_are_statistics_and_a_word(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    settings = [f"dataset={dataset}", f"out={tmp_path}", "key=mine", "gripper=''"]
    assert compute_statistics.main(settings) == 0
    entry = json.loads((tmp_path / "dataset_statistics.json").read_text())["mine"]
    assert entry["action"]["mask"] == [True] * 7
    assert "matplotlib is not installed" in capsys.readouterr().out


def test_the_table_is_measured_on_episodes_that_were_held_out(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fast = tmp_path / "fast"
    command = [sys.executable, str(ROOT / "scripts" / "train_fast_tokenizer.py")]
    settings = [f"dataset={dataset}", f"out={fast}", "scale=20", "vocabulary=600"]
    done = subprocess.run([*command, *settings], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert load_tokenizer(fast).periods == FPS
    assert ActionStatistics.load(fast / "dataset_statistics.json").mask[6] is False
    byte_level().save(str(tmp_path / "tokenizer.json"))
    out = tmp_path / "out"
    assert (
        tokenize_dataset.main(
            [
                f"dataset={dataset}",
                f"out={out}",
                f"fast={fast}",
                "vocabularies=[2048]",
                f"text={tmp_path / 'tokenizer.json'}",
            ]
        )
        == 0
    )
    result = json.loads((out / "result.json").read_text())
    assert (result["actions"], result["chunk_periods"], result["axes"]) == (48, FPS, list(DELTA_AXES))
    rows = result["tokenizers"]
    assert rows["OpenVLA, 256 bins"]["per_second"] == 35.0
    assert rows["RT-2, a token for each number"]["per_second"] == 40.0
    assert rows["RT-2, written as text"]["per_action"] > 16  # a byte for each digit and space
    equal = next(costs for name, costs in rows.items() if "(rms, max)" in name)
    for kind in ("rms", "worst"):
        assert (np.array(equal[kind]) <= np.array(rows["OpenVLA, 256 bins"][kind]) + 1e-12).all()
    assert "FAST as given" in rows
    said = capsys.readouterr().out
    assert "held out" in said
    assert f"{35.0 / equal['per_second']:.2f} times fewer tokens per second of motion" in said


def test_wrong_settings_are_refused(dataset: Path, tmp_path: Path) -> None:
    for wrong in ("memory_mb=0", "clipped_share=0"):
        with pytest.raises(ConfigurationError, match="expected"):
            compute_statistics.main([f"dataset={dataset}", f"out={tmp_path}", wrong])
    with pytest.raises(InvalidStatistics, match="gripper 'moon': no such axis"):
        compute_statistics.main([f"dataset={dataset}", f"out={tmp_path}", "gripper=moon"])
    with pytest.raises(ConfigurationError, match="dataset=FOLDER"):
        tokenize_dataset.main([])
    with pytest.raises(ConfigurationError, match=r"chunk_s=0.2: 1 actions at 5 Hz"):
        tokenize_dataset.main([f"dataset={dataset}", "chunk_s=0.2"])
    with pytest.raises(ConfigurationError, match=r"held_out_share=0.0 of 10"):
        tokenize_dataset.main([f"dataset={dataset}", "held_out_share=0"])
    with pytest.raises(InvalidDataset):
        tokenize_dataset.main([f"dataset={tmp_path / 'absent'}"])
    assert not list(tmp_path.iterdir())
