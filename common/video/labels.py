"""Labels: people's numbers, drawn on a frame."""

from collections.abc import Sequence

import cv2
import numpy as np

from bodyposenet.common.pose.people import People

COLOURS = (  # RGB, told apart by most eyes: Okabe and Ito 2008, without black
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip
FONT = cv2.FONT_HERSHEY_SIMPLEX
HIGH = 22  # pixels that OpenCV's font is high at a scale of 1
DARK, LIGHT = (20, 20, 24), (255, 255, 255)


def draw_numbers(image: np.ndarray, people: People, numbers: Sequence[int]) -> np.ndarray:
    """Write each person's number above their highest joint, on a field of a colour that goes with it.

    Args:
        image: ``(H, W, 3)`` RGB uint8; it is drawn on.
        people: In its pixels.
        numbers: One for each of them, or none at all.

    Returns:
        The image.
    """
    height = float(np.clip(image.shape[0] / 40, 10, 40))
    scale, weight = height / HIGH, max(1, round(height / 11))
    for keypoints, number in zip(people.keypoints, numbers, strict=False):
        placed = keypoints[keypoints[:, 2] > 0, :2]
        if len(placed):
            colour = COLOURS[number % len(COLOURS)]
            (width, _), _ = cv2.getTextSize(str(number), FONT, scale, weight)
            border = round(height / 3)
            x, y = placed[placed[:, 1].argmin()]
            left, bottom = round(float(x) - width / 2), round(float(y) - 1.2 * height)
            left = int(np.clip(left, border, max(border, image.shape[1] - width - border)))
            bottom = int(np.clip(bottom, height + border, max(height + border, image.shape[0] - border)))
            corner = left - border, round(bottom - height - border)
            cv2.rectangle(image, corner, (left + width + border, bottom + border), colour, cv2.FILLED)
            ink = LIGHT if np.dot(colour, (0.299, 0.587, 0.114)) < 110 else DARK
            cv2.putText(image, str(number), (left, bottom), FONT, scale, ink, weight, cv2.LINE_AA)
    return image
