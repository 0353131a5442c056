"""Importers: the people that every tool's export of the same photos is to give."""

import json

import pytest
from support.coco_files import JOINTS
from support.exports import coco, shots
from support.tool_files import people_in

from bodyposenet.common.data.annotations.coco import read_annotations


@pytest.fixture
def expected(tmp_path):
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(coco(shots())))
    return people_in(read_annotations(path, JOINTS))
