"""Weight-only quantisation of the language model through torchao (an extra). Never called exact."""

import torch

from vla_runtime.errors import ConfigurationError
from vla_runtime.models.openvla.model import OpenVLA

KINDS = ("int8", "int4")
GROUP = 32  # [weights] that share a scale, for int4


def quantize(model: OpenVLA, kind: str) -> None:
    """Replace the weights of the language model's layers by integers with scales, in place.

    The towers, the projector, the embeddings and the read-out stay as they are.

    Args:
        model: On its device, in bfloat16.
        kind: "int8" (a scale per row) or "int4" (a scale per 32 weights).

    Raises:
        ConfigurationError: Unknown kind, another dtype, torchao missing, or a device that it does not serve.
    """
    if kind not in KINDS:
        raise ConfigurationError(f"policy.quantization={kind}: expected one of {', '.join(KINDS)}, or null")
    weight = model.language_model.lm_head.weight
    if weight.dtype != torch.bfloat16:
        raise ConfigurationError(
            f"policy.quantization={kind} needs policy.dtype=bfloat16, not {weight.dtype}"
        )
    try:
        from torchao.quantization import (
            Int4WeightOnlyConfig,
            Int8WeightOnlyConfig,
            IntxWeightOnlyConfig,
            quantize_,
        )
        from torchao.quantization.granularity import PerGroup
    except ImportError as error:
        raise ConfigurationError(
            f"policy.quantization={kind} needs the package torchao: pip install 'vla-runtime[quantize]'"
        ) from error
    if kind == "int8":
        settings = Int8WeightOnlyConfig()
    elif weight.device.type == "cuda":
        settings = Int4WeightOnlyConfig(group_size=GROUP, int4_packing_format="tile_packed_to_4d")  # type: ignore[arg-type]
    else:
        settings = IntxWeightOnlyConfig(weight_dtype=getattr(torch, "int4"), granularity=PerGroup(GROUP))  # noqa: B009
    try:
        quantize_(model.language_model.model.layers, settings)
    except (NotImplementedError, ImportError, AssertionError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigurationError(
            f"policy.quantization={kind} on {weight.device.type}: torchao refused ({reason})"
        ) from error
