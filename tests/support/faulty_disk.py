"""A faulty disk: what the kernel answers when one file of it is asked for, or any of a folder."""

import builtins
import os


def fail_reading(monkeypatch, path, code, *, when="read"):
    """Let reading a file, or all files of a folder, fail with an error number; all others are read as ever.

    Args:
        monkeypatch: pytest's.
        path: The file; or a folder, which itself still lists.
        code: Of ``errno``.
        when: ``stat`` fails when the file is looked at or opened, ``open`` when it is opened, ``read`` when its bytes
            are asked for.
    """
    disk = _Disk(os.path.abspath(path), code, when)
    monkeypatch.setattr(builtins, "open", disk.open)
    monkeypatch.setattr(os, "stat", disk.stat)
    monkeypatch.setattr(os, "scandir", disk.scandir)


class _Disk:
    def __init__(self, path, code, when):
        self.path, self.code, self.when, self.is_folder = path, code, when, os.path.isdir(path)
        self.calls = builtins.open, os.stat, os.scandir

    def fail(self, name, *steps):
        """Fail in one of these steps, if it is this file's turn."""
        if self.when in steps and self.means(name):
            raise OSError(self.code, os.strerror(self.code), str(name))

    def means(self, name):
        """Whether a name is the file's, or that of one in the folder."""
        asked = os.path.abspath(name) if isinstance(name, str | os.PathLike) else ""
        return asked.startswith(f"{self.path}{os.sep}") or (asked == self.path and not self.is_folder)

    def open(self, name, *args, **options):
        self.fail(name, "stat", "open")
        file = self.calls[0](name, *args, **options)
        return _Broken(file, self) if self.means(name) else file

    def stat(self, name, *args, **options):
        self.fail(name, "stat")
        return self.calls[1](name, *args, **options)

    def scandir(self, folder="."):
        return _Entries(self.calls[2](folder), self)


class _Broken:
    """A file whose bytes the disk does not give."""

    def __init__(self, file, disk):
        self.file, self.disk = file, disk

    def __enter__(self):
        return self

    def __exit__(self, *about):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def read(self, *sizes):
        raise OSError(self.disk.code, os.strerror(self.disk.code))  # as of a descriptor: without a name


class _Entries:
    """What is in a folder."""

    def __init__(self, entries, disk):
        self.entries, self.disk = entries, disk

    def __enter__(self):
        return self

    def __exit__(self, *about):
        self.entries.close()

    def __iter__(self):
        return self

    def __next__(self):
        return _Entry(next(self.entries), self.disk)


class _Entry:
    def __init__(self, entry, disk):
        self.entry, self.disk = entry, disk

    def __getattr__(self, name):
        return getattr(self.entry, name)

    def stat(self, **options):
        self.disk.fail(self.entry.path, "stat")
        return self.entry.stat(**options)
