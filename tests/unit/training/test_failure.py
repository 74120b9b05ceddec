import errno

import pytest

from classifier.contract import Contract
from classifier.errors import PeerLost, UserError
from classifier.training.failure import report_failure
from classifier.training.lock import InUse


def fail(contract, error):
    try:
        raise error
    except Exception as raised:
        report_failure(contract, raised)


def test_an_error_that_the_user_can_fix_is_one_sentence(tmp_path, caplog):
    contract = Contract(tmp_path)
    fail(contract, UserError("lr is 99; accepted: up to 10"))
    assert contract.failure.read_text() == "lr is 99; accepted: up to 10\n"
    assert caplog.messages == ["lr is 99; accepted: up to 10"]


def test_a_name_that_cannot_be_shown_is_escaped(tmp_path):
    contract = Contract(tmp_path)
    for error, text in (
        (UserError("no a\nb\udcf1"), "no a\\nb\\udcf1\n"),
        (ValueError("\udcf1"), "ValueError: \\udcf1\n"),
    ):
        fail(contract, error)
        assert contract.failure.read_text(encoding="utf-8").startswith(text)


def test_anything_else_has_its_cause_first_and_then_the_traceback(tmp_path):
    contract = Contract(tmp_path)
    fail(contract, OSError(5, "Input/output error"))
    text = contract.failure.read_text()
    assert text.startswith("OSError: [Errno 5] Input/output error\n\nTraceback (most recent call last):\n")
    assert "in fail" in text


def test_a_full_disk_is_one_sentence(tmp_path):
    contract = Contract(tmp_path)
    fail(contract, OSError(errno.ENOSPC, "No space left on device"))
    text = contract.failure.read_text()
    assert text.startswith("the disk is full: [Errno 28] No space left on device; accepted: a volume with room for ")
    assert "Traceback" not in text


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("MemoryError"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_too_little_memory_is_one_sentence(tmp_path, error):
    contract = Contract(tmp_path)
    fail(contract, error)
    sentence = f"too little memory is left: {error}; accepted: a machine, or a limit, of more\n"
    assert contract.failure.read_text() == sentence


def test_nothing_that_a_terminal_would_obey_is_written(tmp_path, caplog):
    contract = Contract(tmp_path)
    fail(contract, UserError("\x1b[1mbold\x1b[0m caf\udce9 \x07\x9b\u202eé"))
    assert contract.failure.read_text() == "bold caf\\udce9 \\x07\\x9b\\u202eé\n"
    fail(contract, RuntimeError("one\ntwo \x1b]0;title\x07"))
    assert contract.failure.read_text().startswith("RuntimeError: one\ntwo 0;title\\x07\n\nTraceback")
    assert all(letter.isprintable() or letter == "\n" for letter in "".join(caplog.messages))


@pytest.mark.parametrize("blocked", ["output"])
def test_an_unwritable_failure_file_hides_nothing(tmp_path, caplog, blocked):
    (tmp_path / blocked).write_text("a file where a folder should be")
    fail(Contract(tmp_path), UserError("the cause"))
    assert caplog.messages[0] == "the cause"
    assert caplog.messages[1].startswith("the failure file could not be written: ")


def test_the_cause_that_another_process_wrote_stays(tmp_path, caplog):
    contract = Contract(tmp_path)
    fail(contract, PeerLost("another process has ended"))
    assert contract.failure.read_text() == "another process has ended\n"
    fail(contract, UserError("the cause"))
    fail(contract, PeerLost("another process has ended"))
    assert contract.failure.read_text() == "the cause\n"
    assert caplog.messages[-1] == "another process has ended"


@pytest.mark.parametrize(("fault", "accepted"), [(2000, 20), (20, 2000), (2000, 2000), (980, 20), (500, 480)])
def test_what_is_accepted_is_within_what_sagemaker_shows(tmp_path, caplog, fault, accepted):
    contract = Contract(tmp_path)
    fail(contract, UserError(f"{'x' * fault}; accepted: {'y' * accepted}"))
    text = contract.failure.read_text(encoding="utf-8")
    assert len(text) <= 1001
    assert "; accepted: y" in text
    if fault + accepted + len("; accepted: ") > 1000:
        assert "…" in text
    assert caplog.messages == [f"{'x' * fault}; accepted: {'y' * accepted}"]


def test_a_long_sentence_without_it_is_cut(tmp_path):
    contract = Contract(tmp_path)
    fail(contract, UserError("x" * 2000))
    assert contract.failure.read_text(encoding="utf-8") == f"{'x' * 999}…\n"


def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path):
    contract = Contract(tmp_path)
    fail(contract, PermissionError(errno.EACCES, "Permission denied", "/some/file"))
    assert contract.failure.read_text() == "/some/file cannot be used: Permission denied\n"


def test_the_failure_file_of_another_job_is_left_alone(tmp_path):
    fail(Contract(tmp_path), InUse("another training process works here"))
    assert not (tmp_path / "output").exists()
