"""What a training step costs: examples per CPU-second, the loader's share, reading out every position, padding.

python scripts/measure_training.py checkpoint=outputs/tiny dataset=outputs/demos
"""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.config_store import ConfigStore

from vla_runtime.commands.command_line import run_command
from vla_runtime.config import compose_config
from vla_runtime.errors import ConfigurationError


@dataclass
class MeasureSettings:
    """The settings of configs/measure_training.yaml."""

    checkpoint: str | None = None
    dataset: str | None = None
    steps: int = 30
    batch_size: int = 16
    workers: int = 1
    augment: bool = False


ConfigStore.instance().store(name="measure_training_settings", node=MeasureSettings)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit code."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    config = compose_config("measure_training", arguments)
    for name in ("checkpoint", "dataset"):
        if config[name] is None:
            raise ConfigurationError(f"{name} is not set: expected a folder")
    with tempfile.TemporaryDirectory() as folder:
        session = _session(config, Path(folder) / "out")
        lengths = _lengths(session)
        found: dict[str, Any] = {"training": _training(session, config, Path(folder) / "out")}
        found["step_cpu_ms"] = _read_out(session, config.batch_size)
        found["loading_cpu_ms"] = _loading(session)
        found["padding_share"] = _padding(lengths, config.batch_size)
    print(json.dumps(found, indent=2))
    return 0


def _session(config: Any, out: Path) -> Any:
    """A full training in fp32, without held-out episodes."""
    from accelerate import Accelerator

    from vla_runtime.datasets import open_dataset
    from vla_runtime.finetuning.recipe import Recipe
    from vla_runtime.finetuning.session import Session, SessionSettings
    from vla_runtime.finetuning.sources import SourceSettings
    from vla_runtime.finetuning.trainer import Plan

    recipe = Recipe(
        mode="full",
        learning_rate=1e-3,
        batch_size=config.batch_size,
        augment=config.augment,
        dtype="float32",
        bf16=False,
    )
    plan = Plan(config.steps, save_every=config.steps, score_every=0, workers=config.workers)
    sources = {"measured": SourceSettings("robot", config.dataset)}
    settings = SessionSettings(
        Path(config.checkpoint), out, sources, recipe, plan, holdout=0.0, score_frames=1
    )
    return Session(settings, Accelerator(cpu=True), open_dataset)


def _training(session: Any, config: Any, out: Path) -> dict[str, float]:
    """Of steps after the first fifth, which starts the worker and warms up."""
    from vla_runtime.finetuning.metrics import read_metrics

    began = time.process_time()
    session.trainer.train()
    spent = time.process_time() - began
    lines = [line for line in read_metrics(out / "training" / "metrics.jsonl") if "loss" in line]
    lines = lines[len(lines) // 5 :]
    step_s, loader_s = (sum(line[key] for line in lines) for key in ("step_s", "loader_s"))
    return {
        "examples_per_cpu_s": round(config.steps * config.batch_size / spent, 1),
        "examples_per_s": round(len(lines) * config.batch_size / step_s, 1),
        "loader_share_of_step": round(loader_s / step_s, 4),
    }


def _read_out(session: Any, size: int) -> dict[str, float]:
    """Forward and backward of a batch, reading out labelled positions or all of them."""
    examples, _ = session.robots["measured"].scored["train"]
    from vla_runtime.finetuning.collator import Collator

    batch = Collator(32_000)([examples.example(row % len(examples), 0) for row in range(size)])

    def step(*, labelled_only: bool) -> None:
        result = session.trainer.model(
            batch.input_ids,
            batch.pixel_values,
            batch.attention_mask,
            batch.labels,
            labelled_only=labelled_only,
        )
        result.loss.backward()
        session.trainer.model.zero_grad()

    return {
        "labelled_positions": _cpu_ms(lambda: step(labelled_only=True), 5),
        "all_positions": _cpu_ms(lambda: step(labelled_only=False), 3),
    }


def _loading(session: Any) -> dict[str, float]:
    """One example: everything, and its picture alone."""
    training = session.robots["measured"].training
    rows = np.random.default_rng(0).permutation(len(training))[:30].tolist()
    whole = _cpu_ms(lambda: [training.example(row, row) for row in rows], 1) / len(rows)
    decoding = _cpu_ms(lambda: [training.frame(row) for row in rows], 1) / len(rows)
    return {"example": round(whole, 2), "decoding_its_frame": round(decoding, 2)}


def _lengths(session: Any) -> list[int]:
    """Tokens of every example's text."""
    training = session.robots["measured"].training
    return [len(training.text(training.frame(row))[0]) for row in range(len(training))]


def _padding(lengths: list[int], size: int) -> dict[str, float]:
    """Share of text positions that are padding: in random batches, sorted by length, and packed end to end."""
    random = np.random.default_rng(0).permutation(lengths)
    return {
        "random_batches": _wasted(random.tolist(), size),
        "sorted_by_length": _wasted(sorted(lengths), size),
        "mean_tokens": round(float(np.mean(lengths)), 1),
        "longest_tokens": max(lengths),
    }


def _wasted(lengths: Sequence[int], size: int) -> float:
    batches = [lengths[first : first + size] for first in range(0, len(lengths), size)]
    positions = sum(max(batch) * len(batch) for batch in batches)
    return round(1.0 - sum(lengths) / positions, 4)


def _cpu_ms(work: Callable[[], object], times: int) -> float:
    """CPU time of one call after a first one [ms]."""
    work()
    began = time.process_time()
    for _ in range(times):
        work()
    return round((time.process_time() - began) / times * 1e3, 1)


if __name__ == "__main__":
    run_command(main)
