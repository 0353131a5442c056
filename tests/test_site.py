"""Site: every page has its place, links hold, and the references have all verbs, all keys and all names."""

import ast
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

import bodyposenet
from bodyposenet.common.spec.guide.keys import list_keys
from bodyposenet.common.spec.kinds import KINDS
from docs.site.built import find_faults, read_page
from docs.site.flowchart import draw_chart, read_chart
from docs.site.links import find_dead_links
from docs.site.pages import NOTEBOOK, PAGES, REFERENCE, ROOT, SETTINGS, write_site
from docs.site.python_names import RESULTS
from docs.site.spec_keys import name_key
from docs.site.verbs import LAUNCHER, list_launch_options, list_options, list_verbs

CODE = ("bodyposenet", "common", "components", "pipelines")
BUILT = """<html><head><link rel="stylesheet" href="{style}"><script src="script.js"></script></head>
<body><h2 id="here">Here</h2><a href="{link}">there</a></body></html>"""


class SettingsLoader(yaml.SafeLoader):
    """Reads mkdocs' settings, functions of Python's aside."""


SettingsLoader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    write_site(folder)
    return folder


@pytest.fixture(scope="module")
def reference(site):
    """Text of a page of the reference by its name."""
    return lambda name: (site / PAGES / REFERENCE / name).read_text()


def sections(text):
    """A page's parts by their headings."""
    _, *parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def listed(nav):
    """The pages of a navigation, in order."""
    for each in nav:
        inner = next(iter(each.values())) if isinstance(each, dict) else each
        yield from [inner] if isinstance(inner, str) else listed(inner)


def test_every_page_stands_in_the_navigation_once(site):
    nav = list(listed(yaml.load((site / SETTINGS).read_text(), SettingsLoader)["nav"]))
    pages = [page.relative_to(site / PAGES).as_posix() for page in (site / PAGES).rglob("*.md")]
    assert sorted(nav) == sorted(pages)


def test_every_link_leads_somewhere(site):
    dead = {page.name: list(find_dead_links(page)) for page in (site / PAGES).rglob("*.md")}
    assert {name: links for name, links in dead.items() if links} == {}


def test_the_reference_has_every_verb_with_every_flag_its_default_and_its_help(reference):
    parts = sections(reference("verbs.md"))
    verbs = dict(list_verbs())
    assert list(parts) == [LAUNCHER, *verbs]
    for name, command in verbs.items():
        for option in list_options(command):
            assert_told(option, parts[name])
        assert command.epilog.splitlines()[-1].strip() in parts[name], "its example"
    for option in list_launch_options():
        assert_told(option, parts[LAUNCHER])


def assert_told(option, text):
    names, told = option.get_help_record(click.Context(click.Command("verb")))
    entry = plain(text.split(f"`{names}`\n", 1)[1].split("\n\n", 1)[0])
    for part in re.split(r"  \[|\]$|\](?=  )|; ", told):
        assert part.strip().replace("`", "") in entry, names


def plain(text):
    """What Markdown shows."""
    return re.sub(r"\\(.)", r"\1", text).replace("`", "").replace("&lt;", "<")


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_has_every_key_with_its_default_and_what_it_does(kind, reference):
    text = reference(f"spec-{kind}.md")
    for key in list_keys(kind):
        entry = text.split(f'`{key.path[-1]}` <span id="{name_key(key)}"></span>\n', 1)[1].split('<span id="', 1)[0]
        assert key.default in plain(entry), key.name
        assert key.told.effect.replace("`", "") in plain(entry), key.name


def test_the_reference_has_every_public_name(reference):
    parts = sections(reference("python.md"))
    assert list(parts) == [*bodyposenet.PLACES, *RESULTS]
    assert all(f"bodyposenet.{name}" in parts[name] for name in bodyposenet.PLACES)


def test_what_a_built_page_fetches_from_elsewhere_is_found(tmp_path):
    (tmp_path / "script.js").touch()
    (tmp_path / "index.html").write_text(BUILT.format(style="https://fonts.example.com/a.css", link="#here"))
    assert list(find_faults(tmp_path)) == ["index.html: fetches https://fonts.example.com/a.css"]


@pytest.mark.parametrize("link", ["gone.html", "#gone", "index.html#gone"])
def test_a_link_of_a_built_page_that_leads_nowhere_is_found(tmp_path, link):
    (tmp_path / "script.js").touch()
    (tmp_path / "index.html").write_text(BUILT.format(style="script.js", link=link))
    assert list(find_faults(tmp_path)) == [f"index.html: leads nowhere: {link}"]


def test_a_page_that_is_given_for_any_address_fetches_nothing_and_leads_nowhere_by_a_path(tmp_path):
    (tmp_path / "script.js").touch()
    lost = BUILT.format(style="/assets/a.css", link="/index.html").replace("</h2>", '</h2><a href="#here">here</a>')
    (tmp_path / "404.html").write_text(lost)
    assert list(find_faults(tmp_path)) == [
        "404.html: fetches /assets/a.css",
        "404.html: fetches script.js",
        "404.html: leads nowhere: /index.html",
    ]


def test_the_site_s_page_for_any_address_has_no_fault(site, tmp_path):
    templates = site / yaml.load((site / SETTINGS).read_text(), SettingsLoader)["theme"]["custom_dir"]
    page = (templates / "404.html").read_text()
    assert "{" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL), "mkdocs has nothing to fill in"
    (tmp_path / "404.html").write_text(page)
    assert list(find_faults(tmp_path)) == []
    (icon,) = read_page(tmp_path / "404.html").fetched
    assert icon == "data:,", "without it browsers ask for one"


def test_a_chart_is_drawn_with_every_box_below_those_that_lead_to_it():
    text = "flowchart LR\n    a{first} -- if new --> b[second]\n    b --> c([third & last])\n    a --> c\n"
    assert read_chart(text).edges == [("a", "b", "if new"), ("b", "c", ""), ("a", "c", "")]
    picture = draw_chart(text)
    heights = [int(y) for y in re.findall(r'<rect x="\d+" y="(\d+)"', picture)]
    assert heights == sorted(set(heights))
    assert re.findall(r">([^<>\n]+)</text>", picture) == ["if new", "first", "second", "third &amp; last"]


def test_no_page_has_a_chart_that_a_script_from_elsewhere_would_draw(site):
    home = (site / PAGES / "README.md").read_text()
    assert "<svg" in home
    assert not any("```mermaid" in page.read_text() for page in (site / PAGES).rglob("*.md"))


def test_the_notebook_runs_and_its_page_shows_what_came_of_it(site):
    page = (site / PAGES / NOTEBOOK).with_suffix(".md").read_text()
    assert "\n1\n```" in page, "one person in the photo"
    assert "FoundJoint(name='nose', x=" in page
    assert "person" in page
    assert "![](data:image/png;base64," in page


def list_code(page, number=0):
    """A column of all tables of a page, in code."""
    rows = re.findall(r"^\| (.+) \|$", (ROOT / page).read_text(), re.MULTILINE)
    return [text for row in rows for text in re.findall(r"`([^`]+)`", row.split(" | ")[number])]


def read_texts(file):
    """What strings of a file of Python say, values in them apart."""
    nodes = ast.walk(ast.parse(file.read_text()))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_every_error_that_is_explained_is_one_that_the_code_tells():
    said = ["\n".join(read_texts(file)) for folder in CODE for file in (ROOT / folder).rglob("*.py")]
    quoted = list_code("docs/troubleshooting.md")
    assert len(quoted) > 30
    for text in quoted:
        parts = [part.strip() for part in text.split("…") if part.strip(" (),:;x")]
        assert any(all(part in texts for part in parts) for texts in said), text


@pytest.mark.parametrize("command", [text for text in list_code("docs/coming-from.md", 1) if text.startswith("bpnet ")])
def test_every_command_for_those_who_come_from_elsewhere_is_understood(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)
    for word in words:  # what it reads would be there
        if Path(word).suffix:
            Path(word).parent.mkdir(parents=True, exist_ok=True)
            Path(word).touch()
    verb = dict(list_verbs())[words[1]]
    verb.make_context(words[1], words[2:])


def test_the_tutorial_s_steps_are_the_worked_example():
    example = (ROOT / "docs/worked-example.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/tutorial.md").read_text(), re.MULTILINE | re.DOTALL)
    steps = [line for block in blocks for line in block.splitlines()]
    assert [line for line in steps if line not in example] == [
        "bpnet bundle --for triton -m results/small.onnx -o served --name people"
    ]
