"""episode.mp4: what the cameras saw, with the instruction, the step, the verdict and the gripper drawn below."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, final

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vla_runtime.errors import RecordingFailed
from vla_runtime.types import EpisodeEnd, Observation, StepRecord, Verdict

FILE_NAME = "episode.mp4"
VIEW_HEIGHT = 448  # [px] of each camera's picture in the video
CAPTION_HEIGHT = 104  # [px]
LAST_FRAME_S = 1.5  # [s] for which the outcome stays on screen
BACKGROUND, TEXT, FAINT = (24, 26, 31), (238, 238, 238), (150, 156, 166)
COLOURS = {
    Verdict.PASS: (70, 190, 110),
    Verdict.CLAMP: (235, 190, 60),
    Verdict.HOLD: (240, 130, 50),
    Verdict.STOP: (225, 60, 60),
}


@final
class VideoRecorder:
    """Encodes H.264 as the episode goes on."""

    def __init__(self, folder: Path, control_hz: float) -> None:
        """Args: folder: an existing folder; control_hz: one frame per action [Hz]."""
        self._path = folder / FILE_NAME
        self._rate = Fraction(control_hz).limit_denominator(1000)
        self._instruction = ""
        self._container: Any = None
        self._stream: Any = None
        self._last_gripper = 1.0

    def begin(self, instruction: str, seed: int) -> None:
        """Open the file."""
        self._instruction = instruction
        try:
            self._container = av.open(str(self._path), "w")
        except OSError as error:
            raise RecordingFailed(f"{self._path}: {error.strerror}") from error

    def record(self, step: StepRecord) -> None:
        """Add a frame: what the policy saw and what came of it."""
        verdict = step.judgement.verdict
        if step.executed is not None:
            self._last_gripper = step.executed.values[-1]
        reasons = "; ".join(f"{why.guard}: {why.reason}" for why in step.judgement.interventions)
        self._add(step.observation, verdict.name, COLOURS[verdict], reasons)

    def finish(self, end: EpisodeEnd, observation: Observation, outcome: Mapping[str, Any]) -> None:
        """Show the outcome for a moment, and close the file."""
        success = bool(outcome.get("success_at_end"))
        colour = COLOURS[Verdict.PASS] if success else COLOURS[Verdict.STOP]
        note = "" if success else f"stage: {outcome.get('stage')}; {end.reason}"
        for _ in range(max(1, round(LAST_FRAME_S * self._rate))):
            self._add(observation, "SUCCESS" if success else "NO SUCCESS", colour, note)
        if self._stream is not None:
            self._container.mux(self._stream.encode())
        self._close()

    def abandon(self) -> None:
        """Close the file; its folder goes as a whole."""
        self._close()

    def _add(self, observation: Observation, verdict: str, colour: tuple[int, int, int], note: str) -> None:
        picture = self._draw(observation, verdict, colour, note)
        if picture is None:
            return
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._rate)
            self._stream.width, self._stream.height = picture.width, picture.height
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": "20", "preset": "veryfast"}
        self._container.mux(self._stream.encode(av.VideoFrame.from_image(picture)))

    def _draw(
        self, observation: Observation, verdict: str, colour: tuple[int, int, int], note: str
    ) -> Image.Image | None:
        views = [_view(image) for image in observation.images.values()]
        if not views:
            return None
        width = sum(view.width for view in views)
        picture = Image.new("RGB", (width, VIEW_HEIGHT + CAPTION_HEIGHT), BACKGROUND)
        left = 0
        for view in views:
            picture.paste(view, (left, 0))
            left += view.width
        self._caption(ImageDraw.Draw(picture), observation, verdict, colour, note, width)
        return picture

    def _caption(
        self,
        draw: ImageDraw.ImageDraw,
        observation: Observation,
        verdict: str,
        colour: tuple[int, int, int],
        note: str,
        width: int,
    ) -> None:
        top = VIEW_HEIGHT
        large, small = ImageFont.load_default(18), ImageFont.load_default(14)
        draw.text((12, top + 10), _fitting(self._instruction, large, width - 24), TEXT, large)
        time_s = observation.step / float(self._rate)
        draw.text((12, top + 44), f"step {observation.step}   {time_s:.1f} s", FAINT, small)
        draw.rounded_rectangle((150, top + 42, 150 + 110, top + 62), 5, fill=colour)
        draw.text((150 + 55, top + 52), verdict, BACKGROUND, small, anchor="mm")
        felt = observation.proprioception
        opening = felt.gripper_opening if felt else self._last_gripper
        draw.text((278, top + 44), "gripper", FAINT, small)
        draw.rectangle((334, top + 45, 334 + 96, top + 59), outline=FAINT)
        draw.rectangle((334, top + 45, 334 + round(96 * min(max(opening, 0.0), 1.0)), top + 59), fill=TEXT)
        wanted = 334 + round(96 * min(max(self._last_gripper, 0.0), 1.0))
        draw.line((wanted, top + 41, wanted, top + 63), COLOURS[Verdict.CLAMP], 2)
        draw.text((12, top + 74), _fitting(note, small, width - 24), colour, small)

    def _close(self) -> None:
        container, self._container, self._stream = self._container, None, None
        if container is not None:
            container.close()


def _view(image: np.ndarray) -> Image.Image:
    """A camera image at the video's height, its width even as the codec wants."""
    height, width = image.shape[:2]
    wide = 2 * round(width * VIEW_HEIGHT / height / 2)
    return Image.fromarray(image).resize((wide, VIEW_HEIGHT), Image.Resampling.BICUBIC)


def _fitting(text: str, font: Any, width: int) -> str:
    """The text, cut with an ellipsis where it is too long for a width [px]."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
