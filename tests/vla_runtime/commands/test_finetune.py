"""vla-finetune: from a folder of episodes to a checkpoint; what is refused, in one line and early."""

import json
from pathlib import Path

import numpy as np
import pytest

from vla_runtime.commands.finetune import main
from vla_runtime.datasets import DatasetWriter, EpisodeWriter, Feature
from vla_runtime.datasets.features import camera_feature
from vla_runtime.errors import VLARuntimeError
from vla_runtime.finetuning.metrics import read_metrics
from vla_runtime.models.openvla.random_checkpoint import write_random_checkpoint

FEATURES = {
    "observation.images.front": camera_feature(32, 32),
    "action": Feature("float32", (7,), ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a tiny checkpoint and two episodes of 4 frames."""
    folder = tmp_path_factory.mktemp("finetune")
    write_random_checkpoint(folder / "tiny")
    generator = np.random.default_rng(0)
    with DatasetWriter(folder / "demos", FEATURES, 5) as writer:
        for episode in range(2):
            staged = EpisodeWriter(writer.new_staging(f"e{episode}"), FEATURES, 5, "lift the lemon")
            for _ in range(4):
                picture = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                staged.append({"observation.images.front": picture, "action": generator.random(7) * 0.02})
            writer.add(staged.finish())
    with DatasetWriter(folder / "fast", FEATURES, 10) as writer:
        staged = EpisodeWriter(writer.new_staging("e0"), FEATURES, 10, "lift the lemon")
        picture = np.zeros((32, 32, 3), np.uint8)
        for _ in range(2):
            staged.append({"observation.images.front": picture, "action": np.zeros(7)})
        writer.add(staged.finish())
    entry = {"q01": [0.0] * 7, "q99": [0.02] * 7, "mask": [True] * 6 + [False]}
    (folder / "demos" / "dataset_statistics.json").write_text(json.dumps({"demos": {"action": entry}}))
    (folder / "fast" / "dataset_statistics.json").write_text(json.dumps({"fast": {"action": entry}}))
    (folder / "six.json").write_text(
        json.dumps({"demos": {"action": {key: value[:6] for key, value in entry.items()}}})
    )
    (folder / "two.json").write_text(json.dumps({"a": {"action": entry}, "b": {"action": entry}}))
    return folder


def arguments(folder: Path, out_folder: Path, **changes: object) -> list[str]:
    settings = {
        "checkpoint": folder / "tiny",
        "dataset": folder / "demos",
        "out": out_folder,
        "recipe": "tiny",
        "steps": 2,
        "recipe.batch_size": 2,
        "workers": 0,
        "device": "cpu",
        "trackers": "[]",
        **changes,
    }
    return [f"{key}={value}" for key, value in settings.items()]


def test_episodes_become_a_checkpoint_and_more_steps_go_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    given = {"recipe.schedule": "constant", "trackers": "[tensorboard]"}
    assert main(arguments(folder, out, **given)) == 0
    assert "self-test passed" in " ".join(capsys.readouterr().out.split())
    assert main(arguments(folder, out, **given, steps=3)) == 0
    assert "going on at step 2" in capsys.readouterr().out
    result = json.loads((out / "training" / "result.json").read_text())
    assert set(result["scores"]) == {"demos/train", "demos/held_out"}
    assert result["decoded"]["frames"] == 4
    lines = read_metrics(out / "training" / "metrics.jsonl")
    assert [line["step"] for line in lines] == [0, 1, 2, 2, 3]
    assert list((out / "training").rglob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"checkpoint": "null"}, "checkpoint is not set"),
        ({"out": "null"}, "out is not set"),
        ({"dataset": "null"}, "dataset is not set"),
        ({"trackers": "[paper]"}, "trackers=paper: expected tensorboard or wandb"),
        ({"score_frames": 0}, "score_frames=0: expected a whole number from 1"),
        ({"steps": 0}, "steps=0: expected a whole number from 1"),
        ({"holdout": 1.0}, "holdout=1.0: expected a share from 0 to less than 1"),
        ({"recipe.batch_size": 3, "recipe.micro_batch_size": 2}, "recipe.batch_size=3: expected a multiple"),
        (
            {"+mixture.fast": "{kind: robot, path: [folder]/fast}"},
            "fast: 10 actions per second, demos has 5; expected one rate, or mixed_rates=true",
        ),
        ({"camera": "wrist"}, "no camera 'wrist'; the data set has front"),
        ({"key": "other"}, "no key 'other'; it has demos"),
        ({"statistics": "absent.json"}, "no statistics at absent.json; expected a dataset_statistics.json"),
        ({"statistics": "{folder}/six.json"}, "the statistics have 6 axes"),
        ({"statistics": "{folder}/two.json"}, "no key is set; it has a, b"),
        ({"dataset": "{folder}"}, "info.json is missing"),
        ({"out": "{folder}"}, "not empty, and no training that could go on"),
        ({"+mixture.web.kind": "video", "+mixture.web.path": "x"}, "kind=video: expected robot, image_text"),
        ({"+mixture.web.path": "x"}, "mixture.web: missing 1 required positional argument: 'kind'"),
        ({"+mixture.web.colour": "x"}, "mixture.web: unknown colour; known: kind, path"),
        ({"recipe.speed": 3}, "unknown key 'speed' in recipe"),
    ],
)
def test_what_is_wrong_is_refused_early(
    folder: Path, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    out = tmp_path / "out"
    given = {
        key: str(value).replace("{folder}", str(folder)).replace("[folder]", str(folder))
        for key, value in changes.items()
    }
    with pytest.raises(VLARuntimeError, match=said) as refused:
        main(arguments(folder, out, **given))
    assert "\n" not in str(refused.value)
    assert not out.exists()
