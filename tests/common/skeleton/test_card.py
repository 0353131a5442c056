"""The card of a network: what is written of it, and what older ones tell."""

import contextlib
import copy
import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    with pytest.raises(ValueError, match=f"the card's {key} is no mapping"):
        Card.from_dict(PLAIN.to_dict() | {key: told})


def test_a_card_says_nothing_of_what_was_not_set_and_reads_as_before():
    assert not {"decoding", "trained_on"} & set(PLAIN.to_dict())
    assert through_json(PLAIN) == PLAIN
    assert hash(TUNED) == hash(through_json(TUNED))


KNOWN = Card(BODYPOSENET_18).to_dict()
PLACES = [(key,) for key in KNOWN] + [("skeleton", key) for key in KNOWN["skeleton"]]
STRANGE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just(10**400), st.just(float("inf")),
    st.lists(st.integers(-3, 40) | st.text(max_size=2) | st.floats(), max_size=4),
    st.lists(st.lists(st.integers(-3, 40), max_size=3), max_size=4), st.dictionaries(st.text(max_size=3), st.none()),
)  # fmt: skip


@settings(max_examples=400)
@given(place=st.sampled_from(PLACES), value=STRANGE, gone=st.booleans())
def test_a_card_of_a_stranger_is_a_card_or_is_told(place, value, gone):
    data = copy.deepcopy(KNOWN)
    inner = data if len(place) == 1 else data["skeleton"]
    if gone:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    card = None
    with contextlib.suppress(ValueError):
        card = Card.from_json(json.dumps(data))
    if card is not None:
        assert card.stride >= 1
        assert np.isfinite([*card.image_scale, *card.image_offset, card.sigma]).all()
        assert card.skeleton.limb_array.max(initial=0) < card.skeleton.num_joints == len(card.skeleton.sigmas)
        assert len(card.skeleton.flip_order) == card.skeleton.num_joints


@pytest.mark.parametrize("text", ["", "[]", "3", "null", '{"skeleton":' * 5000, "\ud800", "{}"])
def test_a_text_that_is_no_card_is_told(text):
    with pytest.raises(ValueError, match=r"card|Expecting"):
        Card.from_json(text)
