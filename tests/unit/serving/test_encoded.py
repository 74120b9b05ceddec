import base64
import os

import pytest

from classifier.serving.encoded import decode_base64, find_image


@pytest.mark.parametrize("length", range(7))
def test_every_form_of_base64(length):
    data = b"\xfb\xff\xbf" + os.urandom(length)
    plain, safe = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
    for text in (plain, safe, plain.rstrip("="), safe.rstrip("="), base64.encodebytes(data).decode()):
        for prefix in ("", "\r\n\t \v\f", "data:;base64,", "data:image/png;base64,", "Data:a/b;c=d;Base64,\n"):
            assert decode_base64(prefix + text) == data


def test_a_shell_makes_spaces_of_line_breaks():
    data = os.urandom(200)
    assert decode_base64(base64.encodebytes(data).decode().replace("\n", " ")) == data
    assert decode_base64(base64.encodebytes(data).decode().replace("\n", "\n    ")) == data


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("QUJD%3D", "remove or replace '%'"),
        ("QUI=QUI=", "remove each '=' but one or two at its end"),
        ("QQ===", "remove each '=' but one or two at its end"),
        ("=", "remove each '=' but one or two at its end"),
        ("QUJDR", "characters are missing at its end"),
        ("b'QUJD", """remove or replace "'\""""),
        (str(b"\xff\xd8"), "it is what Python prints for bytes"),
        ("\ufeffQUJD", r"remove or replace '\\ufeff'"),
        ("QU\ud800", r"remove or replace '\\ud800'"),
        ("QU\xa0JD", r"remove or replace '\\xa0'"),
        ("/9j/4 AA", "it has spaces, perhaps in place of '\\+'"),
        ("/9j/ 4 AA ", "it has spaces, perhaps in place of '\\+'"),
        ("QU\0JD", r"remove or replace '\\x00'"),
        ("QUI=\0", r"remove or replace '\\x00'"),
        ("QUI=\0=", r"remove or replace '\\x00'"),
        ("QUI=}", "remove or replace '}'"),
        (r"QU\nJD", r"remove or replace '\\\\'"),
        ("data:image/png,QUJD", "its data: URL does not say ;base64"),
        ("data:image/png;base64QUJD", "remove or replace ':'"),
        *(
            (place, "it is where a file is; send what")
            for place in ("https://a.example/b?c", "s3://a/b.jpg", " a b/c.PNG\n")
        ),
    ],
)
def test_what_is_not_base64_names_what_to_change(text, expected):
    with pytest.raises(ValueError, match=expected):
        decode_base64(text)


@pytest.mark.parametrize("layers", range(5))
def test_an_image_is_found_in_up_to_three_layers(layers):
    data = image = b"\xff\xd8 and so on"
    for _ in range(layers):
        data = base64.b64encode(data)
    assert find_image(data) == (image if layers <= 3 else data)


@pytest.mark.parametrize("data", [b"", b"QUJD", b"\xff\xd8", b"\x89PNG", b"\0" * 9, b"\xff\xfe\xfd", b"hello"])
def test_what_holds_no_image_stays(data):
    assert find_image(data) == data


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32-le"])
def test_base64_that_another_system_wrote(encoding):
    assert find_image(base64.b64encode(b"\xff\xd8").decode().encode(encoding)) == b"\xff\xd8"
