"""What a report says of photos that the start weights had been trained on."""

from dataclasses import replace

import pytest

from bodyposenet.common.data.photo_set import TEST_IMAGES
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.storage.digests import digest_bytes
from bodyposenet.common.tasks.pages import describe_seen

CONTENTS = [b"one", b"two", b"three"]


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / TEST_IMAGES
    folder.mkdir(parents=True)
    for number, content in enumerate(CONTENTS):
        (folder / f"{number}.jpg").write_bytes(content)
    return tmp_path


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ([b"two", b"elsewhere"], "trained on 1 of the 3 photos of this evaluation: this AP is no measure."),
        ([b"elsewhere"], "trained on none of the 3 photos of this evaluation."),
    ],
)
def test_held_out_photos_that_the_start_weights_knew_are_counted_whatever_their_names(dataset, seen, told):
    card = Card(BODYPOSENET_18, trained_on={digest_bytes(content): "other.jpg" for content in seen})
    assert describe_seen(card, dataset) == f"The start weights had been {told}"


def test_nothing_is_said_where_nobody_knows(dataset):
    assert describe_seen(replace(Card(BODYPOSENET_18), made_from="theirs"), dataset) == ""
