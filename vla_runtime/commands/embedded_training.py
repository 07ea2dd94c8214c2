"""A stretch of the embedded VLA's training, in several processes that average their gradients."""

import os
import time
from collections.abc import Mapping
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, final

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vla_runtime.commands.workers import leave_interrupts, one_thread_each, stop_children
from vla_runtime.errors import WorkerLost

FIRST_PORT, PORTS = 29_400, 500  # on this machine, where the training's processes meet


def train(config: DictConfig, folder: Path, name: str, stretch: tuple[int, int, bool]) -> None:
    """Train on all frames so far, in as many processes as there are workers, and export the averaged weights."""
    out = folder / "checkpoints" / name
    if out.exists():
        return
    context = get_context("spawn")
    plain: Any = OmegaConf.to_container(config)
    port = FIRST_PORT + os.getpid() % PORTS
    if config.workers == 1:
        _train_process(0, plain, str(folder), stretch, str(out), port)
        return
    processes = [
        context.Process(target=_train_process, args=(rank, plain, str(folder), stretch, str(out), port))
        for rank in range(config.workers)
    ]
    with one_thread_each():
        for process in processes:
            process.start()
    try:
        for process in processes:
            process.join()
    except KeyboardInterrupt:
        stop_children()
        raise
    if any(process.exitcode for process in processes):
        codes = ", ".join(str(process.exitcode) for process in processes)
        raise WorkerLost(
            f"the training's processes ended with exit codes {codes}; expected 0; the same command goes on"
        )


def _train_process(
    rank: int, plain: dict[str, Any], folder: str, stretch: tuple[int, int, bool], out: str, port: int
) -> None:
    """One of the training's processes."""
    if rank or parent_process() is not None:
        leave_interrupts()
    from vla_runtime.pretraining.batches import Classes
    from vla_runtime.pretraining.session import TrainingSettings, train_stretch
    from vla_runtime.pretraining.trainer import Stretch

    config: Any = OmegaConf.create(plain)
    lessons = instantiate(config.lessons).func
    settings = TrainingSettings(
        Path(folder),
        Classes(lessons.kinds, lessons.colours),
        instantiate(config.size, _convert_="object"),
        instantiate(config.rates),
        instantiate(config.weights),
        config.batch_size,
        config.instructions,
        config.recent_weight,
        config.save_every,
        config.seed,
        config.workers,
    )
    start, stop, last = stretch
    train_stretch(settings, Stretch(start, stop, last), Path(out), rank, port, PrintedProgress(stop))


@final
class PrintedProgress:
    """A line every so many steps."""

    def __init__(self, stop: int, every: int = 50) -> None:
        """Args: stop: the last step; every: steps between two lines."""
        self._stop, self._every = stop, every
        self._window: list[Mapping[str, float]] = []
        self._began_s = time.monotonic()

    def __call__(self, step: int, numbers: Mapping[str, float]) -> None:
        """Take in a step."""
        self._window.append(numbers)
        if step % self._every:
            return
        means = {name: float(np.mean([row[name] for row in self._window])) for name in numbers}
        seconds, self._began_s = time.monotonic() - self._began_s, time.monotonic()
        left_min = (self._stop - step) * seconds / len(self._window) / 60
        self._window.clear()
        print(
            f"step {step} of {self._stop}: loss {means['loss']:.2f}, actions {means['action']:.3f} nats and "
            f"{means['off_bins']:.1f} bins off, gripper {100 * means['gripper']:.1f} %, named thing found "
            f"{100 * means['found']:.0f} %, {left_min:.0f} min left",
            flush=True,
        )
