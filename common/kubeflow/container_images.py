"""Container images: what those are called that components run in."""

import os

from bodyposenet import __version__

REGISTRY = os.environ.get("BODYPOSENET_REGISTRY", "")
TRAIN_IMAGE = os.environ.get("BODYPOSENET_TRAIN_IMAGE", f"{REGISTRY}bodyposenet-train:{__version__}")
DEPLOY_IMAGE = os.environ.get("BODYPOSENET_DEPLOY_IMAGE", f"{REGISTRY}bodyposenet-deploy:{__version__}")
