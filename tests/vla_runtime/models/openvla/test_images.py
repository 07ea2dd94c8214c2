"""Pixel values equal to the original's, stage by stage. Tolerance of each path: 0, but for lanczos3 (see there)."""

from pathlib import Path

import numpy as np
import pytest

from vla_runtime.errors import ConfigurationError, InvalidCheckpoint
from vla_runtime.models.openvla.images import (
    EvaluationPath,
    ImagePreprocessing,
    Strategy,
    centre_crop,
    jpeg_round_trip,
    lanczos3,
)

DATA = Path(__file__).parents[3] / "data" / "openvla" / "images"
INPUTS = np.load(DATA / "inputs.npz")
PIXELS = np.load(DATA / "pixel_values_42.npz")
RESIZED = np.load(DATA / "resized_uint8_224.npz")
EVALUATION = np.load(DATA / "evaluation.npz")
DINO, SIGLIP = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((0.5,) * 3, (0.5,) * 3)


def preprocessing(strategy: Strategy, size: int, *, single: bool = False) -> ImagePreprocessing:
    towers = (DINO,) if single else (DINO, SIGLIP)
    return ImagePreprocessing(strategy, size, tuple(t[0] for t in towers), tuple(t[1] for t in towers))


@pytest.mark.parametrize("case", PIXELS.files)
def test_pixel_values_are_bit_identical(case: str) -> None:
    *kind, strategy, _, image = case.split("/")
    ours = preprocessing(strategy, 42, single=bool(kind)).pixel_values(INPUTS[image])  # type: ignore[arg-type]
    np.testing.assert_array_equal(ours[0].numpy(), PIXELS[case])


@pytest.mark.parametrize("case", RESIZED.files)
def test_resized_pictures_are_identical(case: str) -> None:
    strategy, _, image = case.split("/")
    np.testing.assert_array_equal(preprocessing(strategy, 224).resized(INPUTS[image]), RESIZED[case])  # type: ignore[arg-type]


@pytest.mark.parametrize("image", ["img0", "img1"])
def test_the_jpeg_step_is_identical(image: str) -> None:
    np.testing.assert_array_equal(
        jpeg_round_trip(EVALUATION[f"{image}/raw"]), EVALUATION[f"{image}/jpeg_roundtrip"]
    )


@pytest.mark.parametrize("image", ["img0", "img1"])
def test_lanczos_is_within_one_level_on_one_value_in_ten_thousand(image: str) -> None:
    ours = lanczos3(EVALUATION[f"{image}/jpeg_roundtrip"], 224).astype(int)
    difference = np.abs(ours - EVALUATION[f"{image}/lanczos_224"])
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-4


@pytest.mark.parametrize("image", ["img0", "img1"])
def test_the_centre_crop_is_identical(image: str) -> None:
    np.testing.assert_array_equal(
        centre_crop(EVALUATION[f"{image}/lanczos_224"]), EVALUATION[f"{image}/center_crop_224"]
    )


def test_the_evaluation_path_is_its_stages_in_order() -> None:
    raw = EVALUATION["img0/raw"]
    path = EvaluationPath(224, centre_crop=True)
    np.testing.assert_array_equal(path.apply(raw), centre_crop(lanczos3(jpeg_round_trip(raw), 224)))
    np.testing.assert_array_equal(EvaluationPath(224, jpeg=False).apply(raw), lanczos3(raw, 224))


def test_a_missing_jpeg_package_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vla_runtime.models.openvla.images.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"simplejpeg.*or jpeg=false"):
        EvaluationPath()
    assert EvaluationPath(jpeg=False).jpeg is False


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image_resize_strategy": "stretch"}, "known: resize-naive, letterbox, resize-crop"),
        ({"input_sizes": [[3, 224, 224], [3, 384, 384]]}, "expected one input size"),
        ({"interpolations": ["bilinear"]}, "bicubic"),
        ({"input_sizes": [[3, 224, 200]]}, "224 x 200; expected a square"),
        ({"means": None}, "no means"),
    ],
)
def test_other_preprocessing_is_refused(change: dict, said: str) -> None:
    entry = {
        "image_resize_strategy": "resize-naive",
        "input_sizes": [[3, 224, 224]] * 2,
        "interpolations": ["bicubic"] * 2,
        "means": [DINO[0], SIGLIP[0]],
        "stds": [DINO[1], SIGLIP[1]],
    }
    changed = {key: value for key, value in {**entry, **change}.items() if value is not None}
    with pytest.raises(InvalidCheckpoint, match=said):
        ImagePreprocessing.from_mapping(changed, "preprocessor_config.json")
