"""LoRA adapters in peft's format: W + alpha / r * B A, also for the towers' convolutions. peft is not needed."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from vla_runtime.errors import InvalidCheckpoint
from vla_runtime.models.openvla.configuration import read_json
from vla_runtime.models.openvla.shards import check_keys, tensor_names

ADAPTER_CONFIG, ADAPTER_FILE = "adapter_config.json", "adapter_model.safetensors"
VARIANTS = ("use_dora", "use_rslora", "fan_in_fan_out", "rank_pattern", "alpha_pattern")


@dataclass(frozen=True)
class LoRAAdapter:
    """An adapter on disk.

    Attributes:
        file: With the tensors.
        targets: Names of the layers that it changes.
        rank: Of the product.
        scale: Factor of the product, alpha / r.
    """

    file: Path
    targets: frozenset[str]
    rank: int
    scale: float

    @classmethod
    def load(cls, folder: Path) -> "LoRAAdapter":
        """From a folder. Raises InvalidCheckpoint: incomplete pairs, or a variant that is not plain LoRA."""
        settings = read_json(folder / ADAPTER_CONFIG)
        for variant in VARIANTS:
            if settings.get(variant):
                raise InvalidCheckpoint(
                    f"{folder / ADAPTER_CONFIG}: {variant} is not supported, only plain LoRA"
                )
        file = folder / ADAPTER_FILE
        if not file.is_file():
            raise InvalidCheckpoint(f"{folder}: no {ADAPTER_FILE}")
        names = set(tensor_names(file))
        targets = {name.removeprefix("base_model.model.").rsplit(".lora_", 1)[0] for name in names}
        expected = {tensor_name(target, half) for target in targets for half in "AB"}
        check_keys(str(file), dict.fromkeys(names), dict.fromkeys(expected))
        rank = settings["r"]
        return cls(file, frozenset(targets), rank, settings["lora_alpha"] / rank)

    def check_targets(self, model: nn.Module) -> None:
        """Refuse targets that the model does not have. Raises InvalidCheckpoint."""
        known = dict(model.named_modules())
        for target in sorted(self.targets):
            if not isinstance(known.get(target), nn.Linear | nn.Conv2d):
                raise InvalidCheckpoint(f"{self.file}: {target} is no layer of this model")

    def merge_into(self, model: nn.Module) -> None:
        """Add the adapter to the weights, in place. Raises InvalidCheckpoint."""
        self.check_targets(model)
        with torch.no_grad():
            for target in sorted(self.targets):
                weight = model.get_parameter(f"{target}.weight")
                weight.copy_(self.merged(target, weight))

    def merged(self, target: str, weight: Tensor) -> Tensor:
        """A target's weight with the adapter in it, in the weight's dtype. Raises InvalidCheckpoint."""
        with safe_open(self.file, framework="pt") as tensors:
            down, up = (tensors.get_tensor(tensor_name(target, half)) for half in "AB")
        fitting = (
            down.shape[0] == self.rank
            and up.shape[:2] == (weight.shape[0], self.rank)
            and down.shape[1:] == weight.shape[1:]
        )
        if not fitting:
            raise InvalidCheckpoint(
                f"{self.file}: {target}: lora_A {tuple(down.shape)} and lora_B {tuple(up.shape)} do not fit weight "
                f"{tuple(weight.shape)} at rank {self.rank}"
            )
        change = up.flatten(1).float() @ down.flatten(1).float()
        return (weight.float() + self.scale * change.view(weight.shape).to(weight.device)).to(weight.dtype)


def tensor_name(target: str, half: str) -> str:
    """What peft calls one half, "A" or "B", of a target's adapter."""
    return f"base_model.model.{target}.lora_{half}.weight"
