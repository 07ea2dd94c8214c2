"""The loop: the loss falls, a kill changes nothing, and neither does the number of processes or passes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from tests.vla_runtime.finetuning.training import RECIPE, session
from vla_runtime.errors import ConfigurationError, InvalidRecord, RecordingFailed
from vla_runtime.finetuning.checkpoints import load_newest, restore_state, save_state
from vla_runtime.finetuning.metrics import MetricsFile, read_metrics
from vla_runtime.finetuning.recipe import Recipe
from vla_runtime.finetuning.trainer import Plan

ROOT = Path(__file__).parents[3]
STEPS = 10
SAME = 2e-5  # relative: fp32 sums in another order
COMMAND = [sys.executable, str(Path(__file__).with_name("training.py"))]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}


@pytest.fixture(scope="module")
def unbroken(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole training in this process, its 4 examples a step in one pass."""
    folder = tmp_path_factory.mktemp("unbroken")
    shutil.copytree(tiny, folder / "tiny")
    session(folder, folder / "out", Plan(STEPS, save_every=4, score_every=0)).trainer.train()
    return folder


def losses(folder: Path) -> list[float]:
    lines = [line for line in read_metrics(folder / "out" / "training" / "metrics.jsonl") if "loss" in line]
    assert [line["step"] for line in lines] == list(range(len(lines)))
    return [line["loss"] for line in lines]


def test_the_loss_falls(unbroken: Path) -> None:
    curve = losses(unbroken)
    assert len(curve) == STEPS
    assert curve[-1] < 0.9 * curve[0]


def test_killed_and_resumed_gives_the_curve_of_an_unbroken_run(unbroken: Path, tmp_path: Path) -> None:
    """SIGKILL after step 6; the newest state is of step 4, and beside it lies one that was being written."""
    shutil.copytree(unbroken / "tiny", tmp_path / "tiny")
    command = [*COMMAND, str(tmp_path), str(STEPS), "4", "6"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.kill()
    assert said == "waiting\n"
    assert len(losses(tmp_path)) == 6
    states = tmp_path / "out" / "training" / "states"
    assert [path.name for path in states.iterdir()] == ["step_00000004"]
    torn = states / "step_00000006"
    shutil.copytree(states / "step_00000004", torn)
    (torn / "weights.safetensors").write_bytes((torn / "weights.safetensors").read_bytes()[:-100])
    resumed = session(tmp_path, tmp_path / "out", Plan(STEPS, save_every=4, score_every=0))
    assert resumed.trainer.step == 4
    resumed.trainer.train()
    assert losses(tmp_path) == losses(unbroken)
    weights = [load_newest(folder / "out" / "training" / "states") for folder in (tmp_path, unbroken)]
    assert weights[0] is not None
    assert weights[1] is not None
    assert all(torch.equal(tensor, weights[1].weights[name]) for name, tensor in weights[0].weights.items())


def test_two_processes_train_to_the_losses_of_one(unbroken: Path, tmp_path: Path) -> None:
    shutil.copytree(unbroken / "tiny", tmp_path / "tiny")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command = [*launcher, *COMMAND[1:], str(tmp_path), str(STEPS), "2"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path) == pytest.approx(losses(unbroken), rel=SAME)


def test_accumulated_passes_train_to_the_losses_of_one(unbroken: Path, tmp_path: Path) -> None:
    """Passes of one example each, whose texts have different lengths."""
    shutil.copytree(unbroken / "tiny", tmp_path / "tiny")
    recipe = Recipe(**{**vars(RECIPE), "micro_batch_size": 1, "gradient_checkpointing": True})
    session(tmp_path, tmp_path / "out", Plan(STEPS, score_every=0), recipe).trainer.train()
    assert losses(tmp_path) == pytest.approx(losses(unbroken), rel=SAME)


def test_ctrl_c_ends_the_step_and_saves(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "tiny")

    def watch(step: int, metrics: object) -> None:
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    made = session(tmp_path, tmp_path / "out", Plan(STEPS, score_every=0), watch=watch)
    with pytest.raises(KeyboardInterrupt):
        made.trainer.train()
    again = session(tmp_path, tmp_path / "out", Plan(STEPS, score_every=0))
    assert again.trainer.step == made.trainer.step == 4  # the step after the one in which it was heard


def test_a_training_of_other_settings_is_not_gone_on_with(unbroken: Path, tmp_path: Path) -> None:
    recipe = Recipe(**{**vars(RECIPE), "learning_rate": 1e-3})
    with pytest.raises(
        ConfigurationError, match=r"with recipe.learning_rate 0.003, now it is 0.001; expected the same"
    ):
        session(unbroken, unbroken / "out", Plan(STEPS), recipe)
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigurationError, match="not empty, and no training that could go on"):
        session(unbroken, tmp_path, Plan(STEPS))


def test_a_state_of_another_model_is_refused(unbroken: Path) -> None:
    state = load_newest(unbroken / "out" / "training" / "states")
    assert state is not None
    other = torch.nn.Linear(2, 2)
    with pytest.raises(InvalidRecord, match="the training's state"):
        restore_state(other, torch.optim.AdamW(other.parameters()), state)


def test_states_that_cannot_be_written_leave_the_older_ones(unbroken: Path, tmp_path: Path) -> None:
    state = load_newest(unbroken / "out" / "training" / "states")
    assert state is not None
    (tmp_path / "states").write_text("in the way")
    with pytest.raises(RecordingFailed, match="states"):
        save_state(tmp_path / "states", state, keep=2)
    for step in (1, 2, 3):
        save_state(tmp_path / "kept", type(state)(step, {}, {}, []), keep=2)
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["step_00000002", "step_00000003"]


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    lines = [{"step": step, "loss": 1.0} for step in range(5)]
    lines.insert(3, {"step": 3, "scores": {}})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 5, "lo')
    MetricsFile(file, step=3).write({"step": 3, "loss": 2.0})
    assert [(line["step"], line.get("loss")) for line in read_metrics(file)] == [
        (0, 1.0),
        (1, 1.0),
        (2, 1.0),
        (3, None),
        (3, 2.0),
    ]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mode": "half"}, "recipe.mode=half: expected lora or full"),
        ({"learning_rate": 0.0}, "recipe.learning_rate=0.0: expected a number above 0"),
        ({"rank": 0}, "recipe.rank=0: expected a number from 1"),
        ({"bf16": False}, "recipe.dtype=bfloat16 needs recipe.bf16=true"),
    ],
)
def test_senseless_recipes_are_refused(settings: dict, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Recipe(**settings)


def test_the_rate_rises_and_falls() -> None:
    recipe = Recipe(schedule="cosine", warmup_steps=10, learning_rate=1.0)
    rates = [recipe.rate(step, 110) for step in range(111)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[60] == pytest.approx(0.5)
    assert rates[110] == pytest.approx(0.0)
    assert all(later <= earlier for earlier, later in pairwise(rates[10:]))
    assert {Recipe(learning_rate=2.0).rate(step, 10) for step in range(10)} == {2.0}
    assert Recipe(schedule="linear", learning_rate=1.0).rate(25, 100) == pytest.approx(0.75)
