"""Decoders of other languages: people as Python finds them, on map scenes of all kinds."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.documents import blocks_of
from support.map_scenes import CARDS, draw_scenes, read_scenes

from benchmarks.cpp_decoder import HEADERS, CppDecoder, compile_decoder
from bodyposenet.common.deploy.export.serving_bundle import skeleton_sheet
from bodyposenet.common.pose import People

RUNNER = Path(__file__).parents[3] / "support/run_decoder.mjs"
DRAWN = 185  # beside the 15 of the test data
NEAR = 0.01  # pixels
SCORES = 1e-4


@pytest.fixture(scope="module")
def drawn():
    return draw_scenes(DRAWN)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Compiled for any processor, with checks of every index and of what C++ leaves undefined."""
    flags = ("-O1", "-D_GLIBCXX_ASSERTIONS", "-fsanitize=undefined", "-fno-sanitize-recover", "-static-libubsan")
    return compile_decoder(tmp_path_factory.mktemp("library"), *flags)


def decode_in_cpp(library, scenes, *, channels_first=False):
    decoders = [CppDecoder(library, scene.sheet) for scene in scenes]
    pairs = zip(decoders, scenes, strict=True)
    return [decoder.decode(scene.heatmaps, scene.pafs, channels_first=channels_first) for decoder, scene in pairs]


def run_node(scenes, folder, *, channels_first=False):
    """What the JavaScript decoder gives for each scene: a list of people, or a message."""
    node = shutil.which("node")
    assert node, "these tests need node"
    listed, maps = [], []
    for scene in scenes:
        both = (scene.heatmaps, scene.pafs)
        shape = dict(zip(("rows", "columns", "heatmaps"), scene.heatmaps.shape, strict=True))
        listed.append({"sheet": scene.sheet, **shape, "pafs": scene.pafs.shape[2], "channelsFirst": channels_first})
        maps += [each.transpose(2, 0, 1).ravel() if channels_first else each.ravel() for each in both]
    (folder / "scenes.json").write_text(json.dumps(listed))
    (folder / "maps.f32").write_bytes(np.concatenate(maps).astype(np.float32).tobytes())
    command = [node, RUNNER, HEADERS / "pose_decoder.mjs", folder / "scenes.json", folder / "maps.f32"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def decode_in_javascript(scenes, folder, **how):
    found = []
    for scene, people in zip(scenes, run_node(scenes, folder, **how), strict=True):
        joints = scene.card.skeleton.num_joints
        rows = [[[joint["x"], joint["y"], joint["score"]] for joint in person["joints"]] for person in people]
        scores = np.array([person["score"] for person in people])
        found.append(People(np.array(rows, float).reshape(-1, joints, 3), scores))
    return found


def assert_as_python(found, scenes):
    """The same people in the same order, with the same joints, to a hundredth of a pixel."""
    for number, (people, scene) in enumerate(zip(found, scenes, strict=True)):
        expected = scene.decode()
        assert len(people) == len(expected), f"scene {number}"
        assert ((people.keypoints[..., 2] > 0) == (expected.keypoints[..., 2] > 0)).all(), f"scene {number}"
        np.testing.assert_allclose(people.keypoints[..., :2], expected.keypoints[..., :2], rtol=0, atol=NEAR)
        np.testing.assert_allclose(people.keypoints[..., 2], expected.keypoints[..., 2], rtol=0, atol=SCORES)
        np.testing.assert_allclose(people.scores, expected.scores, rtol=0, atol=SCORES)


@pytest.mark.compiler
def test_the_cpp_decoder_finds_the_people_that_python_finds_in_drawn_scenes(library, drawn):
    found = decode_in_cpp(library, drawn)
    assert_as_python(found, drawn)
    assert sum(len(people) for people in found) > DRAWN


@pytest.mark.node
def test_the_javascript_decoder_finds_the_people_that_python_finds_in_drawn_scenes(drawn, tmp_path):
    assert_as_python(decode_in_javascript(drawn, tmp_path), drawn)


@pytest.mark.data
@pytest.mark.compiler
def test_the_cpp_decoder_finds_the_people_that_python_finds_in_made_scenes(library, data_folder):
    scenes = list(read_scenes(data_folder))
    assert len(scenes) == 15
    assert_as_python(decode_in_cpp(library, scenes), scenes)


@pytest.mark.data
@pytest.mark.node
def test_the_javascript_decoder_finds_the_people_that_python_finds_in_made_scenes(data_folder, tmp_path):
    scenes = list(read_scenes(data_folder))
    assert_as_python(decode_in_javascript(scenes, tmp_path), scenes)


@pytest.mark.compiler
@pytest.mark.node
def test_maps_with_channels_first_are_read_as_well(library, drawn, tmp_path):
    some = drawn[:20]
    assert_as_python(decode_in_cpp(library, some, channels_first=True), some)
    assert_as_python(decode_in_javascript(some, tmp_path, channels_first=True), some)


@pytest.mark.compiler
def test_one_decoder_goes_from_picture_to_picture_of_any_size(library, drawn):
    scenes = [scene for scene in drawn if scene.card == CARDS[0] and not scene.changes][:12]
    decoder = CppDecoder(library, scenes[0].sheet)
    assert_as_python([decoder.decode(scene.heatmaps, scene.pafs) for scene in scenes], scenes)


SHEET = json.dumps(skeleton_sheet(CARDS[0]))


@pytest.mark.compiler
@pytest.mark.parametrize(
    ("there", "instead", "problem"),
    [
        (SHEET, "", "no JSON at character 0"),
        (SHEET, SHEET + "}", "no JSON at character"),
        (SHEET, "[" * 100_000, "no JSON at character"),
        (SHEET, '{"joints": ["\\ud83d"]}', "no JSON at character"),
        ('"sigma": 7.0', '"sigma": 7,0', "no JSON at character"),
        ('"sigma": 7.0', '"sigma": 1e', "no JSON at character"),
        ('"sigma": 7.0', '"sigma": -1', "stride or sigma"),
        ('"stride": 8', '"stride": "8"', "no number"),
        ('"min_parts": 3', '"min_parts": -1', "no count"),
        ('"paf_shift"', '"shift"', "no paf_shift"),
        ('[["neck", "right_hip"]', '[["neck", "tail"]', "a limb ends at no joint"),
        ('[["neck", "right_hip"]', '[["neck"]', "a limb ends at no joint"),
        ('"means": [[], ', '"means": [', "another number of joints"),
        ('"means": [[], [', '"means": [[], [], [', "the prior's rows are short"),
    ],
)
def test_a_sheet_that_is_none_is_refused_in_cpp(library, there, instead, problem):
    assert there in SHEET
    with pytest.raises(ValueError, match=problem):
        CppDecoder(library, SHEET.replace(there, instead, 1))


@pytest.mark.compiler
@pytest.mark.node
def test_maps_of_another_network_are_refused(library, drawn, tmp_path):
    scene = drawn[0]
    wrong = [
        replace(scene, heatmaps=scene.heatmaps[..., :-3]),
        replace(scene, pafs=scene.pafs[..., :-1]),
    ]
    for each, told in zip(wrong, run_node(wrong, tmp_path), strict=True):
        with pytest.raises(ValueError, match="does not take the maps"):
            CppDecoder(library, each.sheet).decode(each.heatmaps, each.pafs)
        assert told == "RangeError: the maps are not those of 18 joints and 19 limbs"


@pytest.mark.compiler
def test_the_header_can_be_in_several_files_of_a_program(tmp_path):
    for name in ("one", "other"):
        (tmp_path / f"{name}.cpp").write_text('#include "pose_decoder.hpp"\n' + "int main() {}\n" * (name == "one"))
    command = ["g++", "-std=c++17", "-O0", f"-I{HEADERS}", "one.cpp", "other.cpp", "-o", "program"]
    subprocess.run(command, check=True, cwd=tmp_path)


# What the page's block uses of DeepStream's header, by the names and types that NVIDIA documents
GSTNVDSINFER = """
struct NvDsInferDims { unsigned int numDims; unsigned int d[8]; unsigned int numElements; };
struct NvDsInferLayerInfo { NvDsInferDims inferDims; const char* layerName; void* buffer; int isInput; };
struct NvDsInferTensorMeta {
  unsigned int num_output_layers; NvDsInferLayerInfo* output_layers_info; void** out_buf_ptrs_host;
};
"""
# Answers as Triton gives them, and as onnxruntime-web does, of the maps that stand beside
ANSWERS = """
import { readFileSync } from "node:fs";
export const { sheet, size, shapes, values } = JSON.parse(readFileSync(new URL("scene.json", import.meta.url)));
export const outputs = ["paf_out", "heatmap_out"].map((name) => {
  return { name, datatype: "FP32", shape: shapes[name], data: values[name] };
});
export const asked = [];
"""
TRITON = """
import { asked, outputs, sheet, size } from "./answers.mjs";
globalThis.fetch = async (address, { body } = {}) => {
  if (body) asked.push([address, JSON.parse(body)]);
  const answer = body ? { outputs } : { parameters: { skeleton: { string_value: JSON.stringify(sheet) } } };
  return { json: async () => answer };
};
const { openModel } = await import("./page.mjs");
const findPeople = await openModel("http://server/v2/models/people");
const people = await findPeople(new Float32Array(3 * size[0] * size[1]).fill(0.25), ...size);
console.log(JSON.stringify({ people, asked }));
"""
ONNXRUNTIME_WEB = """
import { asked, outputs } from "../../answers.mjs";
export class Tensor {
  constructor(kind, data, dims) { Object.assign(this, { kind, data, dims }); }
}
export const InferenceSession = {
  create: async () => ({
    run: async (feeds) => {
      asked.push(feeds.input_1);
      const answer = ({ shape, data }) => ({ dims: shape, data: Float32Array.from(data) });
      return Object.fromEntries(outputs.map((output) => [output.name, answer(output)]));
    },
  }),
};
"""
BROWSER = """
import { asked, sheet, size } from "./answers.mjs";
import { openModel } from "./page.mjs";
const findPeople = await openModel("model.onnx", sheet);
const data = new Uint8ClampedArray(4 * size[0] * size[1]).map((_, place) => [64, 128, 192, 255][place % 4]);
const people = await findPeople({ data, height: size[0], width: size[1] });
const { dims, data: pixels } = asked[0];
console.log(JSON.stringify({ people, dims, pixels: Array.from(pixels.slice(0, 6)) }));
"""


@pytest.mark.compiler
def test_the_page_s_block_for_deepstream_compiles(tmp_path):
    (block,) = blocks_of("docs/serving.md", "cpp")
    (tmp_path / "gstnvdsinfer.h").write_text(GSTNVDSINFER)
    (tmp_path / "page.cpp").write_text(block.text)
    command = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{HEADERS}", "page.cpp"]
    subprocess.run(command, check=True, cwd=tmp_path)


def run_page(folder, number, scene, script):
    """Run a block of the page beside what it needs, and return what the script prints."""
    heatmaps, pafs = scene.heatmaps[None], scene.pafs[None]
    told = {
        "sheet": scene.sheet,
        "size": [side * scene.card.stride for side in scene.heatmaps.shape[:2]],
        "shapes": {"heatmap_out": heatmaps.shape, "paf_out": pafs.shape},
        "values": {"heatmap_out": heatmaps.ravel().tolist(), "paf_out": pafs.ravel().tolist()},
    }
    (folder / "scene.json").write_text(json.dumps(told))
    shutil.copy(HEADERS / "pose_decoder.mjs", folder)
    files = {"page.mjs": blocks_of("docs/serving.md", "js")[number].text, "answers.mjs": ANSWERS, "main.mjs": script}
    for name, text in files.items():
        (folder / name).write_text(text)
    result = subprocess.run(["node", "main.mjs"], cwd=folder, check=True, capture_output=True, text=True)
    return json.loads(result.stdout)


def count_joints(people):
    return [sum(joint["score"] > 0 for joint in person["joints"]) for person in people]


@pytest.mark.node
def test_the_page_s_block_for_triton_reads_people_from_the_server_s_answer(drawn, tmp_path):
    scene = drawn[0]
    told = run_page(tmp_path, 0, scene, TRITON)
    expected = scene.decode()
    assert len(expected)
    assert count_joints(told["people"]) == (expected.keypoints[..., 2] > 0).sum(axis=1).tolist()
    ((address, body),) = told["asked"]
    assert address == "http://server/v2/models/people/infer"
    (given,) = body["inputs"]
    assert (given["name"], given["datatype"]) == ("input_1", "FP32")
    assert given["shape"] == [1, *(8 * side for side in scene.heatmaps.shape[:2]), 3]
    assert len(given["data"]) == np.prod(given["shape"])


@pytest.mark.node
def test_the_page_s_block_for_browsers_feeds_the_network_and_reads_people(drawn, tmp_path):
    scene = drawn[0]
    package = tmp_path / "node_modules/onnxruntime-web"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"type": "module", "exports": "./index.js"}')
    (package / "index.js").write_text(ONNXRUNTIME_WEB)
    told = run_page(tmp_path, 1, scene, BROWSER)
    assert count_joints(told["people"]) == (scene.decode().keypoints[..., 2] > 0).sum(axis=1).tolist()
    assert told["dims"] == [1, *(8 * side for side in scene.heatmaps.shape[:2]), 3]
    assert told["pixels"] == [-0.25, 0.0, 0.25] * 2  # 64, 128 and 192, over 256, less .5
