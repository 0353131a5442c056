"""Fault: a sentence that stands in a document in place of keypoints that cannot be told."""


class Fault(str):
    """Why a person's keypoints cannot be used, for the check of the annotations to tell; no numbers, so it is found.

    Attributes:
        fix: What to do about it.
    """

    __slots__ = ()
    fix = "put each keypoint into the box of its person in Label Studio, once, and export again"
