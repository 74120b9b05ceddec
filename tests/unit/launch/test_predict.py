"""Pictures of which one is refused: the answers before it stay."""

import json
import os

import pytest

from launch import asynchronous
from local import explained, places, sending, server

pytest_plugins = ["aws_account"]
ANSWER = json.dumps({"predictions": [{"class": "pug", "probability": 1.0}]}).encode()


@pytest.fixture
def files(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.jpg").write_bytes(name.encode())
    return " ".join(str(tmp_path / f"{name}.jpg") for name in "abc")


def told(account, out):
    assert [json.loads(line)["file"][-5:] for line in out.splitlines()] == ["a.jpg"]
    assert "1 answer to 3 pictures: " in account.err
    assert "b.jpg and those after it have none" in account.err


@pytest.mark.parametrize("where", ["--local", "--url 127.0.0.1:1"])
def test_a_server_that_goes_away(account, files, where, monkeypatch):
    monkeypatch.setattr(server, "url", lambda: "127.0.0.1:1")

    def send(data):
        if data != b"a":
            raise sending.UserError("no server answers")
        return ANSWER

    monkeypatch.setattr(sending, "sender", lambda *_: send)
    code, out = account.run(f"predict.py --json {where} {files}")
    assert code == "no server answers"
    told(account, out)


@pytest.mark.parametrize("flag", ["", "--async"])
def test_an_endpoint_that_is_refused(account, files, flag, monkeypatch):
    account.trained()
    account.does(f"deploy.py --role sm --yes {flag}")
    kept = account.aws.invoke
    number = iter(range(100))

    def invoke(request):
        if next(number):
            account.aws.endpoints.clear()
        return kept(request)

    monkeypatch.setattr(account.aws, "invoke", invoke)
    submit = asynchronous.submit

    def submit_one(aws, endpoint, data, attributes=""):
        if next(number):
            raise sending.UserError("refused")
        return submit(aws, endpoint, data, attributes)

    monkeypatch.setattr(asynchronous, "submit", submit_one)
    code, out = account.run(f"predict.py --json {files}")
    assert "refused" in code if flag else "not found" in code
    told(account, out)


def test_a_server_on_this_computer_that_has_ended_is_not_asked(account, files, monkeypatch):
    """Whatever has its port now may have another model."""
    places.note(local_url="http://127.0.0.1:8080", local_pid="999999999", local_started="1")
    monkeypatch.setattr(sending, "sender", lambda *_: lambda _: ANSWER)
    code, out = account.run(f"predict.py --local {files}")
    assert "the server at http://127.0.0.1:8080 has ended: run launch/deploy.py --local" in code
    assert not out


def test_what_is_passed_over_in_a_folder_is_counted(account, tmp_path, monkeypatch):
    folder = tmp_path / "mixed"
    (folder / ".hidden").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"a")
    (folder / "photo").write_bytes(b"a")
    (folder / "gone.jpg").symlink_to("nowhere")
    os.mkfifo(folder / "fifo")
    monkeypatch.setattr(sending, "sender", lambda *_: lambda _: ANSWER)
    code, out = account.run(f"predict.py --json --url 127.0.0.1:1 {folder}")
    assert (code, len(out.splitlines())) == (0, 1)
    expected = "1 hidden, 1 link to nothing, 1 no suffix, 1 not a regular file"
    assert account.err == f"{folder}: passed over: {expected}\n"


def test_the_answers_are_printed_though_the_page_of_explain_cannot_be_written(account, files, monkeypatch):
    def fail(answers):
        raise sending.UserError("the disk is full")

    monkeypatch.setattr(server, "url", lambda: "127.0.0.1:1")
    monkeypatch.setattr(sending, "sender", lambda *_: lambda data: ANSWER)
    monkeypatch.setattr(explained, "write_page", fail)
    code, out = account.run(f"predict.py --json --explain --local {files}")
    assert code != 0
    assert len(out.splitlines()) == 3


@pytest.mark.parametrize("answer", [{"error": "explain is not accepted"}, json.loads(ANSWER)])
def test_where_nothing_is_explained_the_page_before_stays(account, files, monkeypatch, answer):
    page = places.RUNS / "explained.html"
    monkeypatch.setattr(sending, "sender", lambda *_: lambda _: json.dumps(answer).encode())
    command = f"predict.py --explain --url 127.0.0.1:1 {files}"
    code, out = account.run(command)
    assert (code, "a.jpg" in out, page.exists()) == (int("error" in answer), True, False)
    assert account.err == "no picture was explained, so no page was written\n"
    page.write_text("the page before")
    account.run(command)
    assert page.read_text() == "the page before"


def test_one_picture_that_is_explained_is_on_the_page(account, files, monkeypatch):
    explained = {"predictions": [{"class": "pug", "probability": 1.0, "map": ""}]}

    def send(data):
        return json.dumps(explained if data == b"b" else {"error": "not a picture"}).encode()

    monkeypatch.setattr(sending, "sender", lambda *_: send)
    assert account.run(f"predict.py --explain --url 127.0.0.1:1 {files}")[0] == 1
    assert account.err == f"explained in {places.RUNS}/explained.html\n"
    assert "pug" in (places.RUNS / "explained.html").read_text()
