"""Frame people: what was found in a frame of a video, and by which number each person goes."""

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from bodyposenet.common.bounds import VIDEO_BYTES
from bodyposenet.common.inference.many import look_at_all
from bodyposenet.common.inference.photo_people import PhotoPeople
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.video.clip import Clip, Frame
from bodyposenet.common.video.identities import Identities
from bodyposenet.common.video.labels import draw_numbers
from bodyposenet.common.video.smoothing import Smoother
from bodyposenet.common.video.watch import Watch

Look = Callable[[np.ndarray, str], PhotoPeople]


@dataclass(frozen=True, eq=False)
class FramePeople(PhotoPeople):
    """The people of a frame: what :class:`PhotoPeople` is of a photo, and when it was.

    Attributes:
        number: The frame in its video, from 0, those that were passed over counted, too.
        time: Its seconds from the first frame.
        ids: A number for each person, in their order, by which they go in the whole video; none if nobody was followed.
    """

    number: int = 0
    time: float = 0.0
    ids: tuple[int, ...] = ()

    def to_line(self) -> str:
        """The frame as a line of JSON: ``frame``, ``time`` and ``people`` with ``id``, ``score`` and ``joints``."""
        numbers = [{"id": number} for number in self.ids] or [{}] * len(self)
        people: list[dict[str, Any]] = [
            number | {"score": round(person.score, 4), "joints": {
                joint.name: [round(joint.x, 2), round(joint.y, 2), round(joint.score, 4)]
                for joint in person.joints.values()
            }}
            for number, person in zip(numbers, self, strict=True)
        ]  # fmt: skip
        return json.dumps({"frame": self.number, "time": round(self.time, 4), "people": people})

    def draw(self) -> np.ndarray:
        """Draw the people on the frame, with their numbers.

        Returns:
            ``(H, W, 3)`` uint8, RGB.
        """
        return draw_numbers(super().draw(), self.found, self.ids)


def watch(clip: Clip, how: Watch, skeleton: Skeleton, look: Look) -> Generator[FramePeople]:
    """Find the people in a video's frames: several at once, as photos are, and one after another who is who.

    Args:
        clip: The video.
        how: Which frames, and what of the people.
        skeleton: Their joints.
        look: Finds the people in ``(H, W, 3)`` RGB uint8, of which a text says what it is; from several threads.

    Yields:
        The people of each frame, in the frames' order.

    Raises:
        UserError: The video cannot be used.
    """
    identities, smoother = Identities(skeleton), Smoother()

    def find(frame: Frame) -> tuple[int, float, PhotoPeople]:
        pixels = cv2.cvtColor(frame.pixels, cv2.COLOR_BGR2RGB)
        return frame.number, frame.time, look(pixels, f"{clip.name}: frame {frame.number}")

    frames = clip.read(how.fps, how.max_frames)
    for number, seconds, each in look_at_all(frames, find, most=lambda: _count_at_once(clip.pixels)):
        people, ids = each.found, identities.follow(each.found, seconds) if how.track else ()
        if how.smooth:
            people = smoother.smooth(people, ids, seconds)
            smoother.forget(identities.expected)
        yield FramePeople(
            each.name, each.size, each.skeleton, people, photo=each.photo, number=number, time=seconds, ids=ids
        )


def _count_at_once(pixels: int) -> int:
    """How many frames of so many pixels there may be at once, the one that was given last aside.

    Each takes its bytes twice while it is looked at, as it was decoded and as RGB; the one that was given once.
    """
    fit = VIDEO_BYTES // (3 * pixels)
    return max(1, (fit - 1) // 2)
