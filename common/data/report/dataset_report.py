"""Dataset report: what is in a dataset, who of its people is learned from, and what is wrong, as JSON and as a page."""

import base64
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from bodyposenet.common.data.annotations.coco import CocoSet
from bodyposenet.common.data.annotations.person_filter import PersonChoice
from bodyposenet.common.data.annotations.problems import NearDuplicate, Problem
from bodyposenet.common.data.report.dataset_pictures import picture, sample_pictures
from bodyposenet.common.data.report.dataset_summary import EXAMPLES, describe
from bodyposenet.common.data.report.suspect_pictures import show_suspects
from bodyposenet.common.data.report.suspects_page import summarize_suspects
from bodyposenet.common.data.suspects.find import find_by_geometry
from bodyposenet.common.data.suspects.suspect import describe_suspects
from bodyposenet.common.data.suspects.write import SuspectChoice, write_suspects
from bodyposenet.common.imaging.headers import read_header_size
from bodyposenet.common.imaging.orientation import describe_turns
from bodyposenet.common.pages.histograms import histogram, make_groups, shares
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.pages.page import render
from bodyposenet.common.skeleton.skeleton import COCO_17, Skeleton, find_sigma
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.location import Location, locate

if TYPE_CHECKING:
    from bodyposenet.common.spec.dataset import DatasetSpec

__all__ = ["describe", "picture", "report_dataset", "sample_pictures", "set_skeleton", "write_report"]

log = logging.getLogger(__name__)

PAGE, DATA = "dataset_report.html", "dataset_report.json"
SUSPECTS = 12  # labels that are likely wrong and shown
MOST_WRITTEN = 1000  # of them whose photos are written for a labelling tool; the list has all
CROWDED = 10  # people of a photo; photos with as many or more share a column
PARTS = {"of interest": "of_interest", "others": "others"}
LABELS = ("visible", "hidden", "unlabelled")
DASH = "\N{EN DASH}"
Chart = tuple[str, str, Markup]


def report_dataset(
    folder: str | Path | Location,
    coco: CocoSet,
    choice: PersonChoice,
    problems: Sequence[Problem],
    *,
    spec: "DatasetSpec",
    read: Callable[[str], bytes],
    turns: Mapping[str, int] | None = None,
    pairs: Sequence[NearDuplicate] | None = None,
    changes: Mapping[str, int] | None = None,
) -> Location:
    """Describe a dataset, draw nine of its photos, look for labels that are likely wrong, and write the report.

    Args:
        folder: Gets ``dataset_report.html``, ``dataset_report.json``, and the list of likely wrong labels,
            ``suspects.csv``, with the photos of the likeliest for a labelling tool: ``suspects.json``, and
            ``suspects_proposed.json``.
        coco: The set, its visibility flags as in its file.
        choice: Who is of interest.
        problems: What is wrong with it.
        spec: Names its flags and limbs.
        read: Gives a photo's file by its name, or raises a UserError.
        turns: Photos that EXIF data turn, by what they are annotated as; None if nobody has counted them.
        pairs: Photos that are held out and look like one that is trained on; None if nobody has looked for them.
        changes: Records that were kept, added, changed and removed; None where there was no set before.

    Returns:
        The page.
    """
    codes = spec.visibility_flags.codes()
    plain = all(flag == code for flag, code in codes.items())
    coco = coco if plain else coco.recode_flags(codes)
    people = [category for category in spec.categories if category.name in spec.people]
    edges = [(kind.keypoints[start], kind.keypoints[end]) for kind in people for start, end in kind.limbs]
    unclear, skeleton = spec.unclear_orientation, set_skeleton(coco.joints, edges)
    pictures = sample_pictures(coco, choice, read, skeleton, unclear=unclear)
    described = describe(coco, choice, problems, spec.data_filtering_params)
    described["orientation"] = {"photos": dict(turns or {}), "text": describe_turns(turns or {}, unclear)}
    if pairs is not None:
        described["near_duplicates"] = {"count": len(pairs), "pairs": [pair._asdict() for pair in pairs]}
    if changes is not None:
        described["changes"] = dict(changes)
    suspects = find_by_geometry(coco)
    log.info("%s: %s", coco.path, describe_suspects(suspects))
    shown = show_suspects(suspects[:SUSPECTS], skeleton, read, unclear=unclear)
    described["suspects"] = summarize_suspects(suspects, described["counts"]["people"], shown)
    write_suspects(locate(folder), suspects, skeleton, SuspectChoice(most=MOST_WRITTEN), coco.kinds)
    return write_report(folder, described, pictures, shown, title=f"Dataset {spec.dataset}")


def set_skeleton(joints: Sequence[str], edges: Sequence[tuple[str, str]] = ()) -> Skeleton:
    """Return the joints with the limbs between them that are named, to draw; without any named, COCO's."""
    wanted = edges or [(COCO_17.joints[start], COCO_17.joints[end]) for start, end in COCO_17.limbs]
    places = {name: number for number, name in enumerate(joints)}
    limbs = tuple((places[a], places[b]) for a, b in dict.fromkeys(wanted) if a in places and b in places)
    return Skeleton("dataset", tuple(joints), limbs, tuple(map(find_sigma, joints)))


def write_report(
    folder: str | Path | Location,
    described: Mapping[str, Any],
    pictures: Sequence[tuple[str, bytes]],
    suspects: Sequence[Mapping[str, Any]] = (),
    *,
    title: str = "Dataset",
) -> Location:
    """Write ``dataset_report.json`` and ``dataset_report.html``, a page that needs no other file.

    Args:
        folder: Where they go.
        described: What :func:`describe` says.
        pictures: Caption and JPEG of each.
        suspects: Labels that are likely wrong, as
            :func:`~bodyposenet.common.data.report.suspect_pictures.show_suspects` shows them.
        title: The page's heading.

    Returns:
        The page.
    """
    counts = described["counts"]
    page = render(
        "bodyposenet.common.data.report",
        PAGE,
        title=title,
        verdict=verdict(counts),
        tiles=tiles(counts),
        problems=described["problems"],
        most=EXAMPLES,
        filtered=[(entry, shares(_part(entry["people"], counts["annotations"]))) for entry in described["filtered"]],
        charts=charts(described) if counts["annotations"] else [],
        joints=[(joint, shares([(part, joint[part]) for part in LABELS])) for joint in described["joints"]],
        pictures=[_embed(text, jpeg) for text, jpeg in pictures],
        suspects=suspects,
        suspected=described.get("suspects"),
        facts=_list_facts(described),
    )
    where = locate(folder)
    with whole_file(where / DATA) as file:
        file.write(json.dumps(described, indent=1, ensure_ascii=False).encode("utf-8", "replace"))
    with whole_file(where / PAGE) as file:
        file.write(page.encode("utf-8", "replace"))
    return where / PAGE


def verdict(counts: Mapping[str, int]) -> str:
    """Say what there is to learn from, in two sentences."""
    if not counts["annotations"]:
        return f"{pluralize(counts['photos'], 'photo')} without a single annotation: there is nothing to learn from."
    people, chosen = counts["people"], counts["of_interest"]
    verb = "shows" if counts["photos"] == 1 else "show"
    shown = f"{pluralize(counts['photos'], 'photo')} {verb} {pluralize(people, 'person')} with keypoints"
    learned = f"{chosen:,} of them are of interest and get training samples" if chosen else "nobody is of interest"
    found = f"{pluralize(counts['problems'], 'problem')} found" if counts["problems"] else "No problem found"
    return f"{shown}; {learned}. {found}."


def tiles(counts: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """List figure, name and explanation of what the page opens with."""
    people, chosen = counts["people"], counts["of_interest"]
    labelled = counts["joints_visible"] + counts["joints_hidden"]
    hidden = f"labelled of a person; {_percent(counts['joints_hidden'], labelled)} of them hidden"
    strangers = f"and {pluralize(counts['crowds'], 'crowd')}, {counts['people_without_keypoints']:,} without keypoints"
    return [
        (f"{counts['photos']:,}", "photos", f"{counts['photos_of_interest']:,} with somebody of interest"),
        (f"{people:,}", "people", strangers),
        (f"{chosen:,}", "of interest", f"{_percent(chosen, people)} of the people"),
        (f"{labelled / people:.1f}" if people else DASH, "joints", hidden),
        (f"{counts['problems']:,}", "problems", "listed below" if counts["problems"] else "every entry is sound"),
    ]


def charts(described: Mapping[str, Any]) -> list[Chart]:
    """Draw each distribution, with heading and explanation."""
    photos, joints = described["people_per_photo"], described["joints_per_person"]
    shared = {str(number): count for number, count in enumerate(photos[:CROWDED])}
    shared |= {f"{CROWDED}+": sum(photos[CROWDED:])} if len(photos) > CROWDED else {}
    groups = make_groups(joints["from"][-1])
    names = [str(group[0]) if len(group) == 1 else f"{group[0]}-{group[-1]}" for group in groups]
    by_group = {part: [sum(joints[key][n] for n in group) for group in groups] for part, key in PARTS.items()}
    pixels, image = described["heights_px"], described["heights_of_image"]
    return [
        ("People of a photo", "Photos, by their people with keypoints.",
         histogram("Photos", list(shared), {"photos": list(shared.values())}, x_name="people")),
        ("Joints of a person", "People, by how many of their joints are labelled.",
         histogram("People", names, by_group, x_name="labelled joints")),
        ("Height in pixels", "People, by the height of their box.",
         _draw_heights(pixels, "pixels, from")),
        ("Height in the photo", "People, by the height of their box as a share of the photo's.",
         _draw_heights(image, "percent, from")),
    ]  # fmt: skip


def _draw_heights(heights: Mapping[str, Sequence[int]], x_name: str) -> Markup:
    """Draw how many people there are from each height on."""
    begins = [str(begin) for begin in heights["from"]]
    parts = {part: heights[key] for part, key in PARTS.items()}
    return histogram("People", begins, parts, x_name=x_name)


def _list_facts(described: Mapping[str, Any]) -> list[tuple[str, str]]:
    turns = described.get("orientation", {}).get("text")
    facts = [("Annotations", described["file"]), *([("Orientation", turns)] if turns else [])]
    if "near_duplicates" in described:
        count = pluralize(described["near_duplicates"]["count"], "photo")
        facts.append(("Near duplicates", f"{count} held out looking like one that is trained on"))
    if "changes" in described:
        told = ", ".join(f"{count:,} {what}" for what, count in described["changes"].items())
        facts.append(("Since the last conversion", f"records: {told}"))
    return facts


def _part(count: int, whole: int) -> list[tuple[str, int]]:
    return [("of-interest", count), ("rest", max(0, whole - count))]


def _embed(text: str, jpeg: bytes) -> dict[str, Any]:
    height, width = read_header_size(jpeg) or (1, 1)
    return {"caption": text, "jpeg": base64.b64encode(jpeg).decode(), "height": height, "width": width}


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else DASH
