from pathlib import Path

import third_party

TOP = Path(__file__).parents[2]


def test_the_notices_list_what_the_image_ships():
    rows = [line.split(" | ")[0].removeprefix("| ") for line in (TOP / "THIRD_PARTY.md").read_text().splitlines()]
    names = [row for row in rows if row in set(third_party.shipped())]
    assert names == third_party.shipped()
    assert {"torch", "flask", "gunicorn"} <= set(names)
    assert "triton" not in names
