"""Machine: what this processor can do, and where what was measured on it is kept."""
