"""Split rule: a share of the groups, chosen by their names alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyposenet.common.errors import SpecError
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.split import SplitRule

SHARES = st.sampled_from([0.05, 0.1, 0.15, 0.2])
CAMERA_DAY = r"(cam\d+)/(\d{8})"


def rule(**keys):
    return parse_spec(keys, SplitRule)


def frames(count, cameras=40, days=25):
    """Paths of frames of some cameras, day by day."""
    return [f"cam{n % cameras}/202611{n // cameras % days:02d}_{n:06d}.jpg" for n in range(count)]


@settings(derandomize=True)
@given(share=SHARES, count=st.integers(2000, 4000), batch=st.text("abcdef0123456789", min_size=1, max_size=8))
def test_of_two_thousand_photos_the_share_is_met_within_two_points(share, count, batch):
    held_out = sum(map(rule(share=share).holds_out, (f"{batch}/{number:05d}.jpg" for number in range(count))))
    assert abs(held_out / count - share) <= 0.02


@given(share=SHARES, group=st.sampled_from(["file", "folder", CAMERA_DAY]), data=st.data())
def test_photos_that_are_added_move_none(share, group, data):
    names = data.draw(st.permutations(frames(330)))
    before, after = names[:300], names
    held_out = {name for name in before if rule(share=share, group=group).holds_out(name)}
    assert held_out == {name for name in after if rule(share=share, group=group).holds_out(name)} & {*before}


@given(share=SHARES, more=SHARES)
def test_a_larger_share_holds_out_what_a_smaller_one_does(share, more):
    small, large = (rule(share=part) for part in sorted((share, more)))
    assert all(large.holds_out(name) for name in frames(300) if small.holds_out(name))


@pytest.mark.parametrize("group", ["folder", CAMERA_DAY, r"^([^/]+)/"])
def test_no_group_is_on_both_sides(group):
    held_out = {True: set(), False: set()}
    for name in frames(5000):
        held_out[rule(share=0.3, group=group).holds_out(name)].add(rule(share=0.3, group=group).find_group(name))
    assert held_out[True]
    assert held_out[False]
    assert not held_out[True] & held_out[False]


def test_groups_are_files_folders_or_what_a_pattern_finds():
    name = "site/cam7/20261129_000123.jpg"
    assert rule(share=0.1).find_group(name) == name
    assert rule(share=0.1, group="folder").find_group(name) == "site/cam7"
    assert rule(share=0.1, group="folder").find_group("a.jpg") == "."
    found = rule(share=0.1, group=CAMERA_DAY)
    assert found.find_group(name) == found.find_group("other/cam7/20261129_999.png")
    assert found.find_group(name) != found.find_group("site/cam7/20261130_000123.jpg")
    assert found.find_group("elsewhere.jpg") == "elsewhere.jpg"


def test_the_same_name_in_another_unicode_form_is_the_same_group():
    assert rule(share=0.1).find_group("zoe\u0301.jpg") == rule(share=0.1).find_group("zo\u00e9.jpg")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"share": 0}, "share: should be greater than 0 (got 0)"),
        ({"share": 1}, "share: should be less than 1 (got 1)"),
        ({"share": 0.1, "group": "("}, "group: no regular expression: "),
        ({"share": 0.1, "group": "cam"}, "group: should be 'file', 'folder' or a regular expression with groups"),
        ({}, "share: missing"),
    ],
)
def test_what_is_no_rule_is_told(keys, said):
    with pytest.raises(SpecError) as caught:
        rule(**keys)
    assert said in str(caught.value)
