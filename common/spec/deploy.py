"""Deploy spec: how a pipeline quantizes a network, and what it may lose by that."""

from bodyposenet.common.spec.base import Fraction, Name, Natural, Strict
from bodyposenet.common.spec.words import CalibrationMethod


class DeploySpec(Strict):
    """What quantization needs to know; the flags of ``bpnet export`` say the same.

    Attributes:
        calibration_images (photos): Training photos that quantization looks at, chosen to stand for the set.
        method: How ranges are cut.
        keep_float: Names or patterns of convolutions that stay in float; ``auto`` alone takes the fewest that the
            greatest drop asks for.
        max_int8_drop (AP): Greatest loss by quantization with which a network is still registered.
    """

    calibration_images: Natural = 100
    method: CalibrationMethod = "entropy"
    keep_float: tuple[Name, ...] = ("auto",)
    max_int8_drop: Fraction = 0.02
