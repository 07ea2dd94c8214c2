"""Towers of other kinds than the golden folders hold: their parameter names are timm's.

Outputs of DINOv2 with and without registers, SigLIP and CLIP were compared with timm 1.0.31 once: equal to the last bit
(docs/log.md). timm itself is not installed here, because it brings torchvision.
"""

import pytest
import torch

from vla_runtime.errors import InvalidCheckpoint
from vla_runtime.models.openvla.configuration import TowerConfiguration
from vla_runtime.models.openvla.vision import VisionTower

SMALL = {"image_size": 28, "patch_size": 14, "embed_dim": 16, "depth": 3, "num_heads": 2, "mlp_ratio": 4}
KINDS = {
    "dinov2 with registers": {
        "class_token": True,
        "num_register_tokens": 4,
        "no_embed_class": True,
        "layer_scale": True,
    },
    "dinov2": {"class_token": True, "layer_scale": True},
    "siglip": {"attn_pool": True},
    "clip": {"class_token": True, "pre_norm": True, "act": "quickgelu", "norm_eps": 1e-5},
}
OUTSIDE_BLOCKS = {
    "dinov2 with registers": {
        "cls_token",
        "reg_token",
        "pos_embed",
        "patch_embed.proj.weight",
        "patch_embed.proj.bias",
    },
    "dinov2": {"cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"},
    "siglip": {"pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"},
    "clip": {"cls_token", "pos_embed", "patch_embed.proj.weight", "norm_pre.weight", "norm_pre.bias"},
}
POSITIONS = {"dinov2 with registers": 4, "dinov2": 5, "siglip": 4, "clip": 5}


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_positions_are_timms(kind: str) -> None:
    tower = VisionTower(TowerConfiguration.from_mapping({**SMALL, **KINDS[kind]}))
    names = {
        name for name, _ in tower.named_parameters() if not name.startswith(("blocks", "attn_pool", "norm."))
    }
    assert names == OUTSIDE_BLOCKS[kind]
    assert tower.pos_embed.shape == (1, POSITIONS[kind], 16)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_last_block_never_runs(kind: str) -> None:
    tower = VisionTower(TowerConfiguration.from_mapping({**SMALL, **KINDS[kind]}))
    pixels = torch.randn(2, 3, 28, 28)
    before = tower(pixels)
    assert before.shape == (2, 4, 16)
    for parameter in tower.blocks[-1].parameters():
        parameter.fill_(torch.nan)
    torch.testing.assert_close(tower(pixels), before, rtol=0, atol=0)


@pytest.mark.parametrize("change", [{"image_size": 30}, {"num_heads": 3}, {"depth": 1}, {"act": "relu"}])
def test_senseless_towers_are_refused(change: dict) -> None:
    with pytest.raises(InvalidCheckpoint, match="tower"):
        TowerConfiguration.from_mapping({**SMALL, **change})


def test_a_tower_without_its_dimensions_is_refused() -> None:
    with pytest.raises(InvalidCheckpoint, match="a tower without depth"):
        TowerConfiguration.from_mapping({key: value for key, value in SMALL.items() if key != "depth"})
