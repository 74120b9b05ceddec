"""Files that are images to their owner and not to training: how they become JPEGs."""

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


def advise(passed_over: Mapping[str, int]) -> list[tuple[str, int, str]]:
    """Return suffix, count and advice for each kind of `passed_over` files that hold images or films."""
    kinds = sorted(passed_over.items(), key=lambda kind: -kind[1])
    return [(suffix, count, ADVICE[suffix]) for suffix, count in kinds if suffix in ADVICE]
