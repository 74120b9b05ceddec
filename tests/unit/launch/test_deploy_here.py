"""deploy.py --local beside another one."""

from local import places, server

pytest_plugins = ["aws_account"]


def test_one_at_a_time(account, monkeypatch):
    """Each ends the server that was started before it."""
    root = places.RUNS / places.new_run("dogs")
    for file in ("model/model.json", "input/data/train/pug/1.jpg"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("{}")
    monkeypatch.setattr(server, "start", lambda *_: 1 / 0)
    with places.locked(places.RUNS / "server.lock", "another"):
        code, out = account.run(f"deploy.py --local --job {root.name}")
    assert code == "deploy.py --local is already running in another process"
    assert not out
