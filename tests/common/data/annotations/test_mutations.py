"""Mutations: a clean file changed as tools change it; what can be mended reads as the clean one, the rest is told.

Joints are compared by name. No mutation may end in a traceback, or in a label that differs from the clean one's.
"""

import copy
import json
import random
import unicodedata
from urllib.parse import quote

import numpy as np
import pytest
from support.coco_files import JOINTS, annotation, document, image, write_annotations
from support.turned_photos import store_turned

from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.location import locate

NAMES = ("cam a/one.png", "cam a/zoé.png", "Three.PNG", "four.png")
SIZE = (120, 160)
PLACES = {name: number for number, name in enumerate(NAMES)}


def clean():
    """Four photos with two people each, who differ in every joint; some joints are not labelled.

    EXIF data turn the last photo by a quarter, and the people in it are too wide for the pixels as they are stored.
    """
    images = [image(number, size=SIZE, name=name) for number, name in enumerate(NAMES, 1)]
    people = []
    for number in range(8):
        width = 60 + number + 60 * (number > 5)
        person = annotation(number + 1, 1 + number // 2, (5 + 3 * number, 10, width, 80), labelled=17 - number % 3)
        people.append(person | {"area": float(person["area"])})
    return document(images, people)


def everybody(dice, content, change):
    for person in content["annotations"]:
        change(person)


def somebody(dice, content, change):
    for person in dice.sample(content["annotations"], dice.randint(1, 5)):
        change(person)


def set_people(key, value):
    """A mutation that sets a key of some people."""
    return lambda dice, content: somebody(dice, content, lambda person: person.update({key: value(person, dice)}))


def drop_people(key):
    return lambda dice, content: somebody(dice, content, lambda person: person.pop(key))


def set_images(key, value):
    def mutate(dice, content):
        for entry in dice.sample(content["images"], dice.randint(1, 4)):
            entry[key] = value(entry, dice)

    return mutate


def set_every_image(key, value):
    def mutate(dice, content):
        for entry in content["images"]:
            entry[key] = value(entry)

    return mutate


def rename_ids(make):
    """Change ids of photos in both places."""

    def mutate(dice, content):
        for entry in content["images"]:
            entry["id"] = make(entry["id"])
        everybody(dice, content, lambda person: person.update(image_id=make(person["image_id"])))

    return mutate


def blank(value):
    def change(person, dice):
        triplets = np.reshape(person["keypoints"], (17, 3)).tolist()
        return [part for x, y, flag in triplets for part in ((x, y, flag) if flag else (value, value, 0))]

    return set_people("keypoints", change)


def place_unlabelled(x, y, *, boxed=True):
    """Joints that nobody placed, labelled at one place all the same."""

    def change(dice, content):
        for person in content["annotations"]:
            triplets = np.reshape(person["keypoints"], (17, 3))
            triplets[triplets[:, 2] == 0] = x, y, dice.choice([1, 2])
            person["keypoints"] = triplets.tolist() if dice.random() < 0.5 else triplets.ravel().tolist()
            if not boxed:
                person |= {"bbox": None, "segmentation": []}

    return change


def shuffle_joints(spell):
    def mutate(dice, content):
        order = dice.sample(range(17), 17)
        content["categories"][0]["keypoints"] = [spell(JOINTS[place]) for place in order]
        for person in content["annotations"]:
            triplets = np.reshape(person["keypoints"], (17, 3))[order]
            person["keypoints"] = triplets.ravel().tolist()

    return mutate


def category(make):
    def mutate(dice, content):
        content["categories"][0]["id"] = make(1)
        everybody(dice, content, lambda person: person.update(category_id=make(1)))

    return mutate


def name_photos(dice, content):
    """Photos' files in place of their ids, written in one of several ways."""
    names = {entry["id"]: entry["file_name"] for entry in content["images"]}
    write = dice.choice([str, lambda name: name.rpartition("/")[2], lambda name: name.rpartition("/")[2].split(".")[0]])
    everybody(dice, content, lambda person: person.update(image_id=write(names[person["image_id"]])))


def unlist_categories(dice, content):
    """The only category as an object, or under its id."""
    (own,) = content["categories"]
    rest = {key: value for key, value in own.items() if key != "id"}
    content["categories"] = dice.choice([own, {str(own["id"]): own}, {str(own["id"]): rest}])


def add_joints(dice, content):
    """Joints that the spec does not ask for, before, among and after those that it asks for."""
    places = sorted(dice.sample(range(20), 3))
    names, further = list(JOINTS), [f"toe{place}" for place in places]
    for place, name in zip(places, further, strict=True):
        names.insert(place, name)
    content["categories"][0]["keypoints"] = names
    for person in content["annotations"]:
        triplets = np.reshape(person["keypoints"], (17, 3)).tolist()
        for place in places:
            triplets.insert(place, [30, 40, dice.choice([0, 1, 2])])
        person["keypoints"] = [value for triplet in triplets for value in triplet]


def blank_whole(nothing):
    """As of a table: the flag of a joint that is not labelled is an empty cell, too."""

    def blank_all(person, dice):
        triplets = np.reshape(person["keypoints"], (17, 3)).tolist()
        return [value for triplet in triplets for value in (triplet if triplet[2] else [nothing] * 3)]

    return set_people("keypoints", blank_all)


def write_lists(write):
    """Keypoints and boxes as texts."""
    return lambda dice, content: everybody(
        dice, content, lambda person: person.update({key: write(person[key]) for key in LISTS[:2]})
    )


def flags_as_text(person, dice):
    return [str(value) for value in person["keypoints"]]


def add_things(dice, content):
    """Another category, whose number is 0, and things of it in the photos."""
    content["categories"].insert(0, {"id": 0, "name": "bag"})
    content["annotations"].append({"id": 90, "image_id": 1, "category_id": 0, "bbox": [1, 2, 30, 40], "iscrowd": 0})


def add_animals(dice, content):
    """Animals with the same joints; the file writes people in capitals."""
    content["categories"][0]["name"] = "Person"
    content["categories"].append(content["categories"][0] | {"id": 2, "name": "dog"})
    content["annotations"].append(content["annotations"][0] | {"id": 90, "category_id": 2})


def repeat_somebody(dice, content):
    content["annotations"].append(dict(dice.choice(content["annotations"])))


def unname_joints(dice, content):
    """As FiftyOne writes them: the spec's order counts."""
    del content["categories"][0]["keypoints"]
    add_things(dice, content)


def share_photo(dice, content):
    """An image for each of the two people of a photo."""
    content["images"].append(content["images"][0] | {"id": 90})
    content["annotations"][0]["image_id"] = 90


def turn_category(dice, content):
    """Two exports whose joints are ordered otherwise, under one number."""
    content["categories"].append(content["categories"][0] | {"keypoints": JOINTS[::-1]})


def number_people_only(dice, content):
    for entry in content["images"]:
        entry["id"] = f"frame-{entry['id']}"


def in_shares(person, dice, *, labelled=17):
    triplets = np.reshape(person["keypoints"], (17, 3)) / [SIZE[1], SIZE[0], 1]
    triplets[labelled:] = 0
    return triplets.ravel().tolist()


def roboflow(entry, dice):
    stem, _, ending = entry["file_name"].split("/")[-1].rpartition(".")
    return f"{stem}_{ending}.rf.{dice.getrandbits(128):032x}.jpg"


def size_turned(change):
    """A mutation of the photo that EXIF data turn."""
    return lambda dice, content: change(content["images"][-1])


def merge(dice, content):
    content["images"].append(image(dice.randint(1, 4), size=SIZE, name="of another export.png"))


def repeat(dice, content):
    content["images"].append(dict(dice.choice(content["images"])))


def shuffle_entries(dice, content):
    dice.shuffle(content["images"])


LISTS = ("keypoints", "bbox", "segmentation")
MENDABLE = {
    "photo ids as texts": rename_ids(str),
    "photo ids as names": rename_ids(lambda number: f"frame-{number:04d}"),
    "photo ids as 1.0": rename_ids(float),
    "photo ids as texts in the people only": set_people("image_id", lambda person, dice: str(person["image_id"])),
    "no annotation id": drop_people("id"),
    "annotation ids as texts": set_people("id", lambda person, dice: f"uuid-{person['id']}"),
    "no width and height": set_images("width", lambda entry, dice: entry.pop("height") and None),
    "sizes of 0": set_images("height", lambda entry, dice: 0),
    "sizes as texts": set_images("width", lambda entry, dice: str(entry["width"])),
    "sizes as 160.0": set_images("width", lambda entry, dice: float(entry["width"])),
    "the size of a turned photo as stored": size_turned(
        lambda entry: entry.update(height=entry["width"], width=entry["height"])
    ),
    "the size of a turned photo as stored, as texts": size_turned(
        lambda entry: entry.update(height=str(entry["width"]), width=str(entry["height"]))
    ),
    "no size of a turned photo": size_turned(lambda entry: entry.update(height=0, width=None)),
    "area of joints at 0, 0, too": set_people("area", lambda person, dice: person["area"] * dice.choice([1.5, 40])),
    "area 0": set_people("area", lambda person, dice: 0),
    "area missing": drop_people("area"),
    "area as text": set_people("area", lambda person, dice: str(person["area"])),
    "area null": set_people("area", lambda person, dice: None),
    "box missing": drop_people("bbox"),
    "box empty": set_people("bbox", lambda person, dice: dice.choice([[], None, [0, 0, 0, 0], [float("nan")] * 4])),
    "box as texts": set_people("bbox", lambda person, dice: [str(value) for value in person["bbox"]]),
    "null where the flag is 0": blank(None),
    "NaN where the flag is 0": blank(float("nan")),
    "huge numbers where the flag is 0": blank(1e30),
    "joints at 0, 0 that nobody placed": place_unlabelled(0, 0),
    "joints at -1, -1 that nobody placed": place_unlabelled(-1, -1),
    "joints at 0, 0 that nobody placed, and no box": place_unlabelled(0, 0, boxed=False),
    "null for all of a joint that is not labelled": blank_whole(None),
    "NaN for all of a joint that is not labelled": blank_whole(float("nan")),
    "keypoints and boxes as texts of Python": write_lists(lambda values: str([value or None for value in values])),
    "keypoints and boxes as texts of NumPy": write_lists(lambda values: str(np.array(values, float))),
    "keypoints and boxes as texts with commas": write_lists(lambda values: ",".join(map(str, values))),
    "boxes whose sizes are null": set_people("bbox", lambda person, dice: [*person["bbox"][:2], None, None]),
    "crowds as empty texts": set_people("iscrowd", lambda person, dice: ""),
    "keypoints as texts": set_people("keypoints", flags_as_text),
    "keypoints as triplets": set_people(
        "keypoints", lambda person, dice: np.reshape(person["keypoints"], (17, 3)).tolist()
    ),
    "flat outlines": set_people("segmentation", lambda person, dice: person["segmentation"][0]),
    "outlines of points": set_people(
        "segmentation", lambda person, dice: [np.reshape(person["segmentation"][0], (-1, 2)).tolist()]
    ),
    "outlines that are none": set_people("segmentation", lambda person, dice: dice.choice(["x", [[1, 2, 3]], 7])),
    "no outline": drop_people("segmentation"),
    "crowds as texts": set_people("iscrowd", lambda person, dice: dice.choice(["0", 0.0, False, None, "false"])),
    "crowds as NaN": set_people("iscrowd", lambda person, dice: float("nan")),  # as of a table with empty cells
    "keypoints, boxes and outlines as texts of lists": lambda dice, content: everybody(
        dice, content, lambda person: person.update({key: json.dumps(person[key]) for key in LISTS})
    ),
    "no count of keypoints": drop_people("num_keypoints"),
    "wrong count of keypoints": set_people("num_keypoints", lambda person, dice: dice.choice([0, "x", 99, None])),
    "backslashes": set_images("file_name", lambda entry, dice: entry["file_name"].replace("/", "\\")),
    "percent escapes": set_images("file_name", lambda entry, dice: quote(entry["file_name"])),
    "letters in two characters": set_images(
        "file_name", lambda entry, dice: unicodedata.normalize("NFD", entry["file_name"])
    ),
    "other cases": set_images("file_name", lambda entry, dice: entry["file_name"].upper()),
    "absolute paths": set_images("file_name", lambda entry, dice: f"/home/me/{entry['file_name']}"),
    "paths of Windows": set_images("file_name", lambda entry, dice: f"C:\\me\\{entry['file_name']}"),
    "addresses of files": set_images("file_name", lambda entry, dice: f"file:///C:/me/{quote(entry['file_name'])}"),
    "addresses": set_images("file_name", lambda entry, dice: f"https://host/x/{quote(entry['file_name'])}?key=1"),
    "renamed uploads": set_images("file_name", lambda entry, dice: f"1a2b3c4d-{entry['file_name'].split('/')[-1]}"),
    "names without endings": set_images("file_name", lambda entry, dice: entry["file_name"].rpartition(".")[0]),
    "names of other endings": set_images(
        "file_name", lambda entry, dice: f"{entry['file_name'].rpartition('.')[0]}.{dice.choice(['jpg', 'HEIC'])}"
    ),
    "blanks around names": set_images("file_name", lambda entry, dice: f" {entry['file_name']} "),
    "names as Roboflow writes them": set_images("file_name", roboflow),
    "paths in place of names": set_images("path", lambda entry, dice: f"/data/{entry.pop('file_name')}"),
    "addresses in place of names": set_images(
        "coco_url", lambda entry, dice: f"http://host/val/{quote(entry.pop('file_name'))}"
    ),
    "photo ids with zeros in the people only": set_people(
        "image_id", lambda person, dice: f"{person['image_id']:012d}"
    ),
    "photo ids with zeros in the photos only": set_images("id", lambda entry, dice: f"{entry['id']:012d}"),
    "photo ids beyond 2**53": rename_ids(lambda number: 2**62 + number),
    "boxes from 0 to 1": set_people("bbox", lambda person, dice: (np.array(person["bbox"]) / 160).tolist()),
    "boxes in a list": set_people("bbox", lambda person, dice: [person["bbox"]]),
    "a person twice, alike": repeat_somebody,
    "things of another category": add_things,
    "animals with the same joints": add_animals,
    "joints without names": unname_joints,
    "category ids as texts": category(str),
    "category ids as names": category(lambda number: "a1-person"),
    "no category id": drop_people("category_id"),
    "joints in another order": shuffle_joints(str),
    "joints in another order, spelt otherwise": shuffle_joints(lambda name: name.replace("_", " ").title()),
    "joints in another order, with dashes": shuffle_joints(lambda name: name.replace("_", "-").upper()),
    "photos in another order": shuffle_entries,
    "names of photos in place of ids": name_photos,
    "categories that are no list": unlist_categories,
    "joints that are not asked for": add_joints,
    "a photo twice, alike": repeat,
}
AMBIGUOUS = {
    "merged exports": merge,
    "short keypoints": set_people("keypoints", lambda person, dice: person["keypoints"][: 3 * dice.randint(1, 16)]),
    "keypoints from 0 to 1": set_people("keypoints", in_shares),
    "a keypoint or two from 0 to 1": set_people(
        "keypoints", lambda person, dice: in_shares(person, dice, labelled=dice.randint(1, 2))
    ),
    "one photo under two ids": share_photo,
    "photo ids of the people from 0": lambda dice, content: everybody(
        dice, content, lambda person: person.update(image_id=person["image_id"] - 1)
    ),
    "photo ids of the photos from 0": set_every_image("id", lambda entry: entry["id"] - 1),
    "two categories of one id": turn_category,
    "numbers for photos whose ids are texts": number_people_only,
    "null where a joint is labelled": set_people(
        "keypoints", lambda person, dice: [None, None, 2, *person["keypoints"][3:]]
    ),
    "NaN where a joint is labelled": set_people(
        "keypoints", lambda person, dice: [float("nan"), 5, 2, *person["keypoints"][3:]]
    ),
    "flags that are none": set_people("keypoints", lambda person, dice: [1, 2, 9, *person["keypoints"][3:]]),
    "no keypoints": drop_people("keypoints"),
    "a category that is none": set_people("category_id", lambda person, dice: dice.choice([7, "cat", True])),
    "a photo that is none": set_people("image_id", lambda person, dice: dice.choice([99, "99", None, [], {}])),
    "negative boxes": set_people("bbox", lambda person, dice: [50, 50, -20, -30]),
    "names that leave the folder": set_images("file_name", lambda entry, dice: f"../{entry['file_name']}"),
    "no file name": set_images("file_name", lambda entry, dice: dice.choice([None, "", 5])),
    "joints of other names": lambda dice, content: content["categories"][0].update(
        keypoints=[f"p{number}" for number in range(17)]
    ),
    "one joint of another name": lambda dice, content: content["categories"][0].update(keypoints=[*JOINTS[:16], "toe"]),
}
KINDS = [*MENDABLE, *AMBIGUOUS]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    import cv2

    root = tmp_path_factory.mktemp("photos")
    for name in NAMES:
        (root / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(root / name), np.full((*SIZE, 3), 9, np.uint8))
    store_turned(root / NAMES[-1], np.full((*SIZE, 3), 9, np.uint8), 6)
    return root


def people_in(coco):
    """Everybody labelled, by photo: each labelled joint by its name, and the box."""
    found = {name: [] for name in NAMES}
    for photo in coco.photos:
        assert (photo.height, photo.width) == SIZE
        for person in photo.people:
            if person.labelled:
                joints = {
                    name: at[:2] for name, at in zip(coco.joints, person.keypoints.tolist(), strict=True) if at[2]
                }
                found[photo.file_name].append(joints)
    return found


def mutate(kind, seed):
    content = copy.deepcopy(clean())
    (MENDABLE | AMBIGUOUS)[kind](random.Random(f"{kind} {seed}"), content)
    return content


def read(content, folder, photos):
    file = write_annotations(folder / "people.json", content)
    return read_annotations(file, JOINTS, strict=False, album=Album(locate(photos)))


def hold(kind, seed, folder, photos):
    """Read a mutation; returns whether it gives the clean file's people."""
    whole = people_in(read(clean(), folder, photos))
    try:
        coco = read(mutate(kind, seed), folder, photos)
    except UserError:
        return False
    found = people_in(coco)
    for name, people in found.items():  # nobody is anybody else
        assert all(person in whole[name] for person in people), (kind, seed, name)
    same = found == whole
    told = [problem for problem in coco.problems if not problem.kept]
    assert same or told, (kind, seed)
    assert all(problem.text and (problem.image_id, problem.annotation_id) != (None, None) for problem in told)
    return same


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutation_is_mended_or_told(kind, tmp_path, photos):
    same = [hold(kind, seed, tmp_path, photos) for seed in range(2)]
    assert all(same) if kind in MENDABLE else not any(same)


@pytest.mark.heavy
def test_of_five_hundred_mutations_nine_in_ten_that_can_be_are_mended(tmp_path, photos):
    dice = random.Random(19)
    kinds = [dice.choice(KINDS) for _ in range(500)]
    outcomes = [(kind, hold(kind, seed + 100, tmp_path, photos)) for seed, kind in enumerate(kinds)]
    mended = [same for kind, same in outcomes if kind in MENDABLE]
    assert len(set(kinds)) >= 25
    assert sum(mended) >= 0.9 * len(mended)
    assert not any(same for kind, same in outcomes if kind in AMBIGUOUS)
    print(f"{sum(mended)} of {len(mended)} mendable, {len(outcomes) - len(mended)} others, {len(set(kinds))} kinds")
