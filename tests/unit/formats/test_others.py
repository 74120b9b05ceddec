import pytest

from classifier.formats.others import kind_of


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "an empty file"),
        (b"GIF89a", "a GIF"),
        (b"\0\0\0\x18ftypheic", "a HEIC, which iPhones write: export it as JPEG"),
        (b"\0\0\0\x20ftypisom", "a film"),
        (b"\xef\xbb\xbf\r\n  <!DOCTYPE html><html>", "a web page"),
        (b"<HTML><body>404", "a web page"),
        (b"<Error><Code>AccessDenied</Code></Error>", "an error message in XML"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS: git lfs pull fetches the file"),
        (b"data:image/png;base64,iVBORw0KGgo", "a data: URL"),
        (b"/9j/4AAQSkZJRg", "base64"),
        (b"hello", ""),
        (b"\0" * 64, ""),
    ],
)
def test_what_a_file_is(data, kind):
    assert kind_of(data) == kind
