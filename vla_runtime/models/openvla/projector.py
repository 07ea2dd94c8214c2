"""From vision features to the language model's embeddings."""

from torch import Tensor, nn
from torch.nn import functional


class Projector(nn.Module):
    """Two layers for one tower, three for two."""

    def __init__(self, vision_width: int, text_width: int, *, fused: bool) -> None:
        """Args: vision_width: after concatenation; text_width: of the language model; fused: two towers."""
        super().__init__()
        if fused:
            self.fc1 = nn.Linear(vision_width, 4 * vision_width)
            self.fc2 = nn.Linear(4 * vision_width, text_width)
            self.fc3 = nn.Linear(text_width, text_width)
        else:
            self.fc1 = nn.Linear(vision_width, text_width)
            self.fc2 = nn.Linear(text_width, text_width)

    def forward(self, features: Tensor) -> Tensor:
        """[B, patches, vision_width] to [B, patches, text_width]."""
        projected = self.fc2(functional.gelu(self.fc1(features)))
        return self.fc3(functional.gelu(projected)) if hasattr(self, "fc3") else projected
