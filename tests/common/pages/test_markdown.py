"""Markdown: names keep their underscores, code stays as it is."""

from bodyposenet.common.pages.markdown import keep_underscores
from bodyposenet.common.report.run_summary import summarize
from bodyposenet.common.tracking.history import FAILED, TaskRow


def test_underscores_are_escaped_but_in_code():
    page = "| stage1_paf_conv4 | 3 |\n\n**v_1**: `models:/a_b@champion` of a_b, `x_y`\n"
    wanted = "| stage1\\_paf\\_conv4 | 3 |\n\n**v\\_1**: `models:/a_b@champion` of a\\_b, `x_y`\n"
    assert keep_underscores(page) == wanted


def test_addresses_of_links_lead_where_they_led():
    page = "[run_1](http://mlflow/#/experiments/1/runs/a_b?x_y) of a_b"
    assert keep_underscores(page) == "[run\\_1](http://mlflow/#/experiments/1/runs/a_b?x_y) of a\\_b"


def test_a_page_without_them_stays():
    assert keep_underscores("# a `b` | c\n") == "# a `b` | c\n"


def test_what_strangers_say_is_no_markup_of_a_run_s_summary():
    """Names, data and failures may be anybody's: an address with a password, a picture that calls home, colours."""
    rows = [
        TaskRow("a|b`c", "FAILED", 1.0, "no <img src=x onerror=alert(1)>\n[here](javascript:alert(1)) \x1b[31m", {})
    ]
    page = summarize("nightly", "https://me:SECRET@host/a`b.zip?token=SECRET", FAILED, "", rows)
    assert "SECRET" not in page
    assert "\x1b" not in page
    assert "Data: `https://host/a'b.zip`\n" in page
    assert (
        "- **a/b'c failed**:\n  - no &lt;img src=x onerror=alert(1)>\n  - [here] (javascript:alert(1)) \\x1b[31m"
        in page
    )
    assert "| a/b'c | failed | 1 |  |" in page
