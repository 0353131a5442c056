"""Options: texts of flags become values, or are refused with an example."""

import click
import pytest

from bodyposenet.common.cli.options import DIMS, SIZE, WordType
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.spec.words import Normalizer

GIVEN = [
    (SIZE, "360,480", (360, 480)),
    (SIZE, "360x480", (360, 480)),
    (SIZE, " 360 , 480 ", (360, 480)),
    (SIZE, (360, 480), (360, 480)),
    (DIMS, "288,384,3", (288, 384, 3)),
]


@pytest.mark.parametrize(("kind", "text", "numbers"), GIVEN)
def test_numbers_are_parsed(kind, text, numbers):
    assert kind.convert(text, None, None) == numbers


@pytest.mark.parametrize("text", ["", "360", "360,", "360,480,3", "0,480", "-360,480", "3.5,480", "36²,480", "a,b"])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(click.BadParameter) as refused:
        SIZE.convert(text, None, None)
    assert refused.value.message == f"{text!r} is not HEIGHT,WIDTH, such as 360,480"


def test_three_numbers_take_no_crosses_between_them():
    with pytest.raises(click.BadParameter, match="'288x384x3' is not three positive numbers, such as 288,384,3"):
        DIMS.convert("288x384x3", None, None)


@pytest.mark.parametrize(("default", "given"), [(None, None), ("36,48", (36, 48))])
def test_a_flag_that_is_not_given_has_its_default(default, given):
    @click.command()
    @click.option("--size", type=SIZE, default=default)
    def verb(size):
        assert size == given

    verb.main([], standalone_mode=False)


@pytest.mark.parametrize("word", ["max", "L2"])
def test_flags_take_the_words_that_specs_take(word):
    assert WordType(Normalizer).convert(word, None, None) == word
    assert parse_spec({"normalizer": word}, PruneSpec, where="prune_spec").normalizer == word
    with pytest.raises(click.BadParameter, match="'l2' is not one of 'max', 'L2'"):
        WordType(Normalizer).convert("l2", None, None)
