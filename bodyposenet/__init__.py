"""BodyPoseNet: multi-person 2D pose estimation as a library, a command line and Kubeflow components."""

from bodyposenet.common.machine.telemetry import silence_telemetry

__version__ = "0.1.0"

silence_telemetry()  # here, so that no part of the package can import one of those libraries before
