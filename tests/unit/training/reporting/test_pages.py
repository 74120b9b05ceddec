import pytest

from classifier.training.reporting import pages


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a_b/c.jpg", "a_<wbr/>b/<wbr/>c.<wbr/>jpg"),
        ("objective=validation:loss", "objective=<wbr/>validation:<wbr/>loss"),
        ("0.67 times", "0.67 times"),
        ("<b>_", "&lt;b&gt;_<wbr/>"),
    ],
)
def test_where_a_name_may_break(name, expected):
    assert pages.breakable(name) == expected


def test_a_page_is_filled_in(tmp_path):
    (tmp_path / "page.html").write_text("{{ name }} {{ 0.5|percent }} {{ 2|plural('image') }} {{ 'so'|sentence }}")
    page = pages.fill_in("page.html", {"name": "<a>"}, tmp_path)
    assert page == "&lt;a&gt; 50.0\u00a0% 2 images So."
