import pytest

from local import pdf


def test_without_a_browser_there_is_no_pdf(tmp_path, monkeypatch):
    monkeypatch.setattr(pdf.shutil, "which", lambda _: None)
    assert pdf.print_to_pdf(tmp_path / "report.html") is None


@pytest.mark.parametrize(("script", "written"), [("echo made > {}", True), ("exit 1", False), ("exec sleep 9", False)])
def test_a_browser_that_works_or_fails(tmp_path, monkeypatch, script, written):
    browser, target = tmp_path / "browser", tmp_path / "report.pdf"
    browser.write_text(f"#!/bin/sh\n{script.format(target)}\n")
    browser.chmod(0o755)
    monkeypatch.setattr(pdf.shutil, "which", lambda _: str(browser))
    if "sleep" in script:
        monkeypatch.setattr(pdf, "SECONDS", 1)
    target.write_text("of an earlier run")
    made = pdf.print_to_pdf(tmp_path / "report.html")
    assert made == (target if written else None)
    assert target.exists() == written
