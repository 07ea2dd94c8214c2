"""Files of tensors: their names, and writing them without ever holding more than one file's worth."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vla_runtime.errors import InvalidCheckpoint

SINGLE_FILE, INDEX_FILE = "model.safetensors", "model.safetensors.index.json"
SHARD_BYTES = 2**31  # [bytes] of one file, about
MOST_NAMED = 4  # keys that an error lists before it only counts


def write_shards(folder: Path, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """One file if it fits, else shards and an index; never more than one shard in memory."""
    places: dict[str, str] = {}
    shard: dict[str, Tensor] = {}
    held = total = number = 0
    for name, tensor in tensors:
        shard[name] = tensor
        held += tensor.numel() * tensor.element_size()
        if held >= SHARD_BYTES:
            number, total = number + 1, total + held
            _write_shard(folder, f"model-{number:05d}.safetensors", shard, places)
            shard, held = {}, 0
    if number == 0:
        _write_shard(folder, SINGLE_FILE, shard, places)
        return
    if shard:
        _write_shard(folder, f"model-{number + 1:05d}.safetensors", shard, places)
    index = {"metadata": {"total_size": total + held}, "weight_map": places}
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n")


def _write_shard(folder: Path, file: str, shard: dict[str, Tensor], places: dict[str, str]) -> None:
    save_file(shard, folder / file, metadata={"format": "pt"})
    (folder / file).chmod(0o644)  # it is made for its owner only, and checkpoints travel in packages
    places.update(dict.fromkeys(shard, file))


def tensor_names(file: Path) -> list[str]:
    """Names in one safetensors file. Raises InvalidCheckpoint when it is truncated or something else."""
    try:
        with safe_open(file, framework="pt") as tensors:
            return list(tensors.keys())
    except (SafetensorError, OSError) as error:
        raise InvalidCheckpoint(f"{file}: not a whole safetensors file ({error})") from error


def check_keys(where: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse missing and unexpected names, listing some of them."""
    missing, unexpected = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    problems = [
        f"{len(names)} {word} ({', '.join(names[:MOST_NAMED])}{', ...' if len(names) > MOST_NAMED else ''})"
        for word, names in (("missing", missing), ("unexpected", unexpected))
        if names
    ]
    if problems:
        raise InvalidCheckpoint(f"{where}: tensors do not fit config.json: {' and '.join(problems)}")
