"""Files that are images to their owner and not to training: what they are, and how they become JPEGs."""

from collections.abc import Mapping

CONVERT = "convert them to JPEG, for example with ImageMagick: magick mogrify -format jpg FILES"
RENAME = "they are JPEGs by another name: rename them to .jpg"
FRAMES = "take frames from them: ffmpeg -i FILE -vf fps=1 %04d.jpg"
DEVELOP = "export them as JPEG with the camera's program or darktable-cli"
ADVICE = {
    **dict.fromkeys((".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k"), CONVERT),
    **dict.fromkeys((".gif", ".bmp", ".tif", ".tiff", ".ico", ".psd", ".svg", ".pdf"), CONVERT),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".dds", ".eps", ".dcm"), CONVERT),
    **dict.fromkeys((".jpe", ".jif", ".jpg_large", ".pjpeg", ".jpgx"), RENAME),
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2"), DEVELOP),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"), FRAMES),
}
# The first bytes of a file, from an offset on, and what it then is.
MAGIC = (
    (0, b"GIF8", "a GIF"),
    (0, b"BM", "a BMP"),
    (0, b"II*\0", "a TIFF"),
    (0, b"MM\0*", "a TIFF"),
    (4, b"ftyphei", "a HEIC"),
    (4, b"ftypmif1", "a HEIC"),
    (4, b"ftypavif", "an AVIF"),
    (0, b"%PDF", "a PDF"),
    (0, b"<svg", "an SVG"),
    (0, b"<?xml", "XML"),
    (0, b"<!DOCTYPE", "a web page"),
    (0, b"<!doctype", "a web page"),
    (0, b"<html", "a web page"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"version https://git-lfs", "a pointer of Git LFS: git lfs pull fetches the image"),
)


def kind_of(data: bytes) -> str:
    """Return what a file that is no JPEG, PNG or WebP is, by its first bytes; "" if that is not known."""
    if not data:
        return "an empty file"
    return next((kind for offset, magic, kind in MAGIC if data.startswith(magic, offset)), "")


def advise(passed_over: Mapping[str, int]) -> list[tuple[str, int, str]]:
    """Return suffix, count and advice for each kind of `passed_over` files that hold images or films."""
    kinds = sorted(passed_over.items(), key=lambda kind: -kind[1])
    return [(suffix, count, ADVICE[suffix]) for suffix, count in kinds if suffix in ADVICE]
