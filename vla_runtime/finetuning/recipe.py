"""What a training is made of, apart from its data."""

import math
from dataclasses import dataclass

from vla_runtime.errors import ConfigurationError

MODES = ("lora", "full")
SCHEDULES = ("constant", "linear", "cosine")


@dataclass(frozen=True)
class Recipe:
    """How a checkpoint is trained; defaults are the original's for LoRA.

    Attributes:
        mode: "lora": adapters on every linear layer and both patch convolutions; "full": every weight that runs.
        rank: Of the adapters; their factor is min(rank, 16) / rank.
        freeze_vision: Leave the towers as they are.
        learning_rate: Of AdamW, per step.
        schedule: After the warm-up: "constant", or "linear" or "cosine" down to zero at the last step.
        warmup_steps: Steps in which the learning rate rises from zero.
        weight_decay: Of AdamW.
        max_grad_norm: Gradients are shortened to it; None: they are not.
        batch_size: Examples per step, over all processes.
        micro_batch_size: Examples per process and pass; None: as many as there are.
        augment: The original's image augmentation.
        predict_stop: Learn the stop token behind the action.
        dtype: Of weights that stay as they are, "float32" or "bfloat16"; what is trained is float32.
        bf16: Compute in bfloat16 where autocast does.
        gradient_checkpointing: Compute activations twice instead of keeping them.
    """

    mode: str = "lora"
    rank: int = 32
    freeze_vision: bool = False
    learning_rate: float = 5e-4
    schedule: str = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.01
    max_grad_norm: float | None = None
    batch_size: int = 16
    micro_batch_size: int | None = None
    augment: bool = True
    predict_stop: bool = True
    dtype: str = "bfloat16"
    bf16: bool = True
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no sense. Raises ConfigurationError."""
        for name, known in (("mode", MODES), ("schedule", SCHEDULES), ("dtype", ("float32", "bfloat16"))):
            if getattr(self, name) not in known:
                raise ConfigurationError(
                    f"recipe.{name}={getattr(self, name)}: expected {' or '.join(known)}"
                )
        for name, low in (("rank", 1), ("batch_size", 1), ("warmup_steps", 0), ("weight_decay", 0)):
            if not getattr(self, name) >= low:
                raise ConfigurationError(f"recipe.{name}={getattr(self, name)}: expected a number from {low}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigurationError(f"recipe.learning_rate={self.learning_rate}: expected a number above 0")

        if self.dtype == "bfloat16" and not self.bf16:
            raise ConfigurationError(
                "recipe.dtype=bfloat16 needs recipe.bf16=true; expected float32 without it"
            )

    @property
    def alpha(self) -> int:
        """The adapters' alpha, as in the original."""
        return min(self.rank, 16)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, of `steps`."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        if self.schedule == "constant":
            return self.learning_rate
        share = (step - self.warmup_steps) / max(steps - self.warmup_steps, 1)
        fall = 1.0 - share if self.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * share))
        return self.learning_rate * fall
