"""Files that hold many images, or only their names, and how to come to image files."""

import re
from collections.abc import Iterable

from classifier.training.data.names import quoted

# What people may not know how to unpack, by the ends of the files' names.
READERS = {
    "rec|idx": "im2rec packed it, and MXNet's mxnet.recordio reads it",
    "tfrecords?": "TensorFlow's tf.data.TFRecordDataset reads it",
    "lmdb|mdb": "the Python package lmdb reads it",
    "h5|hdf5": "the Python package h5py reads it",
    "npz": "numpy.load reads it",
    "parquet|arrow": "the Python package pyarrow reads it",
    "zip|tar|tgz|tbz2?|txz|tzst|gz|bz2|xz|lzma|lz4?|zst|7z|rar|cab|iso|dmg|cbz|cbr|[rz][0-9]{2}": "",
}
# Large data sets are cut into pieces, "train.tfrecord-00003-of-00010" and "train-00003-of-00010", and archives into
# "a.zip.001" or, by split, "a.tar.aa".
PIECE = r"-\d+-of-\d+"
PACKED = {re.compile(rf".*\.({ends})({PIECE}|\.\d{{3}}|\.a[a-z])?"): reader for ends, reader in READERS.items()}
PIECES = re.compile(rf".*{PIECE}")


def unpacking(names: Iterable[str]) -> str:
    """Return the advice for the first file among `names` that holds many images, or lists them; empty if none does."""
    for name in names:
        lower = name.lower()
        for pattern, reader in PACKED.items():
            if pattern.fullmatch(lower):
                how = f" ({reader})" if reader else ""
                return f"; unpack {quoted(name)} into image files, in a folder per class{how}"
        if PIECES.fullmatch(lower):
            return f"; unpack {quoted(name)} into image files, in a folder per class (it looks like TensorFlow's)"
        if lower.endswith(".lst"):
            return f"; {quoted(name)} only lists images, for im2rec: give these themselves, in a folder per class"
    return ""
