"""Parsers: every kind of file and text that the project reads of others, with sound ones and what reads it.

A parser returns or raises a ``UserError``. The modules of ``formats/``, one a subject, have for each kind what makes
sound files, what reads them, and a line in ``PARSERS``. Files that belong together lie in one folder, of which one file
is changed at a time: the last in ``Parser.file``.
"""

from fuzzing.formats import (
    annotations,
    calibration,
    encryption,
    keras_files,
    leftovers,
    onnx_files,
    photos,
    pipelines,
    records,
    specs,
    texts,
)

_SUBJECTS = (
    specs,
    annotations,
    photos,
    records,
    keras_files,
    onnx_files,
    calibration,
    encryption,
    leftovers,
    texts,
    pipelines,
)
PARSERS = {parser.name: parser for subject in _SUBJECTS for parser in subject.PARSERS}
