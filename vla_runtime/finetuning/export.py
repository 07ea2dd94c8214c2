"""From what was trained to a whole checkpoint in the original's layout, one tensor after another.

The base's tensors are read one at a time, changed and written on, so that memory holds one shard (2 GB), never the model.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from vla_runtime.errors import InvalidCheckpoint, RecordingFailed
from vla_runtime.models.openvla.adapter import ADAPTER_CONFIG, ADAPTER_FILE, LoRAAdapter
from vla_runtime.models.openvla.checkpoint import read_tensors, tensor_files
from vla_runtime.models.openvla.configuration import OpenVLAConfiguration, read_json
from vla_runtime.models.openvla.model import OpenVLA
from vla_runtime.models.openvla.shards import INDEX_FILE, SINGLE_FILE, write_shards

CONFIG, STATISTICS, CARD = "config.json", "dataset_statistics.json", "README.md"
COPIED = (
    "towers.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "generation_config.json",
)
STAGING = ".export.partial"

Change = Callable[[str, Tensor], Tensor]
Progress = Callable[[int, int], None]


def save_adapter(folder: Path, weights: Mapping[str, Tensor], settings: Any) -> None:
    """Write a LoRA adapter in peft's format, which our loader and peft read.

    Args:
        folder: Is made, or its adapter replaced.
        weights: Of all adapters, by peft's names in a model.
        settings: peft's, of the model.
    """
    tensors = {
        name.replace(".default.weight", ".weight"): tensor.cpu().contiguous()
        for name, tensor in weights.items()
    }
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(tensors, partial / ADAPTER_FILE, metadata={"format": "pt"})
    entry = {key: value for key, value in settings.to_dict().items() if key != "target_modules"}
    entry["target_modules"] = sorted(
        {name.split(".lora_")[0].removeprefix("base_model.model.") for name in tensors}
    )
    text = json.dumps(entry, indent=2, default=lambda value: getattr(value, "value", str(value)))
    (partial / ADAPTER_CONFIG).write_text(text + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def adapter_change(base: Path, adapter: Path) -> Change:
    """Merges a LoRA adapter. Raises InvalidCheckpoint when it is of another model."""
    found = LoRAAdapter.load(adapter)
    with torch.device("meta"):
        found.check_targets(OpenVLA(OpenVLAConfiguration.load(base)))

    def change(name: str, tensor: Tensor) -> Tensor:
        target = name.removesuffix(".weight")
        return found.merged(target, tensor) if target in found.targets else tensor

    return change


def weights_change(weights: Mapping[str, Tensor]) -> Change:
    """Replaces what was trained, in the base's dtype."""
    return lambda name, tensor: weights[name].to(tensor.dtype) if name in weights else tensor


def export_checkpoint(
    base: Path,
    out: Path,
    change: Change,
    statistics: Mapping[str, Any] | None = None,
    card: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a whole checkpoint. Its config.json comes last: without it nobody loads the folder.

    Args:
        base: The checkpoint that was trained.
        out: Is made; a checkpoint that is in it is replaced, other files stay.
        change: From a base's tensor to the trained one.
        statistics: Content of dataset_statistics.json; None: the base's.
        card: Content of the model card, README.md; None: none.
        progress: Told after each tensor how many are written, and of how many.

    Raises:
        InvalidCheckpoint: The base is damaged, or `out` is the base.
        RecordingFailed: The disk is full or cannot be written to.
    """
    if out.resolve() == base.resolve():
        raise InvalidCheckpoint(f"out={out}: is the checkpoint itself; expected another folder")
    entry = {key: value for key, value in read_json(base / CONFIG).items() if key != "random_weights"}
    places = tensor_files(base)
    staging = out / STAGING
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        write_shards(staging, _changed(places, change, progress))
        for name in COPIED:
            if (base / name).exists():
                shutil.copyfile(base / name, staging / name)
        if statistics is not None:
            (staging / STATISTICS).write_text(json.dumps(statistics, indent=2) + "\n")
        elif (base / STATISTICS).exists():
            shutil.copyfile(base / STATISTICS, staging / STATISTICS)
        if card is not None:
            (staging / CARD).write_text(card)
        (staging / CONFIG).write_text(json.dumps(entry, indent=2) + "\n")
        _publish(staging, out)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise RecordingFailed(f"{out}: {error.strerror or error}") from error


def _changed(
    places: Mapping[str, Path], change: Change, progress: Progress | None
) -> Iterator[tuple[str, Tensor]]:
    for count, (name, tensor) in enumerate(read_tensors(places), start=1):
        yield name, change(name, tensor).contiguous().clone()
        if progress is not None:
            progress(count, len(places))


def _publish(staging: Path, out: Path) -> None:
    """Move the files in place: the old config.json goes first, the new one comes last."""
    (out / CONFIG).unlink(missing_ok=True)
    for old in [*out.glob("model*.safetensors"), out / INDEX_FILE, out / SINGLE_FILE]:
        old.unlink(missing_ok=True)
    for file in sorted(staging.iterdir(), key=lambda file: file.name == CONFIG):
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
        file.replace(out / file.name)
    staging.rmdir()
