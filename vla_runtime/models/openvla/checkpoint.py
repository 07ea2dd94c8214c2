"""Reading checkpoints in the original's layout: strictly, and without ever holding the weights twice.

Every key must be expected and every expected key present, with the right shape; every number must be finite. Pickle
files are never opened. Tensors go one by one to their device and dtype.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from vla_runtime.errors import InvalidCheckpoint
from vla_runtime.models.openvla.adapter import LoRAAdapter
from vla_runtime.models.openvla.configuration import OpenVLAConfiguration, read_json
from vla_runtime.models.openvla.model import OpenVLA
from vla_runtime.models.openvla.shards import INDEX_FILE, SINGLE_FILE, check_keys, tensor_names

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")

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
    for count, (name, tensor) in enumerate(read_tensors(places), start=1):
        _check_tensor(name, tensor, model.get_parameter(name), places[name])
        digest.update(_fingerprint(name, tensor))
        _assign(model, name, tensor.to(device=device, dtype=dtype or tensor.dtype, copy=True))
        if progress is not None:
            progress(count, len(places))
    if adapter is not None:
        LoRAAdapter.load(adapter).merge_into(model)
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


def read_tensors(places: Mapping[str, Path]) -> Iterator[tuple[str, Tensor]]:
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
