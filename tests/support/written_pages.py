"""Written pages: one of each kind that the project writes, with what is long in them as long as users make it."""

import numpy as np
from support.coco_files import image, write_dataset
from support.perfect import PerfectRunner, standing
from support.seeded_errors import shift, swap

from bodyposenet.common.data.annotations.coco import read_half
from bodyposenet.common.data.annotations.person_filter import choose
from bodyposenet.common.data.annotations.problems import NearDuplicate, Problem
from bodyposenet.common.data.report.dataset_report import report_dataset, set_skeleton
from bodyposenet.common.data.report.suspects_page import write_suspects_page
from bodyposenet.common.data.suspects.find import find_by_geometry
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.evaluation.ground_truth import read_test_set
from bodyposenet.common.prune.prune import PruneOutcome
from bodyposenet.common.report import pareto
from bodyposenet.common.report.comparison_table import Stage
from bodyposenet.common.report.gallery import Gallery, Section, write_gallery
from bodyposenet.common.report.pruning_page import write_pruning_page
from bodyposenet.common.report.run_report import write_report
from bodyposenet.common.report.sweep_page import write_sweep_page
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.storage.location import locate

LONG = "warehouse-north/2026-01-14/camera_0003_entrance_and_loading_bay_frame_000123456"  # a name without a blank
PHOTOS = 14
SIZE = (400, 500)
BOX = (20, 20, 120, 300)
IMAGES = [image(number, size=SIZE, name=f"{LONG}_{number}.png") for number in range(1, PHOTOS + 1)]
PEOPLE = [standing(number, number, BOX) for number in range(1, PHOTOS + 1)]
FACTS = {"Data": f"s3://photos-of-the-northern-warehouse/{LONG}.json", "Seed": 0, "Digest": "9f" * 32}
STAGES = [
    Stage("base", ap=0.460, params=7_952_633, gflops=26.0, bytes=31_949_000, latency_ms=112.4),
    Stage("pruned", ap=0.010, params=820_000, gflops=7.8, bytes=3_300_000, latency_ms=22.0),
    Stage("retrained", ap=0.455, params=820_000, gflops=7.8, bytes=3_300_000, latency_ms=22.0),
    Stage("int8", ap=0.450, params=820_000, gflops=None, bytes=900_000, latency_ms=6.4),
]
CUTS = [
    Stage("target_flops 0.7", ap=0.455, params=5e6, gflops=18.0, bytes=20e6),
    Stage("target_flops 0.5", ap=0.450, params=3e6, gflops=13.0, bytes=12e6),
    Stage("target_params 0.4", ap=0.410, params=3e6, gflops=15.0, bytes=12e6),
]
CURVES = {
    "train": [{"epoch": epoch, "loss": 9 / epoch, "val_ap": 0.01 * epoch} for epoch in range(1, 41)],
    "retrain of round 2 of 3": [{"epoch": 1, "loss": 4.0, "learning_rate": 1e-5}],
}
LAYERS = {
    f"stage{stage}_conv{number}_separable_pointwise": (17 * stage, 128) for stage in range(1, 7) for number in range(8)
}


def write_pages(folder):
    """Write one page of each kind into a folder; returns them by name."""
    return write_data_pages(folder / "data") | write_network_pages(folder) | write_batch_pages(folder)


def write_data_pages(folder):
    """What tells of labels: an evaluation that misses two people, a dataset with problems, likely wrong labels."""
    labels = [*PEOPLE, shift(PEOPLE[5], 90, 3), standing(91, 6, (250, 30, 130, 310), hidden=range(9, 17))]
    labels[2] = swap(labels[2])
    spec = write_dataset(folder, IMAGES, labels)
    coco, params = read_half(spec, "train"), spec.data_filtering_params
    said = f"says 4000x3000, and the photo has {SIZE}"
    problems = [Problem(f"{LONG}_{number}.png", "size", said) for number in range(12)]
    pairs = [NearDuplicate(1, f"{LONG}_1.png", 2, f"{LONG}_2.png", 3)]
    changes = {"kept": 98_765, "added": 1_234, "changed": 12, "removed": 5}

    def read(name):
        return (folder / "images" / name).read_bytes()

    report_dataset(
        folder, coco, choose(coco, params), problems,
        spec=spec, read=read, turns={"shown": 3, "stored": 1}, pairs=pairs, changes=changes,
    )  # fmt: skip
    suspects, facts = folder / "suspects.html", {"Annotations": FACTS["Data"]}
    found = find_by_geometry(coco)
    write_suspects_page(locate(suspects), found, set_skeleton(coco.joints), read, people=len(labels), facts=facts)
    return {"dataset": folder / "dataset_report.html", "suspects": suspects, "evaluation": write_evaluation(folder)}


def write_evaluation(folder):
    """A network that does not find the people of two photos."""
    truth = write_dataset(folder / "test", IMAGES, PEOPLE)
    network = PerfectRunner(read_test_set(truth), shape=(184, 184))
    network.queue = [
        type(one)(one.image_id, one.file_name, one.height, one.width, ()) if one.image_id in (4, 9) else one
        for one in network.queue
    ]
    evaluate(network, parse_spec({"input_shape": [184, 184]}, InferenceSpec), truth, folder / "evaluated")
    return folder / "evaluated/evaluation.html"


def write_network_pages(folder):
    """What tells of networks: a run's report, what pruning left, and how far to prune."""
    run = write_report(
        folder / "run.html", title="Nightly retraining", ceiling_ap=0.65, stages=STAGES, curves=CURVES,
        pictures=[(f"{LONG}_{number}.jpg", noise(number)) for number in range(5)], facts=FACTS, channels=LAYERS,
    )  # fmt: skip
    done = PruneOutcome(folder, LAYERS, 7_952_633, 820_000, 26.0, 7.8, (368, 496), 0.1234, "The target was missed.")
    pruning = write_pruning_page(folder / "pruning.html", done, PruneSpec(excluded_layers=(*LAYERS,)[:5]))
    cuts = write_sweep_page(folder / "sweep.html", STAGES[0], CUTS, pareto.choose(STAGES[0], CUTS, 0.02))
    return {"run": run, "pruning": pruning, "sweep": cuts}


def write_batch_pages(folder):
    """What tells of photos without labels: those with people found, and a batch in which none could be read."""
    photos = [(f"{LONG}_{number}.jpg: 3 people", noise(number)) for number in range(7)]
    sections = [Section("Most people", "Crowds.", photos)]
    problems = [f"{FACTS['Data']}_{number}.jpg: cut short after 1,234 bytes; copy it again" for number in range(30)]
    tiles = [
        ("1,234", "photos", "of 1,300"),
        ("4,321", "people", "in 1,200 photos"),
        ("3.51", "people a photo", "mean"),
    ]
    batch = Gallery("People found", "4,321 people in 1,234 photos.", tiles, sections, problems, 66, FACTS)
    empty = Gallery("People found", "No photo could be read.", problems=problems, unreadable=30)
    return {"batch": write_gallery(folder / "batch.html", batch), "empty": write_gallery(folder / "empty.html", empty)}


def noise(number, height=240, width=320):
    """A picture in which nothing is."""
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
