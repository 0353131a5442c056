"""Watch: which frames of a video are looked at, and what is made of the people in them."""

from dataclasses import dataclass

from bodyposenet.common.errors import UserError


@dataclass(frozen=True)
class Watch:
    """How a video is looked at.

    Attributes:
        fps: Frames a second that are looked at, at most; None looks at all.
        max_frames: How many are looked at in all; None goes on to the end.
        track: Number the people, the same person by the same number in each frame.
        smooth: Steady their joints, for which they must be numbered.
    """

    fps: float | None = None
    max_frames: int | None = None
    track: bool = True
    smooth: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            UserError: A number is not above 0, or joints are to be smoothed of people who are not numbered.
        """
        for name in ("fps", "max_frames"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UserError(f"{value} is not above 0", where=name, fix="give a number of frames, or leave it out")
        if self.smooth and not self.track:
            raise UserError(
                "joints are smoothed from frame to frame person by person", where="smooth", fix="track them"
            )
