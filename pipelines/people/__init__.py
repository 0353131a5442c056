"""The network that finds people in photos, and how it was made."""
