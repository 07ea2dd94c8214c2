"""The training loop: batches in, weights out; it goes on after a kill as if nothing had happened.

Why it is written here: docs/decisions/0009-own-training-loop.md.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vla_runtime.errors import ConfigurationError
from vla_runtime.finetuning.batches import MixedExamples, Split, load_batches, lost_workers
from vla_runtime.finetuning.checkpoints import (
    gather_state,
    gather_weights,
    load_newest,
    restore_state,
    save_state,
)
from vla_runtime.finetuning.collator import Batch, Collator
from vla_runtime.finetuning.interrupts import Interrupts
from vla_runtime.finetuning.metrics import MetricsFile
from vla_runtime.finetuning.recipe import Recipe
from vla_runtime.finetuning.scores import TokenScores
from vla_runtime.models.openvla.model import IGNORED

StepMetrics = Mapping[str, float]


@dataclass(frozen=True)
class Plan:
    """How long a training runs, and what is kept of it.

    Attributes:
        steps: Optimiser steps in all.
        save_every: Steps between two states on disk.
        score_every: Steps between two looks at held-out frames; 0: only at the end.
        keep: States on disk.
        workers: Processes that prepare batches.
    """

    steps: int
    save_every: int = 100
    score_every: int = 100
    keep: int = 2
    workers: int = 0

    def __post_init__(self) -> None:
        """Refuse counts that make no sense. Raises ConfigurationError."""
        for name, low in (("steps", 1), ("save_every", 1), ("score_every", 0), ("keep", 1), ("workers", 0)):
            if getattr(self, name) < low:
                raise ConfigurationError(f"{name}={getattr(self, name)}: expected a whole number from {low}")


@dataclass(frozen=True)
class Hooks:
    """Who looks on. All are called by every process, between steps.

    Attributes:
        score: Token scores of held-out frames, by name of the data set.
        closed_loop: Success in the closed loop, of the trained weights after a step; the weights are whole in the first
            process only.
        watch: Shown the metrics of each step.
        log: Shown the same, for TensorBoard and the like.
    """

    score: Callable[[nn.Module], Mapping[str, TokenScores]] | None = None
    closed_loop: Callable[[Mapping[str, Tensor], int], StepMetrics] | None = None
    watch: Callable[[int, StepMetrics], None] | None = None
    log: Callable[[StepMetrics, int], None] | None = None


@final
class Trainer:
    """Trains one model on one mixture."""

    def __init__(
        self,
        model: nn.Module,
        examples: MixedExamples,
        collator: Collator,
        recipe: Recipe,
        plan: Plan,
        accelerator: Accelerator,
        folder: Path,
        hooks: Hooks | None = None,
    ) -> None:
        """Put the parts together, and go back to the newest state in the folder, if there is one.

        Args:
            model: With exactly the trainable parameters requiring a gradient.
            examples: By number.
            collator: Makes batches.
            recipe: How to train.
            plan: How long.
            accelerator: Device, processes, precision.
            folder: For metrics.jsonl and states.
            hooks: Who looks on.
        """
        self._accelerator, self._recipe, self._plan, self._hooks = accelerator, recipe, plan, hooks or Hooks()
        self._examples, self._collator, self._folder = examples, collator, folder
        processes = accelerator.num_processes
        micro = recipe.micro_batch_size or max(recipe.batch_size // processes, 1)
        self.split = Split(recipe.batch_size, micro, processes, accelerator.process_index)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._raw_optimizer = torch.optim.AdamW(
            trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        model.train()
        self.model, self._optimizer = accelerator.prepare(model, self._raw_optimizer)
        self._raw_optimizer = self._optimizer.optimizer
        self.step = self._resume()
        self._metrics = (
            MetricsFile(folder / "metrics.jsonl", self.step) if accelerator.is_main_process else None
        )

    def train(self) -> dict[str, Any]:
        """Train to the last step.

        Returns:
            The last scores.

        Raises:
            KeyboardInterrupt: The user wants to stop; everything is saved.
            WorkerLost: A process that prepares batches was killed.
        """
        batches = load_batches(
            self._examples, self._collator, self.split, self.step, self._plan.steps, self._plan.workers
        )
        scores: dict[str, Any] | None = None
        with lost_workers(), closing(batches), Interrupts() as interrupts:
            while self.step < self._plan.steps:
                asked = self._one_step(batches, interrupts)
                self.step += 1
                if asked or self.step % self._plan.save_every == 0 or self.step == self._plan.steps:
                    self.save()
                if asked:
                    raise KeyboardInterrupt
                scores = self.score() if self._due() else None
        return self.score() if scores is None else scores

    def save(self) -> None:
        """Write where the training stands; every process must call it."""
        state = gather_state(self.model, self._raw_optimizer, self.step)
        if self._accelerator.is_main_process:
            save_state(self._folder / "states", state, self._plan.keep)
        self._accelerator.wait_for_everyone()

    def weights(self) -> Mapping[str, Tensor]:
        """What was trained, by name; every process must call it, the first one gets the tensors."""
        return gather_weights(self.model)

    def score(self) -> dict[str, Any]:
        """Look at held-out frames, and at the closed loop; every process must call it."""
        found: dict[str, Any] = {}
        if self._hooks.score is not None:
            found |= {name: asdict(scores) for name, scores in self._hooks.score(self.model).items()}
        if self._hooks.closed_loop is not None:
            found |= {"closed_loop": dict(self._hooks.closed_loop(self.weights(), self.step))}
        if found:
            self._write({"scores": found})
            if self._hooks.log is not None:
                self._hooks.log(_flat(found), self.step)
        return found

    def _resume(self) -> int:
        state = load_newest(self._folder / "states")
        if state is None:
            return 0
        restore_state(self.model, self._raw_optimizer, state)
        return state.step

    def _due(self) -> bool:
        every = self._plan.score_every
        return self.step == self._plan.steps or (every > 0 and self.step % every == 0)

    def _one_step(self, batches: Iterator[Batch], interrupts: Interrupts) -> bool:
        """One optimiser step. Returns whether any process was asked to stop."""
        began_s = time.perf_counter()
        passes = [next(batches) for _ in range(self.split.passes)]
        loaded_s = time.perf_counter()
        device = self._accelerator.device
        labels = sum(batch.label_count for batch in passes)
        counts = torch.tensor([labels, int(interrupts.asked)], dtype=torch.int64, device=device)
        total, asked = (int(count) for count in self._accelerator.reduce(counts, "sum"))  # type: ignore[union-attr]
        rate = self._recipe.rate(self.step, self._plan.steps)
        for group in self._raw_optimizer.param_groups:
            group["lr"] = rate
        sums = sum(
            (self._one_pass(batch.to(device), total, last=batch is passes[-1]) for batch in passes),
            torch.zeros(2, dtype=torch.float64, device=device),
        )
        norm = self._shortened()
        self._optimizer.step()
        self._optimizer.zero_grad()
        loss, right = self._accelerator.reduce(sums, "sum").tolist()  # type: ignore[union-attr]
        self._report(
            {
                "loss": loss / total,
                "token_accuracy": right / total,
                "learning_rate": rate,
                "gradient_norm": norm,
                "step_s": time.perf_counter() - began_s,
                "loader_s": loaded_s - began_s,
                "padding": _padding(passes),
            }
        )
        return asked > 0

    def _one_pass(self, batch: Batch, total: int, *, last: bool) -> Tensor:
        """Gradients of one pass. Returns the sum of its losses and the number of labels that it predicts."""
        waits = nullcontext() if last else self._accelerator.no_sync(self.model)
        with waits:
            result = self.model(
                batch.input_ids, batch.pixel_values, batch.attention_mask, batch.labels, labelled_only=True
            )
            summed = result.loss * batch.label_count
            self._accelerator.backward(summed * self._accelerator.num_processes / total)
        wanted = batch.labels[:, 1:]
        right = (result.logits.detach().argmax(-1) == wanted[wanted != IGNORED]).sum()
        return torch.stack([summed.detach().double(), right.double()])

    def _shortened(self) -> float:
        """The gradient's norm, before it is shortened where the recipe says so."""
        most = self._recipe.max_grad_norm
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        norm = self._accelerator.clip_grad_norm_(parameters, math.inf if most is None else most)
        return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)  # type: ignore[union-attr]

    def _report(self, metrics: StepMetrics) -> None:
        self._write(metrics)
        if self._hooks.watch is not None:
            self._hooks.watch(self.step, metrics)
        if self._hooks.log is not None:
            self._hooks.log(metrics, self.step)

    def _write(self, metrics: Mapping[str, Any]) -> None:
        if self._metrics is not None:
            self._metrics.write({"step": self.step, **metrics})


def _padding(passes: Sequence[Batch]) -> float:
    """Share of text positions that are padding."""
    positions = sum(batch.attention_mask.numel() for batch in passes)
    return 1.0 - sum(int(batch.attention_mask.sum()) for batch in passes) / positions


def _flat(found: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """Nested numbers as "a/b/c": number."""
    numbers: dict[str, float] = {}
    for key, value in found.items():
        if isinstance(value, Mapping):
            numbers |= _flat(value, f"{above}{key}/")
        elif isinstance(value, list | tuple):
            numbers |= _flat({str(index): part for index, part in enumerate(value)}, f"{above}{key}/")
        else:
            numbers[f"{above}{key}"] = float(value)
    return numbers
