"""The card of a network: what is written of it, and what older ones tell."""

import dataclasses
import json

import pytest

from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18

PLAIN = Card(BODYPOSENET_18)
TUNED = dataclasses.replace(
    PLAIN, decoding={"input_shape": [368, 368], "heatmap_threshold": 0.15}, trained_on={"ab" * 32: "one.jpg"}
)


def through_json(card):
    return Card.from_dict(json.loads(json.dumps(card.to_dict())))


def test_what_was_tuned_for_a_network_stays_in_its_card():
    assert through_json(TUNED) == TUNED
    assert through_json(TUNED) != PLAIN


@pytest.mark.parametrize("key", ["decoding", "trained_on"])
@pytest.mark.parametrize("told", [[["a", "b"]], "text", None, 3])
def test_what_is_no_mapping_is_refused_by_its_key(key, told):
    with pytest.raises(TypeError, match=f"the card's {key} is no mapping"):
        Card.from_dict(PLAIN.to_dict() | {key: told})


def test_a_card_says_nothing_of_what_was_not_set_and_reads_as_before():
    assert not {"decoding", "trained_on"} & set(PLAIN.to_dict())
    assert through_json(PLAIN) == PLAIN
    assert hash(TUNED) == hash(through_json(TUNED))
