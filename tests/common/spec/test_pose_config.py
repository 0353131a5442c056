"""Custom skeletons: joints and limbs as their specs say, found by name, and mistakes told where they stand."""

import json
from itertools import permutations

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.cocoeval import Params
from support.spec_files import DATASET, POSE, STICK, TRAIN

from bodyposenet.common.errors import SpecError
from bodyposenet.common.evaluation.ground_truth import sigmas_for
from bodyposenet.common.pose.draw import limb_colour
from bodyposenet.common.skeleton.joint_names import find_side, pairs_by_name
from bodyposenet.common.skeleton.skeleton import (
    BODYPOSENET_18,
    COCO_17,
    DEFAULT_SIGMA,
    Skeleton,
    find_sigma,
    make_skeleton,
)
from bodyposenet.common.spec.base import load_spec, parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.kinds import describe, notes
from bodyposenet.common.spec.pose_config import PoseConfig
from bodyposenet.common.spec.train import TrainSpec

STYLES = (
    "left_paw right_paw", "paw_left paw_right", "l_paw r_paw", "paw_l paw_r", "LPaw RPaw", "lPaw rPaw", "L_Paw R_Paw",
    "leftPaw rightPaw", "LeftPaw RightPaw", "PawLeft PawRight", "pawL pawR", "LEFT_PAW RIGHT_PAW", "left-paw right-paw",
    "Left.Paw Right.Paw", "paw.l.2 paw.r.2", "leftpaw rightpaw", "pawleft pawright", "lpaw rpaw", "L R", "L3 R3",
    "front_left_paw front_right_paw", "LEar REar", "LP RP", "patte_l_é patte_r_é",
)  # fmt: skip
SIDED = {"name": "a", "num_joints": 5, "keypoints": ["mid", "paw_l", "paw_r", "wing_one", "wing_two"]}
SIDED |= {"skeleton": [[1, 2], [1, 3], [1, 4], [1, 5]]}


def pose(category=None, **keys):
    return parse_spec({"categories": [SIDED | (category or {})]} | keys, PoseConfig, where="pose")


def told(content, model, folder=None):
    """The lines of the error; with a folder, of a file of that content."""
    if folder is not None:
        (folder / "spec.json").write_text(content)
    with pytest.raises(SpecError) as caught:
        parse_spec(content, model, where="pose") if folder is None else load_spec(folder / "spec.json", model)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def dataset(categories, **keys):
    return json.loads(DATASET) | {"categories": categories} | keys


def kind(name, *joints):
    return {"name": name, "num_joints": len(joints), "keypoints": list(joints)}


@pytest.mark.parametrize("pair", [tuple(style.split()) for style in STYLES])
def test_a_pair_is_found_whatever_the_style_and_the_order(pair):
    for joints in permutations((*pair, "tail")):
        assert pairs_by_name(joints) == (pair,)
    assert find_side("tail") == find_side("rear") == find_side("leg") == ""


def test_a_joint_named_two_ways_of_which_one_has_no_partner_is_paired_by_the_other():
    assert pairs_by_name(("l_left", "l_right", "r_x")) == (("l_left", "l_right"),)


@given(st.lists(st.sampled_from([word for style in STYLES for word in style.split()] + ["tail", "rear"]), unique=True))
def test_mirroring_twice_changes_nothing_whatever_the_names(joints):
    order = make_skeleton("any", joints, ()).flip_order
    assert order[order].tolist() == list(range(len(joints)))


def test_pairs_that_a_pose_config_names_are_the_only_ones():
    assert pose().skeleton().flip_order.tolist() == [0, 2, 1, 3, 4]
    assert pose(flip_pairs=[["wing_one", "wing_two"]]).skeleton().flip_order.tolist() == [0, 1, 2, 4, 3]
    assert pose(flip_pairs=[]).skeleton().flip_order.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("pairs", [None, [], [["wing_one", "wing_two"], ["paw_l", "paw_r"]]])
def test_pairs_stay_with_the_skeleton_in_a_model_file(pairs):
    skeleton = pose(flip_pairs=pairs).skeleton()
    again = Skeleton.from_dict(json.loads(json.dumps(skeleton.to_dict())))
    assert again == skeleton
    assert again.flip_order.tolist() == skeleton.flip_order.tolist()


def test_a_model_file_from_before_pairs_could_be_named_goes_by_names():
    old = BODYPOSENET_18.to_dict()
    del old["flip_pairs"]
    assert Skeleton.from_dict(old).flip_order.tolist() == BODYPOSENET_18.flip_order.tolist()


def test_limbs_may_be_given_by_name_alone():
    names = [[SIDED["keypoints"][end - 1] for end in limb] for limb in SIDED["skeleton"]]
    assert pose({"skeleton": None, "skeleton_edge_names": names}).skeleton() == pose().skeleton()


def test_every_mistake_of_a_pose_config_is_told_with_its_line(tmp_path):
    content = json.loads(POSE) | {
        "sigmas": [0.1, 0.1, 0.1],
        "computed": {"neck": [], "nose": ["nose"], "left_shoulder": ["right_sholder"]},
        "flip_pairs": [
            ["left_shoulder", "rigt_shoulder"], ["nose", "nose"], ["neck", "nose"], ["nose", "left_shoulder"],
        ],
    }  # fmt: skip
    text = json.dumps(content, indent=1)
    said = told(text, PoseConfig, tmp_path)
    lines = text.splitlines()
    assert [line.split(": ", 1)[1] for line in said] == [
        "sigmas: should hold 4 numbers, one a joint (got 3)",
        "computed.neck: should name the joints whose mean it is (got none)",
        "computed.nose: is computed from itself (got ['nose'])",
        "computed.left_shoulder: no such joint (got 'right_sholder'); did you mean 'right_shoulder'?",
        "flip_pairs.0.1: no such joint (got 'rigt_shoulder'); did you mean 'right_shoulder'?",
        "flip_pairs.1: joint 'nose' is its own partner; leave out joints that stay where they are",
        "flip_pairs.3: joint 'nose' is in pair 3, too",
        "flip_pairs.3: joint 'left_shoulder' is in pair 1, too",
    ]
    numbers = [int(line.split(":")[1]) - 1 for line in said]
    named = [lines[number].strip(' [],{"').split('"')[0] for number in numbers[:5]]
    assert named == ["sigmas", "neck", "nose", "left_shoulder", "rigt_shoulder"]
    assert [lines[number].strip() for number in numbers[5:]] == ["["] * 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"skeleton": [[1, 1], [1, 2]]}, "categories.0.skeleton.0: limb from joint 'mid' to itself"),
        ({"skeleton": [[1, 2], [2, 1]]}, "categories.0.skeleton.1: the same limb as number 1; give each once"),
        (
            {"skeleton": None, "skeleton_edge_names": [["mid", "paw_l"], ["paw_l", "mid"]]},
            "categories.0.skeleton_edge_names.1: the same limb as number 1; give each once",
        ),
        (
            {"skeleton": None},
            "categories.0.skeleton: missing; limbs join the joints of one person, so there must be one at least",
        ),
        (
            {"skeleton": [[1, 2]], "skeleton_edge_names": [["mid", "paw_r"]]},
            "categories.0.skeleton_edge_names.0: should be ['mid', 'paw_l'], as 'skeleton' has it "
            "(got ['mid', 'paw_r'])",
        ),
    ],
)
def test_limbs_that_cannot_be_learned_are_told(change, said):
    assert told({"categories": [SIDED | change]}, PoseConfig) == [f"pose: {said}"]


def test_joints_that_are_computed_in_a_circle_are_told():
    said = told({"categories": [SIDED], "computed": {"mid": ["paw_l"], "paw_l": ["paw_r", "mid"]}}, PoseConfig)
    assert sorted(said) == [
        "pose: computed.mid: is computed from itself (got ['paw_l'])",
        "pose: computed.paw_l: is computed from itself (got ['paw_r', 'mid'])",
    ]


@pytest.mark.parametrize("names", [*permutations(("mid", "wing_one", "wing_two"))])
def test_a_joint_may_be_computed_of_computed_ones_in_any_order_of_writing(names):
    parents = {"mid": ["wing_one", "wing_two"], "wing_one": ["paw_l"] * 2 + ["paw_r"], "wing_two": ["paw_r"]}
    skeleton = pose(computed={name: parents[name] for name in names}).skeleton()
    people = np.array([[[0, 30, 2], [90, 0, 1]], [[0, 30, 2], [0, 0, 0]]], float)
    taken = skeleton.take(("paw_l", "paw_r"), people)
    assert taken[0].tolist() == [[60, 10, 1], [0, 30, 2], [90, 0, 1], [30, 20, 1], [90, 0, 1]]  # a name twice, twice
    assert taken[1].tolist() == [[0, 0, 0], [0, 30, 2], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert skeleton.select_taught(("paw_l", "paw_r")) == {"mid", "paw_l", "paw_r", "wing_one", "wing_two"}
    assert skeleton.select_taught(("paw_l", "tail")) == {"paw_l"}


def test_a_lone_category_may_have_any_name_and_several_need_a_person():
    assert pose().skeleton().joints == tuple(SIDED["keypoints"])
    both = parse_spec({"categories": [SIDED, STICK]}, PoseConfig)
    assert both.skeleton().joints == tuple(STICK["keypoints"])


def test_spreads_without_any_of_their_own_go_by_the_words_of_the_names():
    wanted = {"LShoulder": 0.079, "hip_l": 0.107, "leftear": 0.035, "eyeR": 0.025, "rear": DEFAULT_SIGMA}
    assert {name: find_sigma(name) for name in wanted} == wanted
    np.testing.assert_allclose([find_sigma(name) for name in COCO_17.joints], Params("keypoints").kpt_oks_sigmas)


def test_spreads_of_the_pose_config_are_those_of_the_evaluation_even_for_cocos_joints():
    category = kind("person", *COCO_17.joints) | {"skeleton": [[a + 1, b + 1] for a, b in COCO_17.limbs]}
    own = [0.01 * (number + 1) for number in range(17)]
    skeleton = parse_spec({"categories": [category], "sigmas": own}, PoseConfig).skeleton()
    assert sigmas_for(COCO_17.joints[::-1], skeleton) == own[::-1]


def test_limbs_are_coloured_by_side_in_any_style():
    assert limb_colour("LHip", "LKnee") == limb_colour("left_hip", "left_knee")
    assert limb_colour("hip_r", "knee_r") == limb_colour("right_hip", "right_knee")
    assert limb_colour("rear", "tail") == limb_colour("neck", "pelvis")


def test_people_are_one_category_or_those_that_are_named():
    fox, crane = kind("fox", "nose", "paw"), kind("crane", "beak", "nose")
    assert parse_spec(dataset([STICK, fox]), DatasetSpec).people == {"person": tuple(STICK["keypoints"])}
    assert parse_spec(dataset([fox]), DatasetSpec).joints == ("nose", "paw")
    both = parse_spec(dataset([STICK, fox, crane], person_categories=["crane", "fox"]), DatasetSpec)
    assert both.people == {"fox": ("nose", "paw"), "crane": ("beak", "nose")}
    assert both.joints == ("nose", "paw", "beak")
    assert describe(both) == "dataset spec, 'coco', 3 joints of fox and crane, in /workspace/data"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"categories": [kind("fox", "nose"), kind("hen", "nose")]},
            "categories: one category must be named 'person' (got 'fox', 'hen'), or several be named in "
            "'person_categories'",
        ),
        (
            {"person_categories": ["person", "foks"], "categories": [STICK, kind("fox", "nose")]},
            "person_categories.1: no such category (got 'foks'); did you mean 'fox'?",
        ),
        ({"categories": [STICK, STICK]}, "categories.1.name: category 'person' is described twice"),
        ({"person_categories": []}, "person_categories: Tuple should have at least 1 item"),
        (
            {"visibility_flags": {"value": {"visible": 2, "occluded": 2, "not_labeled": 0}}},
            "visibility_flags.value.occluded: 2 is the number of 'visible', too",
        ),
        ({"visibility_flags": {"value": {"seen": 1}}}, "visibility_flags.mapping.seen: missing; 'value' has this key"),
        (
            {"visibility_flags": {"value": {"seen": 1}, "mapping": {"seen": "truncated"}}},
            "visibility_flags.mapping: no word means visible or annotatable or occluded, so no joint would ever be "
            "labelled",
        ),
    ],
)
def test_a_dataset_spec_that_contradicts_itself_is_told_with_its_line(tmp_path, keys, said):
    text = json.dumps(json.loads(DATASET) | keys, indent=1)
    (line,) = told(text, DatasetSpec, tmp_path)
    place, problem = line.split(": ", 1)
    assert problem.startswith(said)
    keys = [part for part in said.split(":")[0].split(".") if not part.isdigit()]
    written = [number for number, row in enumerate(text.splitlines(), 1) if f'"{keys[0]}":' in row]
    assert int(place.split(":")[1]) >= (written or [1])[0]


@pytest.mark.parametrize(
    ("mapping", "codes"),
    [
        ("visible occluded not_labeled", {1: 2, 0: 1, -1: 0}),
        ("annotatable truncated not_labeled_in_dataset", {1: 2, 0: 0, -1: 0}),
        ("occluded occluded not_labeled", {1: 1, 0: 1, -1: 0}),
        ("visible not_labeled not_labeled", {1: 2, 0: 0, -1: 0}),
    ],
)
def test_any_words_and_numbers_mean_what_the_mapping_says(mapping, codes):
    words = {"clear": 1, "guessed": 0, "out": -1}
    flags = {"value": words, "mapping": dict(zip(words, mapping.split(), strict=True))}
    assert parse_spec(dataset([STICK], visibility_flags=flags), DatasetSpec).visibility_flags.codes() == codes


def test_what_may_not_be_meant_is_noted():
    lone = {"keypoints": ["mid", "paw_l", "hoof_r", "wing_one", "wing_two"], "skeleton": [[1, 2], [4, 5]]}
    assert notes(pose(lone)) == [
        "joint 'paw_l' has no partner on the other side: a mirror leaves it as it is; see flip_pairs",
        "joint 'hoof_r' has no partner on the other side: a mirror leaves it as it is; see flip_pairs",
        "no limb leads from mid to wing_one, wing_two, hoof_r: only a prior joins these to the others",
    ]
    assert notes(pose()) == notes(pose(lone | {"skeleton": SIDED["skeleton"]}, flip_pairs=[])) == []


def test_a_train_spec_may_hold_the_pose_config_itself():
    spec = yaml.safe_load(TRAIN)
    spec["dataloader"]["pose_config"] |= {"pose_config_path": None, "pose_config": {"categories": [SIDED]}}
    read = parse_spec(spec, TrainSpec)
    assert read.dataloader.pose_config.skeleton() == pose().skeleton()
    spec["dataloader"]["pose_config"]["pose_config_path"] = "joints.json"
    said = "pose: dataloader.pose_config.pose_config: pose_config_path names one already; give either of them"
    assert told(spec, TrainSpec) == [said]
    spec["dataloader"]["pose_config"] |= {"pose_config_path": None, "pose_config": {"categories": [SIDED], "sigma": 1}}
    (line,) = told(spec, TrainSpec)
    assert line.startswith("pose: dataloader.pose_config.pose_config.sigma: unknown key; did you mean 'sigmas'?")
