"""Vision transformers with timm's parameter names, read out before their last block.

The last block, the final norm and the attention pool exist in checkpoints and never run. Layer scale is stored as
`scale_factor`, because old transformers renamed every key that contained "gamma".
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vla_runtime.models.openvla.configuration import TowerConfiguration


class ConvolutionStem(nn.Module):
    """Pixels to patch tokens by convolutions that halve the side, each normalised over its channels, then GELU."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        """Args: channels: of each convolution's result; the last one is the width."""
        super().__init__()
        pairs = list(zip((3, *channels), channels, strict=False))
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairs
        )
        self.norms = nn.ModuleList(nn.GroupNorm(1, after) for after in channels[:-1])

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, S, S] to [B, patches, width]."""
        features = pixels
        for layer, norm in zip(self.layers, self.norms, strict=False):
            features = functional.gelu(norm(layer(features)))
        return self.layers[-1](features).flatten(2).transpose(1, 2)


class PatchEmbedding(nn.Module):
    """Pixels to patch tokens."""

    def __init__(self, tower: TowerConfiguration) -> None:
        """Args: tower: its dimensions."""
        super().__init__()
        bias = not tower.pre_norm  # CLIP has none
        self.proj = nn.Conv2d(3, tower.width, tower.patch_size, stride=tower.patch_size, bias=bias)

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, S, S] to [B, patches, width]."""
        return self.proj(pixels).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention with one projection for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        """Args: width: feature size; heads: attention heads."""
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, width] to the same."""
        batch, count, width = tokens.shape
        qkv = (
            self.qkv(tokens).reshape(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        )
        mixed = functional.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, width))


class MLP(nn.Module):
    """Two layers with the tower's activation between them."""

    def __init__(self, width: int, hidden: int, activation: str) -> None:
        """Args: hidden: hidden size; activation: "gelu" or "quick_gelu"."""
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.quick = activation == "quick_gelu"

    def forward(self, tokens: Tensor) -> Tensor:
        """[..., width] to the same."""
        hidden = self.fc1(tokens)
        return self.fc2(hidden * torch.sigmoid(1.702 * hidden) if self.quick else functional.gelu(hidden))


class LayerScale(nn.Module):
    """A learned factor per feature."""

    def __init__(self, width: int) -> None:
        """Args: width: feature size."""
        super().__init__()
        self.scale_factor = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        """[..., width] to the same."""
        return tokens * self.scale_factor


class Block(nn.Module):
    """Attention and MLP, each normalised before and added after."""

    def __init__(self, tower: TowerConfiguration) -> None:
        """Args: tower: its dimensions."""
        super().__init__()
        self.norm1 = nn.LayerNorm(tower.width, eps=tower.norm_eps)
        self.attn = Attention(tower.width, tower.heads)
        self.ls1 = LayerScale(tower.width) if tower.layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(tower.width, eps=tower.norm_eps)
        self.mlp = MLP(tower.width, tower.mlp_width, tower.activation)
        self.ls2 = LayerScale(tower.width) if tower.layer_scale else nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, width] to the same."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))


class AttentionPool(nn.Module):
    """SigLIP's pooling. Only its parameters are needed, to account for every key of a checkpoint; it never runs."""

    def __init__(self, tower: TowerConfiguration) -> None:
        """Args: tower: its dimensions."""
        super().__init__()
        self.latent = nn.Parameter(torch.zeros(1, 1, tower.width))
        self.q = nn.Linear(tower.width, tower.width)
        self.kv = nn.Linear(tower.width, 2 * tower.width)
        self.proj = nn.Linear(tower.width, tower.width)
        self.norm = nn.LayerNorm(tower.width, eps=tower.norm_eps)
        self.mlp = MLP(tower.width, tower.mlp_width, tower.activation)


class VisionTower(nn.Module):
    """One vision transformer."""

    def __init__(self, tower: TowerConfiguration) -> None:
        """Args: tower: its dimensions."""
        super().__init__()
        self.prefix_tokens = tower.prefix_tokens
        self.embed_prefix = tower.embed_prefix
        if tower.class_token:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, tower.width))
        if tower.registers:
            self.reg_token = nn.Parameter(torch.zeros(1, tower.registers, tower.width))
        positions = tower.patches + (tower.prefix_tokens if tower.embed_prefix else 0)
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, tower.width))
        self.patch_embed = ConvolutionStem(tower.stem) if tower.stem else PatchEmbedding(tower)
        if tower.pre_norm:
            self.norm_pre = nn.LayerNorm(tower.width, eps=tower.norm_eps)
        self.blocks = nn.ModuleList(Block(tower) for _ in range(tower.depth))
        self.norm = nn.LayerNorm(tower.width, eps=tower.norm_eps)
        if tower.attention_pool:
            self.attn_pool = AttentionPool(tower)

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, S, S] to patch features [B, patches, width] before the last block, without a final norm."""
        tokens = self._embed(self.patch_embed(pixels))
        if hasattr(self, "norm_pre"):
            tokens = self.norm_pre(tokens)
        for block in self.blocks[:-1]:
            tokens = block(tokens)
        return tokens[:, self.prefix_tokens :]

    def _embed(self, patches: Tensor) -> Tensor:
        """Add positions and put the prefix tokens in front, in the order that this kind of tower does it."""
        prefix = [
            getattr(self, name).expand(patches.shape[0], -1, -1)
            for name in ("cls_token", "reg_token")
            if hasattr(self, name)
        ]
        if self.embed_prefix:
            return torch.cat([*prefix, patches], dim=1) + self.pos_embed
        return torch.cat([*prefix, patches + self.pos_embed], dim=1)


class VisionBackbone(nn.Module):
    """One tower, or two whose features are concatenated."""

    def __init__(self, towers: tuple[TowerConfiguration, ...]) -> None:
        """Args: towers: one or two, in channel order."""
        super().__init__()
        self.featurizer = VisionTower(towers[0])
        if len(towers) == 2:
            self.fused_featurizer = VisionTower(towers[1])

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        """[B, 3 or 6, S, S] to one [B, patches, width] per tower; channels 0-2 are the first tower's."""
        if not hasattr(self, "fused_featurizer"):
            return (self.featurizer(pixel_values),)
        first, second = pixel_values[:, :3], pixel_values[:, 3:]
        return self.featurizer(first), self.fused_featurizer(second)
