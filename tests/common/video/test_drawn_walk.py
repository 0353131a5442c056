"""Drawn walk: people of a video file, through a network and the verb, are told apart where they cross."""

import pytest

from benchmarks.drawn_walk import follow_walk
from benchmarks.walkers import draw_walk, score_identities


@pytest.mark.slow
def test_drawn_people_of_a_video_keep_their_numbers_through_a_network(tmp_path):
    """Of the benchmark's walk frames in which two part slowly, and one comes out from behind another."""
    walk = draw_walk().take(185, 215)
    assert (~walk.seen).sum() == 11
    assert score_identities(*follow_walk(walk, tmp_path)) >= 0.8
