"""BodyPoseNet: multi-person 2D pose estimation as a library, a command line and Kubeflow components."""

__version__ = "0.1.0"
