import pytest

from classifier.training.data.packed import unpacking


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.rec", "im2rec packed it, and MXNet's mxnet.recordio reads it"),
        ("A.TFRECORD", "TensorFlow's tf.data.TFRecordDataset reads it"),
        ("a.tfrecord-00000-of-00010", "TensorFlow's tf.data.TFRecordDataset reads it"),
        ("train-00000-of-00010", "it looks like TensorFlow's"),
        ("data.mdb", "the Python package lmdb reads it"),
        ("a.parquet", "the Python package pyarrow reads it"),
    ],
)
def test_what_reads_a_file_of_many_images(name, how):
    assert unpacking(["notes.txt", name]) == (f"; unpack '{name}' into image files, in a folder per class ({how})")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.TGZ", "a.7z", "a.zip.001", "a.tar.ab", "a.z01", "a.iso"])
def test_an_archive_is_known(name):
    assert unpacking([name]) == f"; unpack '{name}' into image files, in a folder per class"


def test_other_files():
    assert unpacking([]) == unpacking(["notes.txt", "zip", "a.record", "1-of-2"]) == ""
