"""Loading is strict: what is wrong is refused in one line, before anything moves."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vla_runtime.errors import InvalidCheckpoint
from vla_runtime.models.openvla import shards
from vla_runtime.models.openvla.adapter import LoRAAdapter
from vla_runtime.models.openvla.checkpoint import load_model
from vla_runtime.models.openvla.configuration import OpenVLAConfiguration
from vla_runtime.models.openvla.model import OpenVLA
from vla_runtime.models.openvla.random_checkpoint import write_random_checkpoint

DATA = Path(__file__).parents[3] / "data" / "openvla"
KEY = "language_model.model.layers.0.mlp.up_proj.weight"


def meta_shapes(folder: Path) -> dict[str, list[int]]:
    with torch.device("meta"):
        model = OpenVLA(OpenVLAConfiguration.load(folder))
    return {name: list(parameter.shape) for name, parameter in model.named_parameters()}


def manifest(name: str) -> dict[str, list[int]]:
    tensors = json.loads((DATA / name).read_text())["tensors"]
    return {key: tensor["shape"] for key, tensor in tensors.items()}


def test_the_7b_has_exactly_the_released_names_and_shapes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((DATA / "openvla-7b.config.json").read_text())
    assert meta_shapes(tmp_path) == manifest("openvla-7b.manifest.json")


def test_v01_has_exactly_the_released_names_and_shapes(tmp_path: Path) -> None:
    config = json.loads((DATA / "openvla-7b.config.json").read_text())
    config |= {"timm_model_ids": ["vit_so400m_patch14_siglip_224"], "use_fused_vision_backbone": False}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert meta_shapes(tmp_path) == manifest("openvla-v01-7b.manifest.json")


def test_text_config_defaults_are_those_of_transformers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((DATA / "openvla-7b.config.json").read_text())
    settings = OpenVLAConfiguration.load(tmp_path)
    assert (settings.text.rms_norm_eps, settings.text.max_position_embeddings) == (1e-6, 2048)
    assert (settings.vocab_size, settings.text.vocab_size) == (32_000, 32_064)


def test_equal_weights_have_equal_checksums(tiny: Path, copied: Callable[[], Path]) -> None:
    other = copied()
    assert load_model(tiny).checksum == load_model(other).checksum
    weights = load_file(other / "model.safetensors")
    weights[KEY][0, 0] += 1
    save_file(weights, other / "model.safetensors")
    assert load_model(tiny).checksum != load_model(other).checksum


def test_shards_give_the_same_model_as_one_file(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 200_000)
    write_random_checkpoint(tmp_path / "sharded")
    assert len(list((tmp_path / "sharded").glob("model-*.safetensors"))) >= 3
    assert load_model(tiny).checksum == load_model(tmp_path / "sharded").checksum


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_tensor_arrives_in_its_dtype(tiny: Path, dtype: torch.dtype) -> None:
    model = load_model(tiny, dtype=dtype).model
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    assert not any(parameter.requires_grad for parameter in model.parameters())


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop(KEY), f"1 missing .{KEY}"),
        (lambda w: w.update(extra=torch.zeros(1)), "1 unexpected .extra"),
        (lambda w: w.update({KEY: w[KEY][:-1].clone()}), "has shape .127, 64., expected .128, 64."),
        (lambda w: w[KEY].fill_(float("nan")), "holds NaN or infinite numbers"),
        (lambda w: w.update({KEY: w[KEY].to(torch.int8)}), "is torch.int8, expected floating point"),
    ],
)
def test_wrong_weights_are_refused(copied: Callable[[], Path], change: Callable, said: str) -> None:
    folder = copied()
    change_weights(folder, change)
    with pytest.raises(InvalidCheckpoint, match=said):
        load_model(folder)


def test_a_truncated_file_is_refused(copied: Callable[[], Path]) -> None:
    file = copied() / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(InvalidCheckpoint, match="not a whole safetensors file"):
        load_model(file.parent)


def test_a_pickle_file_is_never_opened(copied: Callable[[], Path]) -> None:
    folder = copied()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        InvalidCheckpoint, match=r"found pytorch_model.bin, which is a pickle file and is never opened"
    ):
        load_model(folder)


def test_a_pickle_with_a_safetensors_name_is_refused(copied: Callable[[], Path]) -> None:
    folder = copied()
    torch.save({"a": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(InvalidCheckpoint, match="not a whole safetensors file"):
        load_model(folder)


def test_missing_and_misplaced_shards_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 200_000)
    folder = tmp_path / "sharded"
    write_random_checkpoint(folder)
    index_file = folder / "model.safetensors.index.json"
    index = json.loads(index_file.read_text())
    shard = next(
        file
        for file in sorted(folder.glob("model-*"))
        if file.name not in (index["weight_map"][KEY], index_file.name)
    )
    kept = shard.read_bytes()
    shard.unlink()
    with pytest.raises(InvalidCheckpoint, match=f"shard {shard.name} is missing"):
        load_model(folder)
    shard.write_bytes(kept)
    wrong = {**index["weight_map"], KEY: shard.name}
    index_file.write_text(json.dumps({"weight_map": wrong}))
    with pytest.raises(InvalidCheckpoint, match="is not where the index says"):
        load_model(folder)
    index_file.write_text(json.dumps({"weight_map": {KEY: "../../outside.safetensors"}}))
    with pytest.raises(InvalidCheckpoint, match="is missing"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text_config": {"model_type": "mistral"}}, "model_type 'mistral': expected 'llama'"),
        ({"text_config": {"model_type": "llama", "tie_word_embeddings": True}}, "tie_word_embeddings True"),
        ({"text_config": {"model_type": "llama", "num_attention_heads": 7}}, "expected whole heads"),
        ({"text_config": {"model_type": "llama", "head_dim": 99}}, "head_dim 99: expected 128"),
        (
            {"text_config": {"model_type": "llama", "rope_parameters": {"rope_type": "yarn"}}},
            "expected rope_type",
        ),
        ({"text_config": None}, "no text_config"),
        ({"use_fused_vision_backbone": False}, "2 towers do not fit a fused backbone: False"),
    ],
)
def test_configurations_that_we_do_not_compute_are_refused(
    copied: Callable[[], Path], change: dict, said: str
) -> None:
    folder = copied()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(InvalidCheckpoint, match=said):
        load_model(folder)


def test_an_unknown_tower_without_dimensions_is_refused(copied: Callable[[], Path]) -> None:
    folder = copied()
    (folder / "towers.json").unlink()
    with pytest.raises(InvalidCheckpoint, match="unknown vision tower 'random_dinov2'; known: vit_large"):
        load_model(folder)


def test_broken_json_and_missing_folders_are_refused(copied: Callable[[], Path], tmp_path: Path) -> None:
    folder = copied()
    (folder / "config.json").write_text("{")
    with pytest.raises(InvalidCheckpoint, match=r"config.json: not JSON"):
        load_model(folder)
    with pytest.raises(InvalidCheckpoint, match=r"config.json: No such file"):
        load_model(tmp_path / "absent")


# ------------------------------------------------------------------------------------------------------- adapters


def write_adapter(
    folder: Path, model: OpenVLA, targets: list[str], **settings: object
) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for target in targets:
        weight = model.get_submodule(target).weight
        assert isinstance(weight, torch.Tensor)
        spatial = weight.shape[2:]
        down = torch.randn(4, *weight.shape[1:], generator=generator)
        up = torch.randn(weight.shape[0], 4, *(1,) * len(spatial), generator=generator)
        tensors[f"base_model.model.{target}.lora_A.weight"] = down
        tensors[f"base_model.model.{target}.lora_B.weight"] = up
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 2, **settings}))
    return tensors


TARGETS = [
    "language_model.lm_head",
    "language_model.model.layers.1.self_attn.q_proj",
    "projector.fc2",
    "vision_backbone.featurizer.patch_embed.proj",
    "vision_backbone.fused_featurizer.blocks.0.attn.qkv",
]


def test_a_merged_adapter_adds_its_product(tiny: Path, tmp_path: Path) -> None:
    """Layers give what base plus adapter would give apart, the convolution too."""
    base = load_model(tiny, dtype=torch.float32).model
    tensors = write_adapter(tmp_path / "adapter", base, TARGETS)
    merged = load_model(tiny, dtype=torch.float32, adapter=tmp_path / "adapter").model
    for target in TARGETS:
        layer, ours = base.get_submodule(target), merged.get_submodule(target)
        down, up = (tensors[f"base_model.model.{target}.lora_{half}.weight"] for half in "AB")
        if isinstance(layer, torch.nn.Conv2d):
            given = torch.randn(1, 3, 56, 56)
            low = torch.nn.functional.conv2d(given, down, stride=layer.stride)  # type: ignore[arg-type]
            expected = layer(given) + 0.5 * torch.nn.functional.conv2d(low, up)
        else:
            given = torch.randn(2, down.shape[1])
            expected = layer(given) + 0.5 * given @ down.T @ up.T
        torch.testing.assert_close(ours(given), expected, rtol=1e-4, atol=1e-3)


def test_the_original_target_list_is_made_of_our_layers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((DATA / "openvla-7b.config.json").read_text())
    with torch.device("meta"):
        model = OpenVLA(OpenVLAConfiguration.load(tmp_path))
    layers = {
        name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)
    }
    targets = set(json.loads((DATA / "openvla-7b.lora.json").read_text())["targets"])
    assert len(targets) == 439
    assert targets <= layers


def test_broken_adapters_are_refused(tiny: Path, tmp_path: Path) -> None:
    model = load_model(tiny, dtype=torch.float32).model
    tensors = write_adapter(tmp_path / "adapter", model, TARGETS[:1])
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    (down_name, down), (up_name, up) = tensors.items()
    for broken, said in (
        ({down_name: down}, "1 missing"),
        ({down_name: down[:2].clone(), up_name: up}, "do not fit weight"),
        ({name.replace("lm_head", "tail"): tensor for name, tensor in tensors.items()}, "tail is no layer"),
    ):
        save_file(broken, file)
        with pytest.raises(InvalidCheckpoint, match=said):
            LoRAAdapter.load(tmp_path / "adapter").merge_into(model)
    save_file(tensors, file)
    (tmp_path / "adapter" / "adapter_config.json").write_text(
        json.dumps({"r": 4, "lora_alpha": 2, "use_dora": True})
    )
    with pytest.raises(InvalidCheckpoint, match="use_dora is not supported"):
        LoRAAdapter.load(tmp_path / "adapter").merge_into(model)
