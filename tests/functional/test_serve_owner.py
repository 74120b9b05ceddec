"""container/serve with the model in a process of its own, as with a GPU; here OpenVINO stands in for one."""

import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest

from classifier import artifact
from classifier.images import evaluation_pixels
from classifier.serving.predictor import load_predictor
from conftest import IMAGE_SIZE
from helpers import Server, encode, photo, serve
from serving_helpers import breakable, held, invoke, patched_network, slowed, statuses_after_sigterm
from waits import PATIENCE_S, wait_until

FRONTS = 3
JPEGS = [encode(photo(200 + 20 * i, 300, seed=i)) for i in range(8)]
OWNED = """
import classifier.serving.share as s
choose = s.choose_share
s.choose_share = lambda n: choose(n)._replace(owners=1)
"""


@pytest.fixture(scope="module")
def server(artifact_folder, tmp_path_factory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("owner") / "log"
    with serve(artifact_folder.parent, log, OWNED, SAGEMAKER_MODEL_SERVER_WORKERS=str(FRONTS)) as running:
        running.wait_for_ping(200)
        yield running


def owners_of(server: Server) -> list[psutil.Process]:
    """Return the processes of the model, the only ones with its engine in memory."""
    children = psutil.Process(server.process.pid).children()
    return [one for one in children if any("openvino_intel_cpu" in region.path for region in one.memory_maps())]


def owner_of(server: Server) -> psutil.Process:
    """Return the process of the model, which is the only one."""
    (owner,) = owners_of(server)
    return owner


def test_each_image_gets_its_own_answer(server, artifact_folder):
    run = load_predictor(artifact_folder, artifact.read(artifact_folder)).in_lane(1)
    rows = [run(evaluation_pixels(data, IMAGE_SIZE)[None])[0] for data in JPEGS]
    expected = [sorted(row.tolist(), reverse=True)[:5] for row in rows]
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda i: (i % 8, invoke(server, JPEGS[i % 8])), range(240)))
    for i, answer in answers:
        assert answer.status == 200
        found = [one["probability"] for one in json.loads(answer.body)["predictions"]]
        assert found == pytest.approx(expected[i], abs=1e-4)


def test_only_the_owner_has_the_model(server):
    assert len(psutil.Process(server.process.pid).children()) == FRONTS + 1
    assert server.log.count("ready after") == 1
    owner_of(server)


def test_an_owner_that_is_killed_is_replaced_and_no_request_stays_without_an_answer(server):
    before, started = owner_of(server).pid, server.log.count("ready after")
    with ThreadPoolExecutor(16) as pool:
        waiting = [pool.submit(invoke, server) for _ in range(64)]
        wait_until(lambda: any(answer.done() for answer in waiting), "requests are being answered")
        os.kill(before, signal.SIGKILL)
        answers = [answer.result() for answer in waiting]
    assert {answer.status for answer in answers} <= {200, 503}
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status == 503)
    wait_until(lambda: server.log.count("ready after") > started, "the next owner has the model")
    server.wait_for_ping(200)
    assert invoke(server).status == 200
    assert owner_of(server).pid != before


def test_without_an_owner_ping_says_so(server):
    """Stopped while it loads: no process has the model."""
    owner = owner_of(server)
    known = {child.pid for child in psutil.Process(server.process.pid).children()}

    def next_owner() -> psutil.Process | None:
        children = psutil.Process(server.process.pid).children()
        return next((child for child in children if child.pid not in known), None)

    owner.kill()
    wait_until(next_owner, "the next owner is started")
    assert next_owner().suspend() is None
    try:
        statuses = {server.request("GET", "/ping").status, invoke(server).status}
        assert statuses == {503}
    finally:
        next_owner().resume()
    server.wait_for_ping(200)
    assert invoke(server).status == 200


def test_a_front_that_is_killed_gives_its_slots_back(server):
    owner = owner_of(server)
    for _ in range(2):
        kill_fronts_at_work(server, owner)
        wait_until(lambda: len(psutil.Process(server.process.pid).children()) == FRONTS + 1, "all fronts are replaced")
        server.wait_for_ping(200)
    with ThreadPoolExecutor(32) as pool:
        assert {answer.status for answer in pool.map(lambda _: invoke(server), range(256))} == {200}
    assert owner_of(server).pid == owner.pid


def kill_fronts_at_work(server: Server, owner: psutil.Process) -> None:
    fronts = [child for child in psutil.Process(server.process.pid).children() if child.pid != owner.pid]
    with ThreadPoolExecutor(32) as pool:
        waiting = [pool.submit(try_to_invoke, server) for _ in range(64)]
        wait_until(lambda: any(answer.done() for answer in waiting), "requests are being answered")
        for front in fronts:
            with suppress(psutil.NoSuchProcess):  # one that was killed before and is only now reaped
                front.kill()


def try_to_invoke(server: Server) -> None:
    with suppress(OSError):
        invoke(server)


def test_images_of_several_fronts_share_a_batch(artifact_folder, tmp_path):
    patch = OWNED + slowed(0.3)
    with serve(artifact_folder.parent, tmp_path / "log", patch, SAGEMAKER_MODEL_SERVER_WORKERS="4") as server:
        server.wait_for_ping(200)
        with ThreadPoolExecutor(8) as pool:  # two for each front
            assert {answer.status for answer in pool.map(lambda _: invoke(server), range(32))} == {200}
        # A whole one, which the two requests of a front do not fill.
        assert max(map(int, re.findall(r'"batch_size": (\d+)', server.log))) == 4


def test_several_owners_share_the_images_and_one_that_ends_is_not_missed(artifact_folder, tmp_path):
    patch = OWNED.replace("owners=1", "owners=2") + patched_network("print('forward in', os.getpid(), flush=True)")
    with serve(artifact_folder.parent, tmp_path / "log", patch, SAGEMAKER_MODEL_SERVER_WORKERS="2") as server:
        wait_until(lambda: server.log.count("ready after") == 2, "both owners have the model")
        server.wait_for_ping(200)
        with ThreadPoolExecutor(16) as pool:
            assert {answer.status for answer in pool.map(lambda _: invoke(server), range(64))} == {200}
        owners = owners_of(server)
        # A warm-up has a few forward passes, and these have far more.
        assert all(server.log.count(f"forward in {owner.pid}\n") > 6 for owner in owners)
        owners[0].kill()
        wait_until(lambda: not psutil.pid_exists(owners[0].pid), "it has ended")
        while server.log.count("ready after") < 3:
            assert server.request("GET", "/ping").status == 200
            assert invoke(server).status == 200
        assert {invoke(server).status for _ in range(8)} == {200}
        assert len(owners_of(server)) == 2


def test_of_several_owners_one_that_hangs_is_not_waited_for(artifact_folder, tmp_path):
    patch = OWNED.replace("owners=1", "owners=2") + "import classifier.serving.remote as r; r.SILENT_S = 1"
    with serve(artifact_folder.parent, tmp_path / "log", patch, SAGEMAKER_MODEL_SERVER_WORKERS="2") as server:
        wait_until(lambda: server.log.count("ready after") == 2, "both owners have the model")
        server.wait_for_ping(200)
        owners_of(server)[0].suspend()
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: invoke(server), range(64)))
        assert {answer.status for answer in answers} == {200}
        assert sum(answer.seconds > 1 for answer in answers) <= 16  # those that it had before it was known to hang


SECOND_IS_BROKEN = """
import os, time, classifier.errors as e, classifier.machine as m, classifier.serving.server as s
m.list_gpus, m.has_gpu, load = (lambda *_: ["0", "1"]), (lambda *_: False), s.load_predictor
def load_or_refuse(*arguments):
    if os.environ["CUDA_VISIBLE_DEVICES"] == "1":
        raise e.UserError("it is broken")
    time.sleep(4)
    return load(*arguments)
s.load_predictor = load_or_refuse
"""


def test_a_gpu_that_is_broken_from_the_start_stops_no_other(artifact_folder, tmp_path):
    with serve(artifact_folder.parent, tmp_path / "log", SECOND_IS_BROKEN) as server:
        server.wait_for_ping(200)
        assert {invoke(server).status for _ in range(4)} == {200}
        assert "serve: GPU 1: it is broken" in server.log
        assert "GPU 0: ready after" in server.log
        tried = server.log.count("it is broken")
        wait_until(lambda: server.log.count("it is broken") > tried, "it is tried again")
        assert invoke(server).status == 200


def test_sigterm_answers_what_was_accepted(artifact_folder, tmp_path):
    with serve(artifact_folder.parent, tmp_path / "log", OWNED, SAGEMAKER_MODEL_SERVER_WORKERS="2") as server:
        server.wait_for_ping(200)
        assert statuses_after_sigterm(server, 100) == {b"HTTP/1.1 200 OK"}


def test_an_owner_whose_every_forward_fails_is_replaced(artifact_folder, tmp_path):
    broken = tmp_path / "broken"
    with serve(artifact_folder.parent, tmp_path / "log", OWNED + breakable(broken)) as server:
        server.wait_for_ping(200)
        broken.touch()
        statuses = [invoke(server).status for _ in range(3)]
        assert statuses[:2] == [500] * 2
        assert statuses[2] in (500, 503)  # its process may have ended before the third reply is read
        server.wait_for_ping(503)
        broken.unlink()
        server.wait_for_ping(200)
        assert invoke(server).status == 200


def test_an_owner_that_hangs_is_replaced_though_no_image_comes(artifact_folder, tmp_path):
    hold = tmp_path / "hold"
    patch = OWNED + "import classifier.serving.batcher as b, classifier.serving.owner as o\n"
    patch += "b.LONGEST_BATCH_S, o.CHECK_S = 3, 0.1\n" + held(hold)
    with serve(artifact_folder.parent, tmp_path / "log", patch) as server:
        server.wait_for_ping(200)
        hold.touch()
        assert invoke(server).status == 503
        hold.unlink()
        server.wait_for_ping(200)
        assert invoke(server).status == 200
        assert "a batch has taken longer" in server.log


def test_owners_killed_while_loading_end_the_server(artifact_folder, tmp_path):
    patch = OWNED + "import classifier.serving.server as s, os; s.load_predictor = lambda *_: os.kill(os.getpid(), 9)"
    with serve(artifact_folder.parent, tmp_path / "log", patch) as server:
        assert server.process.wait(PATIENCE_S) not in (0, None)
        assert "3 workers ended before their model was loaded" in server.log
        assert "Traceback" not in server.log


def test_the_end_of_its_terminal_ends_the_server(artifact_folder, tmp_path):
    with serve(artifact_folder.parent, tmp_path / "log", OWNED) as server:
        server.wait_for_ping(200)
        server.process.send_signal(signal.SIGTTIN)
        assert invoke(server).status == 200
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(PATIENCE_S) == 0
