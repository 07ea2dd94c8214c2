"""What is trained, and what comes out: adapters, merged weights, a whole checkpoint that passes its self-test."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from scripts.merge_adapter import main as merge
from tests.vla_runtime.finetuning.training import RECIPE, session
from vla_runtime.errors import ConfigurationError, InvalidCheckpoint
from vla_runtime.finetuning.export import adapter_change, export_checkpoint
from vla_runtime.finetuning.parameters import lora_targets, trainable
from vla_runtime.finetuning.recipe import Recipe
from vla_runtime.finetuning.trainer import Plan
from vla_runtime.models.openvla import shards
from vla_runtime.models.openvla.checkpoint import load_model
from vla_runtime.models.openvla.configuration import OpenVLAConfiguration
from vla_runtime.models.openvla.model import OpenVLA
from vla_runtime.models.openvla.shards import tensor_names
from vla_runtime.policies.openvla import OpenVLAPolicy

DATA = Path(__file__).parents[2] / "data" / "openvla"
LORA = Recipe(**{**vars(RECIPE), "mode": "lora", "rank": 4})


@pytest.fixture(scope="module")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """A LoRA training of three steps, exported; and the model with its adapters."""
    folder = tmp_path_factory.mktemp("lora")
    shutil.copytree(tiny, folder / "tiny")
    made = session(folder, folder / "out", Plan(3, score_every=0), LORA)
    made.export_trained(made.trainer.train(), {"torch": "2.13"})
    return folder, made.trainer.model


def test_the_layers_are_the_originals(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((DATA / "openvla-7b.config.json").read_text())
    with torch.device("meta"):
        model = OpenVLA(OpenVLAConfiguration.load(tmp_path))
    golden = json.loads((DATA / "openvla-7b.lora.json").read_text())
    targets = lora_targets(model)
    assert sorted(targets) == sorted(golden["targets"])
    rank = golden["r"]
    counted = 0
    for target in targets:
        weight = model.get_parameter(f"{target}.weight")
        counted += rank * (weight[0].numel() + weight.shape[0])
    assert counted == golden["trainable_parameters"]
    assert (Recipe().rank, Recipe().alpha) == (rank, golden["lora_alpha"])
    assert not [name for name in lora_targets(model, freeze_vision=True) if "vision" in name]


def test_adapters_are_gaussian_seeded_and_change_nothing_at_first(tiny: Path) -> None:
    ids, pixels = torch.arange(3, 20)[None], torch.randn(1, 6, 56, 56)
    base = load_model(tiny, dtype=torch.float32).model
    wanted = base(ids, pixels).logits
    models = [
        trainable(load_model(tiny, dtype=torch.float32).model, Recipe(rank=8), seed) for seed in (0, 0, 1)
    ]
    first, again, other = (
        {name: p for name, p in model.named_parameters() if ".lora_A" in name} for model in models
    )
    assert torch.equal(models[0](ids, pixels).logits, wanted)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)
    spread = torch.cat([p.detach().flatten() for p in first.values()]).std()
    assert float(spread) == pytest.approx(1 / 8, rel=0.05)  # peft's gaussian: 1 / r


def test_nothing_that_never_runs_is_trained(tiny: Path) -> None:
    """What requires a gradient gets one, and what is frozen gets none."""
    for recipe in (RECIPE, LORA, Recipe(**{**vars(RECIPE), "freeze_vision": True})):
        model = trainable(load_model(tiny, dtype=torch.float32).model, recipe, 0)
        ids = torch.arange(3, 20)[None]
        loss = model(ids, torch.randn(1, 6, 56, 56), labels=ids).loss
        loss.backward()
        for name, parameter in model.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, name
        trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        assert any("lm_head" in name for name in trained)
        assert any("vision" in name for name in trained) != recipe.freeze_vision


def test_an_exported_training_is_a_checkpoint_that_passes_its_self_test(
    trained: tuple[Path, torch.nn.Module],
) -> None:
    folder, _ = trained
    policy = OpenVLAPolicy(str(folder / "out"))
    description = policy.describe()
    assert description["self_test"]["logits"] > 1e-5
    assert not description["random_weights"]
    assert description["unnorm_key"] == "memory"
    card = (folder / "out" / "README.md").read_text()
    for words in (
        "learning_rate | 0.003",
        "seed 0",
        "memory | 7 | 1.0 | 5.0",
        "policy.control_hz=5\n",
        "token accuracy",
        "torch | 2.13",
    ):
        assert words in card
    names = {file.name for file in (folder / "out").iterdir()}
    assert {"config.json", "towers.json", "tokenizer.json", "preprocessor_config.json"} <= names


def test_the_closed_loop_is_given_a_checkpoint_of_the_moment(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "tiny")
    sums = []

    def closed_loop(folder: Path, step: int) -> dict[str, float]:
        sums.append((step, load_model(folder).checksum))
        return {"success_rate": 0.5}

    made = session(tmp_path, tmp_path / "out", Plan(4, score_every=2), closed_loop=closed_loop)
    assert made.trainer.train()["closed_loop"] == {"success_rate": 0.5}
    assert [step for step, _ in sums] == [2, 4]
    assert len({checksum for _, checksum in sums}) == 2


def test_merged_weights_give_what_the_adapters_gave(trained: tuple[Path, torch.nn.Module]) -> None:
    """Up to the rounding of the base's bfloat16."""
    folder, model = trained
    ids, pixels = torch.arange(3, 20)[None], torch.randn(1, 6, 56, 56)
    with torch.inference_mode():
        wanted = model.eval()(ids, pixels).logits
        base = load_model(folder / "tiny", dtype=torch.float32).model(ids, pixels).logits
        merged = load_model(folder / "out", dtype=torch.float32).model(ids, pixels).logits
        adapter = folder / "out" / "training" / "adapter"
        loaded = load_model(folder / "tiny", dtype=torch.float32, adapter=adapter).model(ids, pixels).logits
    assert float((loaded - wanted).abs().max()) < 1e-4
    moved = float((base - wanted).abs().max())
    assert float((merged - wanted).abs().max()) < 0.1 * moved


def test_the_adapter_is_read_by_peft(trained: tuple[Path, torch.nn.Module]) -> None:
    from peft import PeftModel

    folder, model = trained
    base = load_model(folder / "tiny", dtype=torch.float32).model
    theirs = PeftModel.from_pretrained(base, str(folder / "out" / "training" / "adapter"))  # type: ignore[arg-type]
    ids, pixels = torch.arange(3, 20)[None], torch.randn(1, 6, 56, 56)
    with torch.inference_mode():
        torch.testing.assert_close(theirs(ids, pixels).logits, model.eval()(ids, pixels).logits)


def test_the_merge_command_gives_the_exported_weights_in_shards_too(
    trained: tuple[Path, torch.nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = trained
    monkeypatch.setattr(shards, "SHARD_BYTES", 300_000)
    out = tmp_path / "merged"
    adapter = folder / "out" / "training" / "adapter"
    given = [f"checkpoint={folder / 'tiny'}", f"adapter={adapter}", f"out={out}"]
    assert merge(given) == 0
    assert len(list(out.glob("model-*.safetensors"))) > 2
    assert load_model(out).checksum == load_model(folder / "out").checksum
    with pytest.raises(ConfigurationError, match="not empty"):
        merge(given)


def test_an_export_over_an_older_one_leaves_no_shard_of_it(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "model-00007.safetensors").write_text("old")
    (out / "keep.txt").write_text("mine")
    export_checkpoint(tiny, out, lambda name, tensor: tensor)
    assert load_model(out).checksum == load_model(tiny).checksum
    assert not (out / "model-00007.safetensors").exists()
    assert (out / "keep.txt").read_text() == "mine"


def test_a_broken_off_export_is_no_checkpoint(tiny: Path, tmp_path: Path) -> None:
    def fails(name: str, tensor: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_checkpoint(tiny, tmp_path / "out", fails)
    with pytest.raises(InvalidCheckpoint):
        load_model(tmp_path / "out")


def test_wrong_adapters_and_places_are_refused(
    trained: tuple[Path, torch.nn.Module], copied: Callable[[], Path]
) -> None:
    folder, _ = trained
    adapter = folder / "out" / "training" / "adapter"
    assert len(tensor_names(adapter / "adapter_model.safetensors")) == 2 * len(
        lora_targets(load_model(folder / "tiny").model)
    )
    with pytest.raises(InvalidCheckpoint, match="is no layer of this model"):
        adapter_change(DATA / "single_siglip", adapter)
    base = copied()
    with pytest.raises(InvalidCheckpoint, match="is the checkpoint itself"):
        export_checkpoint(base, base, lambda name, tensor: tensor)
    assert load_file(base / "model.safetensors")


def test_full_training_of_a_quantised_base_is_refused(tiny: Path) -> None:
    pytest.importorskip("torchao")
    from vla_runtime.models.openvla.quantization import quantize

    model = load_model(tiny).model
    quantize(model, "int8")
    with pytest.raises(ConfigurationError, match=r"recipe.mode=full: .* is quantised"):
        trainable(model, RECIPE, 0)
