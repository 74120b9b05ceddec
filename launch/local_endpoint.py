"""The server that deploy.py --local leaves running on this computer, until another takes its place or cleanup.py."""

import os
import signal
import subprocess
import time

import local
import places


def start(job: str, image: str) -> str:
    """Serve the model of `job` in place of what was served before; the server's URL, once it answers."""
    root = places.RUNS / job
    if not (root / "model/model.json").exists():
        raise places.UserError(f"{job} has no model in {root / 'model'}")
    stop()
    port = local.free_port()
    log = root / "serve.log"
    with log.open("ab") as stream:
        process = local.start(
            "serve", root, image, port, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
    places.note(local_pid=str(process.pid), local_url=f"http://127.0.0.1:{port}")
    print(f"its log: {log}", flush=True)
    return local.wait_until_ready(process, port)


def running() -> int | None:
    """The process id of the server, if it runs."""
    pid = int(places.names().get("local_pid") or 0)
    return pid if pid and is_server(pid) else None


def is_server(pid: int) -> bool:
    """Whether this process is what `start` started: process ids come round again."""
    import psutil

    try:
        return "serve" in " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


def stop() -> bool:
    """Stop the server, if it runs; whether it did."""
    pid = running()
    if pid:
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + local.STOP_SECONDS
        while is_server(pid) and time.monotonic() < end:
            time.sleep(0.1)
    places.note(local_pid="", local_url="")
    return bool(pid)
