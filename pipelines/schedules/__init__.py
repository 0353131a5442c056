"""Schedules: recurring runs declared in files and made true on a server."""
