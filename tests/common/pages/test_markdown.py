"""Markdown: names keep their underscores, code stays as it is."""

from bodyposenet.common.pages.markdown import keep_underscores


def test_underscores_are_escaped_but_in_code():
    page = "| stage1_paf_conv4 | 3 |\n\n**v_1**: `models:/a_b@champion` of a_b, `x_y`\n"
    wanted = "| stage1\\_paf\\_conv4 | 3 |\n\n**v\\_1**: `models:/a_b@champion` of a\\_b, `x_y`\n"
    assert keep_underscores(page) == wanted


def test_a_page_without_them_stays():
    assert keep_underscores("# a `b` | c\n") == "# a `b` | c\n"
