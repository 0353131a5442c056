"""Doctor: what this machine and this installation can do, and what to do about the rest."""
