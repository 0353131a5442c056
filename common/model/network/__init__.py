"""Network: backbones, the pose network on them, its losses and its cost."""
