"""Serve the model of a job on this computer, and show how it answers: deploy.py --local."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from launch import console, multimodel
from local import many, pictures, places, programs, proving, results, sending, server


def deploy_here(settings: Namespace, picture: Path | None) -> int:
    """Serve the settings' job, send it the picture or one of the job's own, and return the exit code of serve()."""
    job = settings.job or places.latest("local_job")
    root = server.folder_of(job)
    picture = picture or pictures.first_readable(root / programs.CHANNEL)
    with places.locked(places.RUNS / "server.lock", "deploy.py --local"):  # another would end our server
        return serve(settings, job, root, picture)


def serve(settings: Namespace, job: str, root: Path, picture: Path | None) -> int:
    """Return the exit code: 1 if the picture gets no class. Without one the model is served all the same."""
    model = (settings.model or job.replace("/", "-")) if settings.multi_model else ""
    if model:
        url = many.add(job, root / "model", model, settings.image)
    else:
        print(server.STARTING.format(job), flush=True)
        url = server.start(root, settings.image)
    path, taken = many.invoke_path(model), proving.sample_of(job)
    with console.if_interrupted(f"the server runs on at {url}; launch/cleanup.py --local ends it"):
        code = show_answer(picture, sending.sender(url, path)) if picture else 0
        if not picture:
            print(f"no picture is sent, since none can be read in {root / programs.CHANNEL}: --picture FILE sends one")
        page = "" if model else f"open {url}\nor "
        print(f"{page}curl --data-binary @FILE {sending.invocations_url(url, path)}")
        print(f"log: {(many.home() if model else root) / 'serve.log'}")
        if taken:
            send = sending.sender(url, path, proving.ATTRIBUTES)
            proving.prove(taken, [sending.classify(*one, send) for one in proving.asked(taken)], "the server")
        else:
            print(proving.not_compared(job))
    print(f"next: launch/predict.py --local {multimodel.option(model)}FILE, and at the end launch/cleanup.py --local")
    return code


def show_answer(picture: Path, send: Callable[[bytes], bytes]) -> int:
    """Send the picture, print the answer, and return the exit code."""
    answers = [sending.classify("/".join(picture.parts[-2:]), picture.read_bytes(), send)]
    results.show(answers)
    return results.exit_code(answers)
