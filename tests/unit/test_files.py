import tempfile

import pytest

from classifier.errors import UserError
from classifier.files import temporary_folder


def test_no_folder_for_temporary_files(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "missing")])
    with pytest.raises(UserError, match="^no folder for temporary files, such as /tmp, can be written; TMPDIR chooses"):
        temporary_folder()
