"""Zip archives in memory."""

import zipfile
from io import BytesIO


def packed(files, method=zipfile.ZIP_DEFLATED):
    made = BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


class _Named(zipfile.ZipInfo):
    """A packed file whose name is written byte by byte, without the flag for UTF-8."""

    name = b""

    def _encodeFilenameFlags(self):  # noqa: N802 - the library's
        return self.name, self.flag_bits & ~0x800


def packed_plainly(files):
    """Pack files whose names are bytes, as programs of other systems write them."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number, (name, content) in enumerate(files.items()):
            info = _Named(f"{number}")
            info.name = name
            archive.writestr(info, content)
    return made.getvalue()
