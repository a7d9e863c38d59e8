"""The report in a real browser, where one is installed."""

import shutil

import pytest

from keras_restpg.run.compare import compare
from tests.run.finished import finished_run, rising

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_samples_are_looked_through(tmp_path):
    em, pg = rising(0), rising(1, step=0.2)
    finished_run(tmp_path / "rest-em", "rest-em", em)
    finished_run(tmp_path / "rest-pg", "rest-pg", pg)
    compare([tmp_path]).report(tmp_path / "made")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 390, "height": 800})
        said = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((tmp_path / "made/report.html").as_uri())
        best = int(pg[1].argmax())
        title = page.locator("#browser h3")
        title.wait_for()
        assert title.inner_text().endswith(f"e{best}")
        # On a phone nothing but wide tables has to be pushed to the side.
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        # By the keyboard, to the next one, and back by the address.
        page.keyboard.press("j")
        second = title.inner_text()
        assert not second.endswith(f"e{best}")
        address = page.url
        page.select_option("#choose-order", "worst")
        assert title.inner_text() == second
        assert "40 of 40" not in page.locator("[role=status]").inner_text()
        page.select_option("#choose-task", "review")
        assert "of 20" in page.locator("[role=status]").inner_text()
        assert title.inner_text().startswith("review")
        page.goto("about:blank")
        page.goto(address)
        title.wait_for()
        assert title.inner_text() == second
        marked = page.locator("#browser mark").all_inner_texts()
        assert "iteration-1" in marked
        assert not said
        browser.close()
