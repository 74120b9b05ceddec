"""What a file is that is not of a format that is read, by its first bytes: its name often says something else."""

HEAD_BYTES = 64
HEIC = "a HEIC, which iPhones write: export it as JPEG"
# The first bytes, from an offset on.
BINARY = (
    (0, b"GIF8", "a GIF"),
    (0, b"BM", "a BMP"),
    (0, b"II*\0", "a TIFF"),
    (0, b"MM\0*", "a TIFF"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (4, b"ftyphei", HEIC),
    (4, b"ftyphev", HEIC),
    (4, b"ftypmif1", HEIC),
    (4, b"ftypavif", "an AVIF"),
    (4, b"ftyp", "a film"),
    (0, b"%PDF", "a PDF"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "packed with gzip"),
)
# The first letters, in lower case, behind white space and a byte order mark.
TEXT = (
    (b"version https://git-lfs", "a pointer of Git LFS: git lfs pull fetches the file"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
    (b"<svg", "an SVG"),
    (b"<?xml", "XML"),
    (b"<error", "an error message in XML"),
    (b"data:image/", "a data: URL"),
    (b"/9j/", "base64"),
    (b"ivborw0kggo", "base64"),
)


def kind_of(data: bytes) -> str:
    """Return what a file is, with an article, of which at least HEAD_BYTES are given if it has them; "" if unknown."""
    if not data:
        return "an empty file"
    for offset, magic, kind in BINARY:
        if data.startswith(magic, offset):
            return kind
    return text_of(data)


def text_of(data: bytes) -> str:
    """Return what a file of text is, as kind_of() does: what was fetched is often a pointer or an error's page."""
    text = data[:HEAD_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((kind for magic, kind in TEXT if text.startswith(magic)), "")
