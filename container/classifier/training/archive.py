"""model.tar.gz, as SageMaker packs an artifact: only the artifact's files are unpacked, and only up to a size."""

import gzip
import os
import posixpath
import tarfile
import tempfile
from collections import defaultdict
from pathlib import Path
from shutil import copyfileobj
from typing import IO

from classifier import files
from classifier.artifact import METADATA_FILE
from classifier.artifact_fields import FILES, WEIGHTS_FILE
from classifier.errors import UserError
from classifier.training.data.names import quoted
from classifier.words import plural

# An artifact has 100 MB, and 4 kB more for each class.
MOST_BYTES = 1 << 30
ARCHIVE = "model.tar.gz"
ENDS = (".tar.gz", ".tgz", ".tar")
CHUNK = 1 << 20
ACCEPTED = "a tar file, packed with gzip or not at all"
# What files begin with that have another packing than their name says.
OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"PK": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf": "7-Zip"}


def find_archive(channel: Path) -> Path | None:
    """Return the archive in a channel or in a folder in it, such as a job's output; None if it has the artifact itself.

    Raises UserError if it is no regular file, or if there is none of this name, or more than one.
    """
    inside = [channel] + sorted(path for path in channel.iterdir() if path.is_dir())
    found = [path / ARCHIVE for path in inside if os.path.lexists(path / ARCHIVE)]
    at_top = bool(found) and found[0].parent == channel
    if not at_top and any((path / METADATA_FILE).exists() for path in inside):
        return None
    if at_top or len(found) == 1:
        files.check_regular(found[0])
        return found[0]
    others = found or [path for path in sorted(channel.iterdir()) if path.name.lower().endswith(ENDS)]
    if others:
        names = quoted(*(str(path.relative_to(channel)) for path in others))
        raise UserError(f"channel 'model' has {names}; accepted: one archive, under the name {ARCHIVE}")
    return None


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the artifact in `archive`, at its top or one folder deep, into `folder`.

    Raises UserError if the archive is damaged, too large unpacked, or has no artifact, or more than one.
    """
    try:
        with tempfile.TemporaryFile() as plain:
            _decompress(archive, plain)
            with tarfile.open(fileobj=plain, mode="r:") as tar:
                for member in _find_artifact(archive, tar.getmembers()):
                    with (folder / posixpath.basename(member.name)).open("wb") as file:
                        copyfileobj(_contents(tar, member), file)
    except UserError:
        raise
    except Exception as error:  # a damaged archive makes tarfile raise almost anything
        why = f"{error or type(error).__name__}; accepted: {ACCEPTED}"
        raise UserError(f"{archive} cannot be unpacked: {why}") from error


def _decompress(archive: Path, plain: IO[bytes]) -> None:
    """Write the tar file in `archive`, whose members may have any size, to `plain`."""
    with archive.open("rb") as file:
        start = file.read(6)
    packed = start.startswith(b"\x1f\x8b")
    for begins, how in OTHERS.items():
        if start.startswith(begins):
            raise UserError(f"{archive} is packed with {how}; accepted: {ACCEPTED}")
    with (gzip.open if packed else open)(archive, "rb") as file:
        while chunk := file.read(CHUNK):
            if plain.tell() + len(chunk) > MOST_BYTES:
                raise UserError(f"{archive} has more than {MOST_BYTES:,} bytes unpacked; accepted: up to that many")
            plain.write(chunk)
    plain.seek(0)


def _find_artifact(archive: Path, members: list[tarfile.TarInfo]) -> list[tarfile.TarInfo]:
    """Return the artifact's members, as classifier.artifact.locate finds it in a folder."""
    folders: dict[str, dict[str, tarfile.TarInfo]] = defaultdict(dict)
    for member in members:
        folder, name = posixpath.split(posixpath.normpath(member.name))
        if name in (METADATA_FILE, *FILES) and "/" not in folder and folder != ".." and member.isreg():
            folders[folder][name] = member
    holders = [folder for folder, held in folders.items() if METADATA_FILE in held]
    if "" in holders or len(holders) == 1:
        return list(folders["" if "" in holders else holders[0]].values())
    found = ", ".join(repr(member.name) for member in members[:10]) or "nothing"
    expected = f"{METADATA_FILE} and {WEIGHTS_FILE}, at its top or in one folder"
    raise UserError(f"no model artifact in {archive}: expected {expected}; found {found}")


def _contents(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    contents = tar.extractfile(member)
    if contents is None or member.size > MOST_BYTES:  # a sparse member may be larger than the archive
        raise tarfile.TarError(f"{member.name!r} has {plural(member.size, 'byte')}; accepted: up to {MOST_BYTES:,}")
    return contents
