"""Model files of strangers: what unpacks to more than a network has is refused before it is unpacked."""

import json
import zipfile

import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import MOST_UNPACKED, load_model, read_card
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18


@pytest.mark.parametrize("member", ["bodyposenet.json", "config.json"])
def test_a_member_that_unpacks_to_more_than_a_network_has_is_refused(tmp_path, member):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("bodyposenet.json", "config.json", "model.weights.h5"):
            text = json.dumps(Card(BODYPOSENET_18).to_dict()) if name == "bodyposenet.json" else "{}"
            archive.writestr(name, text + " " * MOST_UNPACKED[member] if name == member else text)
    assert path.stat().st_size < 2**20
    for read in (read_card, load_model):
        with pytest.raises(UserError, match=rf"bomb\.keras: {member} in it unpacks to [\d,]+ bytes, more than that of"):
            read(path)
