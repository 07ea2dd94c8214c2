"""A tiny training, as a program of its own: `python training.py FOLDER STEPS MICRO [WAIT]`.

It trains the checkpoint in FOLDER/tiny on episodes that live in memory. With WAIT it stops after so many steps until it
is killed. Under torchrun it trains with several processes.
"""

import os
import sys
import time
from pathlib import Path

from accelerate import Accelerator

from tests.vla_runtime.finetuning.conftest import MemoryFrames, write_statistics
from vla_runtime.finetuning.recipe import Recipe
from vla_runtime.finetuning.session import Session, SessionSettings, Watchers
from vla_runtime.finetuning.sources import SourceSettings
from vla_runtime.finetuning.trainer import Plan

RECIPE = Recipe(
    mode="full",
    learning_rate=3e-3,
    schedule="cosine",
    warmup_steps=3,
    max_grad_norm=1.0,
    batch_size=4,
    dtype="float32",
    bf16=False,
    augment=False,
)


def session(
    folder: Path, out: Path, plan: Plan, recipe: Recipe = RECIPE, watch=None, closed_loop=None, **more
) -> Session:
    """A training of FOLDER/tiny on two short episodes."""
    sources = {"memory": SourceSettings("robot", str(folder), statistics=str(write_statistics(folder)))}
    settings = SessionSettings(folder / "tiny", out, sources, recipe, plan, **{"holdout": 0.0, **more})
    frames = MemoryFrames((4, 3), ("lemon", "push the long red cube"))
    return Session(
        settings, Accelerator(cpu=True), lambda _: frames, Watchers(watch=watch, closed_loop=closed_loop)
    )


if __name__ == "__main__":
    folder, steps, micro = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    wait = int(sys.argv[4]) if len(sys.argv) > 4 else None

    def watch(step: int, metrics: object) -> None:
        """Stand still after a step."""
        if step + 1 == wait:
            sys.stdout.write("waiting\n")
            sys.stdout.flush()
            time.sleep(600)

    plan = Plan(steps, save_every=4, score_every=0)
    recipe = Recipe(**{**vars(RECIPE), "micro_batch_size": micro})
    session(folder, folder / "out", plan, recipe, watch).trainer.train()
    accelerator = Accelerator(cpu=True)
    several = accelerator.num_processes > 1
    accelerator.end_training()
    if several:
        # The work is done and written. On some machines one interpreter in six aborts in its last moment, in the destructors
        # of torch's threads ("terminate called without an active exception"): not what is tested here.
        sys.stdout.flush()
        os._exit(0)
