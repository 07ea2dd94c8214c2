"""Which weights are trained: adapters or all, without those that never run.

The original adapts every linear layer and both patch convolutions, the language model's read-out included: 439 layers
of openvla-7b. peft's own "all-linear" means other layers in other versions, so the names are given here.
"""

from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from vla_runtime.errors import ConfigurationError, InvalidCheckpoint
from vla_runtime.finetuning.recipe import Recipe
from vla_runtime.models.openvla.llama import LlamaLayer
from vla_runtime.models.openvla.model import OpenVLA
from vla_runtime.models.openvla.vision import Block

TOWERS = "vision_backbone."


def lora_targets(model: nn.Module, *, freeze_vision: bool = False) -> list[str]:
    """Names of the layers that get an adapter: every linear layer and convolution."""
    return [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and not (freeze_vision and name.startswith(TOWERS))
    ]


def never_runs(model: OpenVLA, name: str) -> bool:
    """Whether a parameter is of a tower's last block, final norm or pool: they are in checkpoints and have no effect."""
    path = name.removeprefix("base_model.model.")
    if not path.startswith(TOWERS):
        return False
    _, tower, part, *rest = path.split(".")
    depth = len(model.get_submodule(f"vision_backbone.{tower}.blocks"))  # type: ignore[arg-type]
    return part in ("norm", "attn_pool") or (part == "blocks" and int(rest[0]) == depth - 1)


def trainable(model: OpenVLA, recipe: Recipe, seed: int) -> nn.Module:
    """The model with exactly those parameters trainable that the recipe wants, in float32.

    Args:
        model: As loaded. It is changed: with adapters, the result wraps it.
        recipe: What is trained.
        seed: Of the adapters' first values.

    Raises:
        ConfigurationError: Full training of weights that are integers.
    """
    if recipe.gradient_checkpointing:
        _checkpoint_layers(model)
    if recipe.mode == "full":
        return _full(model, recipe)
    return _with_adapters(model, recipe, seed)


def _full(model: OpenVLA, recipe: Recipe) -> nn.Module:
    for name, parameter in model.named_parameters():
        if not is_plain(parameter):
            raise ConfigurationError(
                f"recipe.mode=full: {name} is quantised ({type(parameter.data).__name__}, {parameter.dtype}); expected a "
                "checkpoint of floating-point numbers, or recipe.mode=lora"
            )
        frozen = recipe.freeze_vision and name.startswith(TOWERS)
        if not frozen and not never_runs(model, name):
            parameter.data = parameter.data.float()
            parameter.requires_grad = True
    return model


def is_plain(parameter: torch.Tensor) -> bool:
    """Whether a weight is an ordinary tensor of floating-point numbers, not a quantised one."""
    return parameter.is_floating_point() and type(parameter.data) is torch.Tensor


def _with_adapters(model: OpenVLA, recipe: Recipe, seed: int) -> nn.Module:
    from peft import LoraConfig, get_peft_model

    targets = lora_targets(model, freeze_vision=recipe.freeze_vision)
    settings = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=0.0,
        init_lora_weights="gaussian",
        target_modules=targets,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        adapted = get_peft_model(model, settings)  # type: ignore[arg-type]
    made = {
        name.removeprefix("base_model.model.").removesuffix(".lora_A.default.weight")
        for name, _ in adapted.named_parameters()
        if name.endswith(".lora_A.default.weight")
    }
    if made != set(targets):
        raise InvalidCheckpoint(
            f"peft adapted {len(made)} layers, expected {len(targets)}: {sorted(made ^ set(targets))[:3]} differ"
        )
    for name, parameter in adapted.named_parameters():
        parameter.requires_grad_(".lora_" in name and not never_runs(model, name))
    return adapted


def _checkpoint_layers(model: OpenVLA) -> None:
    """Forget activations inside each block and layer, and compute them again on the way back."""
    for layer in model.modules():
        if isinstance(layer, Block | LlamaLayer):
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
