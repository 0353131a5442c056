"""Video: frames a second of ``bpnet inference clip.mp4`` over the bare network's, and who is told apart in one."""

import contextlib
import io
import logging
import math
import os
import tempfile
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from benchmarks.drawn_walk import follow_walk
from benchmarks.throughput import run_alone
from benchmarks.walkers import draw_walk, score_at_most, score_identities
from bodyposenet.common.imaging.fit import fit_photo, normalise
from bodyposenet.common.imaging.photo import DecodedPhoto
from bodyposenet.common.inference.detector import open_model
from bodyposenet.common.inference.inputs import NamedVideo
from bodyposenet.common.inference.videos import watch_videos
from bodyposenet.common.model.files.bundled import weights_path
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.video.clip import open_clip
from bodyposenet.common.video.watch import Watch

SIZE = (720, 1280)
FRAMES = int(os.environ.get("BODYPOSENET_BENCH_FRAMES", "150"))
ROUNDS = 3
A_PHOTO = 15  # frames that go over each photo
WAYS = {"video_rate": {}, "video_rate_save": {"save": True}, "video_rate_smooth": {"how": Watch(smooth=True)}}
ROWS = {
    "video_rate": (
        "frames a second of `inference clip.mp4`, 720p, over those of the bare network; two threads",
        "≥ 0.80",
    ),
    "video_rate_smooth": ("the same with `--smooth`", "≥ 0.80"),
    "video_rate_save": ("the same with `--save`: drawn and encoded, too", ""),
    "video_identities": (
        "IDF1 of `inference walk.avi` with `pretrained:drawn_people`: 300 frames, 6 drawn people who cross ten times, "
        "hidden for up to 15 frames",
        "≥ 0.90",
    ),
    "video_identities_most": ("the same if what that network finds were numbered without a mistake", ""),
}


def measure() -> dict[str, float]:
    """All of ``ROWS``, by the best times of a few rounds, in turn: a disturbed one would flatter a difference."""
    logging.disable(logging.WARNING)
    sample = Path(os.environ["BODYPOSENET_TEST_DATA"]).resolve() / "coco_sample"
    network = weights_path("pretrained:people").with_suffix(".onnx")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = [write_tour(sample, folder / f"{count}.mp4", count) for count in (FRAMES, 2 * FRAMES)]
        inputs = make_inputs(network, clips[0])
        alone, seconds = 0.0, {(way, clip): math.inf for way in WAYS for clip in clips}
        for _ in range(ROUNDS):
            alone = max(alone, run_alone(network, inputs))
            for way, clip in seconds:
                seconds[way, clip] = min(seconds[way, clip], time_clip(network, clip, folder, **WAYS[way]))
            rates = {way: FRAMES / (seconds[way, clips[1]] - seconds[way, clips[0]]) for way in WAYS}
            print({key: round(rate, 1) for key, rate in (rates | {"alone": alone}).items()}, flush=True)
        told = follow_walk(draw_walk(), folder)
    found = {way: rate / alone for way, rate in rates.items()}
    return found | {"video_identities": score_identities(*told), "video_identities_most": score_at_most(told[0])}


def write_tour(sample: Path, path: Path, count: int) -> Path:
    """A video that goes over the sample's photos, each a little."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 30, SIZE[::-1])
    photos = sorted((sample / "images").iterdir())
    for number in range(count):
        photo = cv2.imread(str(photos[number // A_PHOTO % len(photos)]))
        scale = 1.1 * max(SIZE[0] / photo.shape[0], SIZE[1] / photo.shape[1])
        room = np.array(photo.shape[1::-1]) * scale - SIZE[::-1]
        shift = -room * (number % A_PHOTO) / A_PHOTO
        writer.write(cv2.warpAffine(photo, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), SIZE[::-1]))
    writer.release()
    return path


def make_inputs(network: Path, clip: Path) -> list[np.ndarray]:
    """What the network is given of the frames."""
    runner, spec = open_model(network, InferenceSpec(runner="exact"))
    inputs = []
    with open_clip(str(clip)) as frames:
        for frame in islice(frames.read(), FRAMES):
            photo = DecodedPhoto.whole(cv2.cvtColor(frame.pixels, cv2.COLOR_BGR2RGB))
            fitted = fit_photo(photo, spec.input_shape, spec.keep_aspect_ratio_mode, runner.card.stride)
            inputs.append(normalise(fitted.image, runner.card)[None])
    return inputs


def time_clip(network: Path, clip: Path, folder: Path, *, how: Watch | None = None, save: bool = False) -> float:
    """Seconds of the verb on a video."""
    begun = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        watch_videos(
            network, InferenceSpec(runner="exact"), [NamedVideo(str(clip), "tour")], folder / "out", how or Watch(),
            save=save, progress=False,
        )  # fmt: skip
    return time.perf_counter() - begun
