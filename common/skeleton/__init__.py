"""Skeleton: joints, limbs and how they mirror."""
