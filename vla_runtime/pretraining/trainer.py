"""Steps of a training from nothing, in one process or several; resumable, with averaged weights."""

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vla_runtime.errors import InvalidRecord
from vla_runtime.pretraining.batches import BatchMaker
from vla_runtime.pretraining.network import TrainedNetwork

PARTS = ("weights", "average", "first", "second")  # of a state: the last two are AdamW's moments


@dataclass(frozen=True)
class Rates:
    """How fast to learn.

    Attributes:
        rate: Of AdamW [1/step].
        warmup: Steps in which it rises from zero.
        weight_decay: [1].
        longest_gradient: Norm to which gradients are shortened.
        average: Share of the old in the averaged weights, each step; smaller in the first steps.
        first_spread, last_spread: Standard deviation of soft labels, in the first step and from `spread_steps` on [bins]. A
            wide one tells a network that knows nothing in which direction it is wrong.
        spread_steps: From the first to the last spread.
    """

    rate: float = 1.2e-3
    warmup: int = 200
    weight_decay: float = 0.02
    longest_gradient: float = 1.0
    average: float = 0.999
    first_spread: float = 10.0
    last_spread: float = 2.0
    spread_steps: int = 4000

    def spread(self, step: int) -> float:
        """Of soft labels, at a step [bins]."""
        share = min(step / max(self.spread_steps, 1), 1.0)
        return self.first_spread * (self.last_spread / self.first_spread) ** share


@dataclass(frozen=True)
class Stretch:
    """A part of a training.

    Attributes:
        start, stop: Its steps.
        last: Whether the rate falls to zero over it.
    """

    start: int
    stop: int
    last: bool = False

    def factor(self, step: int) -> float:
        """Of the rate, at a step."""
        if not self.last:
            return 1.0
        share = (step - self.start) / max(self.stop - self.start, 1)
        return 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0)))


@final
class PretrainingRun:
    """A network, its optimiser and its averaged weights."""

    def __init__(self, network: TrainedNetwork, rates: Rates, axis_weights: Tensor, seed: int) -> None:
        """Args: network: to be trained; axis_weights: [A] of each axis in the action's loss; seed: of what is drawn."""
        self.network, self._rates, self._axis_weights, self._seed = network, rates, axis_weights, seed
        self.step = 0
        self._parameters = dict(network.named_parameters())
        wide = [p for p in self._parameters.values() if p.ndim > 1]
        thin = [p for p in self._parameters.values() if p.ndim == 1]
        self._optimizer = torch.optim.AdamW(
            [{"params": wide, "weight_decay": rates.weight_decay}, {"params": thin, "weight_decay": 0.0}],
            lr=rates.rate,
            betas=(0.9, 0.98),
        )
        self.average = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}

    def run(
        self,
        maker: BatchMaker,
        shares: NDArray[np.float64],
        batch_size: int,
        stretch: Stretch,
        watch: Callable[[int, Mapping[str, float]], bool],
    ) -> None:
        """Train to the end of a stretch.

        Args:
            maker: Of batches.
            shares: How often each frame is drawn, adding up to 1.
            batch_size: Frames in a step, over all processes.
            stretch: From the present step on.
            watch: Shown losses after each step; False ends the run early.
        """
        world, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
        cumulated = np.cumsum(shares)
        while self.step < stretch.stop:
            began_s = time.perf_counter()
            rng = np.random.default_rng([self._seed, self.step, rank])
            rows = np.searchsorted(cumulated, rng.random(batch_size // world) * cumulated[-1])
            batch = maker.make(np.minimum(rows, len(shares) - 1), rng)
            loaded_s = time.perf_counter() - began_s
            self.network.spread(self._rates.spread(self.step))
            losses = self.network(batch, self._axis_weights)
            self._optimizer.zero_grad(set_to_none=True)
            losses["loss"].backward()
            if world > 1:
                self._gather(world)
            norm = torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._rates.longest_gradient)
            warm = min((self.step + 1) / self._rates.warmup, 1.0)
            for group in self._optimizer.param_groups:
                group["lr"] = self._rates.rate * warm * stretch.factor(self.step)
            self._optimizer.step()
            self.step += 1
            self._follow()
            numbers = {name: float(value.detach()) for name, value in losses.items()}
            numbers |= {"norm": float(norm), "load_s": loaded_s, "step_s": time.perf_counter() - began_s}
            if not watch(self.step, numbers):
                return

    def _gather(self, world: int) -> None:
        """Average the gradients of all processes."""
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= world
        at = 0
        for gradient in gradients:
            gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
            at += gradient.numel()

    @torch.no_grad()
    def _follow(self) -> None:
        share = min(self._rates.average, self.step / (self.step + 10.0))
        for name, parameter in self._parameters.items():
            self.average[name].lerp_(parameter, 1.0 - share)

    # ------------------------------------------------------------------------------------------------ on disk

    def save(self, folder: Path) -> None:
        """Write everything, whole or not at all; the state before it is replaced."""
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        moments = self._optimizer.state
        parts = {
            "weights": {name: p.detach() for name, p in self._parameters.items()},
            "average": self.average,
            "first": {name: moments[p]["exp_avg"] for name, p in self._parameters.items() if p in moments},
            "second": {
                name: moments[p]["exp_avg_sq"] for name, p in self._parameters.items() if p in moments
            },
        }
        for name, tensors in parts.items():
            save_file(
                {key: tensor.contiguous() for key, tensor in tensors.items()}, part / f"{name}.safetensors"
            )
        (part / "state.json").write_text(json.dumps({"step": self.step}) + "\n")
        for file in part.iterdir():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
        old = folder.with_name(folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old, ignore_errors=True)

    def load(self, folder: Path) -> None:
        """Go back to a state. Raises InvalidRecord: damaged, or of another network."""
        if not folder.exists():
            folder = folder.with_name(folder.name + ".old")
        try:
            self.step = int(json.loads((folder / "state.json").read_text())["step"])
            parts: dict[str, dict[str, Tensor]] = {
                name: load_file(folder / f"{name}.safetensors") for name in PARTS
            }
            with torch.no_grad():
                for name, parameter in self._parameters.items():
                    parameter.copy_(parts["weights"][name])
                    self.average[name].copy_(parts["average"][name])
                    if name in parts["first"]:
                        state: dict[str, Any] = {
                            "step": torch.tensor(float(self.step)),
                            "exp_avg": parts["first"][name],
                            "exp_avg_sq": parts["second"][name],
                        }
                        self._optimizer.state[parameter] = state
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise InvalidRecord(f"{folder}: not a state of this training ({error})") from error

    def averaged_model(self) -> dict[str, Tensor]:
        """The averaged weights of the model, by its own names, without the read-outs."""
        return {
            name.removeprefix("model."): tensor
            for name, tensor in self.average.items()
            if name.startswith("model.")
        }
