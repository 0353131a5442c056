"""Names: which texts name a video or a camera."""

import os
import re

SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm")
VIDEOS = "MP4, MOV, AVI, MKV or WebM"
CAMERA = "camera:"


def is_video(text: str) -> bool:
    """Tell a video, or a camera, by its name."""
    return is_camera(text) or os.path.splitext(text)[1].lower() in SUFFIXES


def is_camera(text: str) -> bool:
    """Tell a camera: ``camera:N``, N counting the machine's cameras from 0."""
    return re.fullmatch(rf"{CAMERA}[0-9]{{1,3}}", text) is not None
