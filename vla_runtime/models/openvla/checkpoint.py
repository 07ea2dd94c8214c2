"""Reading checkpoints in the original's layout: strictly, and without ever holding the weights twice.

Every key must be expected and every expected key present, with the right shape; every number must be finite. Pickle
files are never opened. Tensors go one by one to their device and dtype.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vla_runtime.errors import InvalidCheckpoint
from vla_runtime.models.openvla.configuration import OpenVLAConfiguration, read_json
from vla_runtime.models.openvla.model import OpenVLA

SINGLE_FILE, INDEX_FILE = "model.safetensors", "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
MOST_NAMED = 4  # keys that an error lists before it only counts

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LoadedModel:
    """A network with its weights.

    Attributes:
        model: In evaluation mode, on its device.
        checksum: 32 hexadecimal digits over names, shapes, dtypes and bytes of all tensors as they are on disk.
        weight_bytes: Size of the weights as loaded.
    """

    model: OpenVLA
    checksum: str
    weight_bytes: int


def load_model(
    folder: Path,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    adapter: Path | None = None,
    progress: Progress | None = None,
) -> LoadedModel:
    """Build the network of a folder and fill it.

    Args:
        folder: With config.json and model.safetensors, or shards and their index.
        device: For example "cpu" or "cuda".
        dtype: Of the weights; None: as on disk.
        adapter: A folder with a LoRA adapter in peft's format, merged into the weights.
        progress: Told after each tensor how many are loaded, and of how many.

    Raises:
        InvalidCheckpoint: Names the file or key, and what would have been right.
    """
    configuration = OpenVLAConfiguration.load(folder)
    with torch.device("meta"):
        model = OpenVLA(configuration)
    places = tensor_files(folder)
    check_keys(f"{folder}", places, dict(model.named_parameters()))
    digest = blake2b(digest_size=16)
    for count, (name, tensor) in enumerate(_tensors(places), start=1):
        _check_tensor(name, tensor, model.get_parameter(name), places[name])
        digest.update(_fingerprint(name, tensor))
        _assign(model, name, tensor.to(device=device, dtype=dtype or tensor.dtype, copy=True))
        if progress is not None:
            progress(count, len(places))
    if adapter is not None:
        merge_adapter(model, adapter)
    size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return LoadedModel(model.eval().requires_grad_(requires_grad=False), digest.hexdigest(), size)


def tensor_files(folder: Path) -> dict[str, Path]:
    """The file that holds each tensor. Raises InvalidCheckpoint for missing, truncated or pickled files."""
    if not folder.is_dir():
        raise InvalidCheckpoint(f"{folder}: no such folder")
    if (folder / INDEX_FILE).exists():
        index = read_json(folder / INDEX_FILE).get("weight_map")
        if not isinstance(index, dict) or not index:
            raise InvalidCheckpoint(f"{folder / INDEX_FILE}: no weight_map")
        files = sorted(set(index.values()))
        missing = [name for name in files if Path(name).name != name or not (folder / name).is_file()]
        if missing:
            raise InvalidCheckpoint(
                f"{folder}: shard {missing[0]} is missing ({len(files)} are listed in the index)"
            )
    elif (folder / SINGLE_FILE).exists():
        files, index = [SINGLE_FILE], None
    else:
        pickled = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        found = f"; found {pickled[0]}, which is a pickle file and is never opened" if pickled else ""
        raise InvalidCheckpoint(f"{folder}: no {SINGLE_FILE} and no {INDEX_FILE}{found}")
    held = {name: folder / file for file in files for name in tensor_names(folder / file)}
    if index is not None:
        misplaced = [name for name, file in index.items() if held.get(name) != folder / file]
        if misplaced or set(held) - set(index):
            name = (misplaced or sorted(set(held) - set(index)))[0]
            raise InvalidCheckpoint(f"{folder / INDEX_FILE}: {name} is not where the index says")
    return held


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


def merge_adapter(model: OpenVLA, folder: Path) -> None:
    """Add a LoRA adapter to the weights: W + alpha / r * B A, also for the towers' convolutions.

    Raises:
        InvalidCheckpoint: Incomplete pairs, unknown targets, wrong shapes, or a variant that is not plain LoRA.
    """
    settings = read_json(folder / "adapter_config.json")
    for variant in ("use_dora", "use_rslora", "fan_in_fan_out", "rank_pattern", "alpha_pattern"):
        if settings.get(variant):
            raise InvalidCheckpoint(
                f"{folder / 'adapter_config.json'}: {variant} is not supported, only plain LoRA"
            )
    rank, scale = settings["r"], settings["lora_alpha"] / settings["r"]
    file = folder / "adapter_model.safetensors"
    if not file.is_file():
        raise InvalidCheckpoint(f"{folder}: no adapter_model.safetensors")
    names = set(tensor_names(file))
    targets = {name.removeprefix("base_model.model.").rsplit(".lora_", 1)[0] for name in names}
    expected = {f"base_model.model.{target}.lora_{half}.weight" for target in targets for half in "AB"}
    check_keys(str(file), dict.fromkeys(names), dict.fromkeys(expected))
    known = dict(model.named_modules())
    with safe_open(file, framework="pt") as tensors, torch.no_grad():
        for target in sorted(targets):
            if not isinstance(known.get(target), nn.Linear | nn.Conv2d):
                raise InvalidCheckpoint(f"{file}: {target} is no layer of this model")
            down, up = (tensors.get_tensor(f"base_model.model.{target}.lora_{half}.weight") for half in "AB")
            _merge(known[target].weight, down, up, rank, scale, f"{file}: {target}")  # type: ignore[arg-type]


def _merge(weight: Tensor, down: Tensor, up: Tensor, rank: int, scale: float, where: str) -> None:
    fitting = (
        down.shape[0] == rank
        and up.shape[:2] == (weight.shape[0], rank)
        and down.shape[1:] == weight.shape[1:]
    )
    if not fitting:
        raise InvalidCheckpoint(
            f"{where}: lora_A {tuple(down.shape)} and lora_B {tuple(up.shape)} do not fit weight "
            f"{tuple(weight.shape)} at rank {rank}"
        )
    change = up.flatten(1).float() @ down.flatten(1).float()
    merged = weight.float() + scale * change.view(weight.shape).to(weight.device)
    weight.copy_(merged.to(weight.dtype))


def _tensors(places: Mapping[str, Path]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor in order of its name. A file is mapped for one tensor at a time, so that its pages do not add up."""
    for name in sorted(places):
        with safe_open(places[name], framework="pt") as tensors:
            yield name, tensors.get_tensor(name)


def _check_tensor(name: str, tensor: Tensor, expected: Tensor, file: Path) -> None:
    if tensor.shape != expected.shape:
        raise InvalidCheckpoint(
            f"{file}: {name} has shape {tuple(tensor.shape)}, expected {tuple(expected.shape)}"
        )
    if not tensor.is_floating_point():
        raise InvalidCheckpoint(f"{file}: {name} is {tensor.dtype}, expected floating point")
    if not bool(torch.isfinite(tensor).all()):
        raise InvalidCheckpoint(f"{file}: {name} holds NaN or infinite numbers")


def _fingerprint(name: str, tensor: Tensor) -> bytes:
    head = json.dumps([name, list(tensor.shape), str(tensor.dtype)]).encode()
    return head + blake2b(tensor.contiguous().view(torch.uint8).numpy().data, digest_size=16).digest()


def _assign(model: OpenVLA, name: str, tensor: Tensor) -> None:
    owner, _, leaf = name.rpartition(".")
    model.get_submodule(owner).register_parameter(leaf, nn.Parameter(tensor, requires_grad=False))
