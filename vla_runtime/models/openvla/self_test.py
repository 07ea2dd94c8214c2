"""Does the model look at its image? Run before anything moves, because a model that ignores it still answers.

Old OpenVLA code on new versions of transformers loads without an error and never runs its vision towers: every image
gives the same, well-formed action (openvla/openvla, issue 346).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vla_runtime.errors import InvalidCheckpoint
from vla_runtime.models.openvla.images import ImagePreprocessing
from vla_runtime.models.openvla.model import OpenVLA

LEAST_DIFFERENCE = 1e-5  # relative, between what two different images give
SIDE = 64  # [px] of the test images


@torch.inference_mode()
def self_test(model: OpenVLA, preprocessing: ImagePreprocessing, input_ids: Tensor) -> dict[str, float]:
    """Compare black, white and noise.

    Args:
        model: On its device, in its dtype.
        preprocessing: Of the checkpoint.
        input_ids: [1, T], any prompt.

    Returns:
        The smallest relative difference of features per tower, and of logits.

    Raises:
        InvalidCheckpoint: A tower was not called, or does not tell the images apart; logits that are not finite or do
            not depend on the image; an image size that the towers do not take.
    """
    size = model.configuration.towers[0].image_size
    channels = 3 * len(model.configuration.towers)
    probe = next(model.parameters())
    features: list[tuple[Tensor, ...]] = []
    logits: list[Tensor] = []
    for image in _images():
        pixels = preprocessing.pixel_values(image.numpy()).to(probe.device, probe.dtype)
        if pixels.shape != (1, channels, size, size):
            raise InvalidCheckpoint(
                f"preprocessor_config.json makes {tuple(pixels.shape)}, the towers take (1, {channels}, {size}, {size})"
            )
        with _counted(model) as calls:
            result = model(input_ids.to(probe.device), pixels)
        if any(count != 1 for count in calls.values()):
            raise InvalidCheckpoint(
                f"self-test: towers were called {calls} times for one image; expected once each"
            )
        features.append(result.features)
        logits.append(result.logits[:, -1])
    if not all(bool(torch.isfinite(row).all()) for row in logits):
        raise InvalidCheckpoint("self-test: logits are not finite")
    found = {
        f"tower_{index}": _least_difference([images[index] for images in features])
        for index in range(len(features[0]))
    }
    found["logits"] = _least_difference(logits)
    blind = [name for name, difference in found.items() if difference < LEAST_DIFFERENCE]
    if blind:
        raise InvalidCheckpoint(
            f"self-test: {', '.join(blind)} do not depend on the image (black, white and noise agree)"
        )
    return found


def _images() -> tuple[Tensor, Tensor, Tensor]:
    noise = torch.randint(
        0, 256, (SIDE, SIDE, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    return torch.zeros_like(noise), torch.full_like(noise, 255), noise


def _least_difference(values: list[Tensor]) -> float:
    """Over all pairs: the largest deviation, relative to the largest magnitude."""
    pairs = [(a, b) for index, a in enumerate(values) for b in values[:index]]
    return min(
        float((a.float() - b.float()).abs().max() / b.float().abs().max().clamp_min(1e-12)) for a, b in pairs
    )


@contextmanager
def _counted(model: OpenVLA) -> Iterator[dict[str, int]]:
    """Counts the calls of each tower within a block."""
    towers: dict[str, nn.Module] = dict(model.vision_backbone.named_children())
    calls = dict.fromkeys(towers, 0)

    def count(name: str):
        def hook(*_: object) -> None:
            calls[name] += 1

        return hook

    handles = [tower.register_forward_hook(count(name)) for name, tower in towers.items()]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
