"""Clips: video files of images, and a camera that gives what a test wants."""

import signal

import cv2
import numpy as np

RATE = 10


def write_clip(path, images, code="MJPG", rate=RATE):
    """Write images ``(H, W, 3)``, BGR, as a video."""
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), rate, (width, height))
    assert writer.isOpened()
    for image in images:
        writer.write(image)
    writer.release()
    return path


class Camera:
    """A camera that goes on until somebody presses Ctrl-C, in place of OpenCV's.

    Args:
        image: What it sees.
        frames: After so many the keys are pressed.
    """

    def __init__(self, image, frames):
        self.image, self.left = image, frames

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return True

    def get(self, name):
        return {cv2.CAP_PROP_FPS: 30.0, cv2.CAP_PROP_FRAME_HEIGHT: 256.0, cv2.CAP_PROP_FRAME_WIDTH: 256.0}.get(
            name, -1.0
        )

    def grab(self):
        self.left -= 1
        if self.left < 0:
            signal.raise_signal(signal.SIGINT)
            raise KeyboardInterrupt  # a job in the background of a shell is deaf to the signal
        return True

    def retrieve(self):
        return True, np.array(self.image)

    def release(self):
        pass
