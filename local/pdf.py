"""Print a page to PDF with Chromium, if that is installed."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SECONDS = 60
QUIET = ("--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")


def print_to_pdf(page: Path) -> Path | None:
    """Write `page` as a PDF beside it and return its path; None without Chromium, or if that fails."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return None
    pdf = page.with_suffix(".pdf")
    pdf.unlink(missing_ok=True)
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()  # Chromium has no sandbox for root
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [browser, *QUIET, *sandbox, f"--user-data-dir={profile}", "--no-pdf-header-footer"]
        try:
            subprocess.run([*command, f"--print-to-pdf={pdf}", page.as_uri()], capture_output=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return None
    return pdf if pdf.exists() else None
