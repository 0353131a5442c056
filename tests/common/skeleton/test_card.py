"""The card of a network: what is written of it, and what older ones tell."""

import dataclasses
import json

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


def test_a_card_says_nothing_of_what_was_not_set_and_reads_as_before():
    assert not {"decoding", "trained_on"} & set(PLAIN.to_dict())
    assert through_json(PLAIN) == PLAIN
    assert hash(TUNED) == hash(through_json(TUNED))
