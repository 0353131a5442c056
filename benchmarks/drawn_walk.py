"""Drawn walk: the walkers as a video of drawn people, and by which numbers ``bpnet inference`` tells them apart."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.walkers import Walk
from bodyposenet.common.cli.main import main
from bodyposenet.common.data.synthetic.figures import Figure, draw, dress
from bodyposenet.common.data.synthetic.scenes import draw_background
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17

NETWORK = "pretrained:drawn_people"
SIZE = (320, 704)  # of the video: height, width
CORNER, SHRINK = np.array([-16.0, 30.0]), 0.5  # where the video's first pixel lies in the walk, and its pixels of it
TALL = 0.91  # of a figure's height, from its eyes to its ankles
RATE = 30
COCO_JOINTS = [BODYPOSENET_18.joints.index(name) for name in COCO_17.joints]


def follow_walk(walk: Walk, folder: Path) -> tuple[Walk, list[tuple[int, ...]]]:
    """Draw a walk, and run the verb on it: the walk in the video's pixels with the people found, and their numbers."""
    truth = (walk.truth + 0.5 - CORNER) * SHRINK - 0.5
    clip = write_walk(replace(walk, truth=truth), folder / "walk.avi")
    main(["inference", str(clip), "-m", NETWORK, "-r", str(folder / "found")], standalone_mode=False)
    found, numbers = read_lines(folder / "found/walk.people.jsonl")
    return replace(walk, truth=truth, frames=found), numbers


def write_walk(walk: Walk, path: Path) -> Path:
    """Write a walk, in pixels of the video, as Motion JPEG."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), RATE, SIZE[::-1])
    for image in draw_pictures(walk):
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def draw_pictures(walk: Walk) -> Iterator[np.ndarray]:
    """Draw frame after frame, RGB: whoever comes first walks in front; who is hidden is not drawn."""
    background = draw_background(np.random.default_rng(0), SIZE)
    for joints, seen in zip(walk.truth, walk.seen, strict=True):
        image = background.copy()
        for person in reversed(np.flatnonzero(seen)):
            figure = make_figure(joints[person], int(person))
            draw(figure.shapes, image, np.zeros(SIZE, np.uint8), 1)
        yield image


def make_figure(joints: np.ndarray, person: int) -> Figure:
    """A person with joints ``(18, 2)`` in pixels, dressed alike in all frames."""
    height = np.ptp(joints[:, 1]) / TALL
    placed = joints[COCO_JOINTS]
    shapes = dress(placed / height, 0.0, np.random.default_rng(person))
    return Figure(placed / height, np.ones(len(placed), bool), shapes).moved(height, np.zeros(2))


def read_lines(path: Path) -> tuple[list[People], list[tuple[int, ...]]]:
    """Read the verb's lines: the people of each frame, and their numbers."""
    frames, numbers = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        people = json.loads(line)["people"]
        keypoints = np.zeros((len(people), 18, 3), np.float32)
        for person, row in zip(people, keypoints, strict=True):
            for name, joint in person["joints"].items():
                row[BODYPOSENET_18.joints.index(name)] = joint
        frames.append(People(keypoints, np.array([person["score"] for person in people], np.float32)))
        numbers.append(tuple(person["id"] for person in people))
    return frames, numbers
