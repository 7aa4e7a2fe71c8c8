"""The page at / in a real browser, under the policy that the server sends for it."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.serving.servers import Running, running

CHROMIUM = shutil.which("chromium")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium: apt-get install chromium")
SECONDS = 120_000  # milliseconds, on a busy machine


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--headless"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, server: Running) -> Iterator[Page]:
    opened = browser.new_page()
    opened.set_default_timeout(SECONDS)
    problems: list[str] = []
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    opened.goto(server.url)
    expect(opened.locator("#model")).to_have_value("smollm2-135m-instruct")
    opened.locator("summary").click()
    opened.locator("#temperature").fill("0")
    yield opened
    opened.close()
    assert not [problem for problem in problems if "Content Security Policy" in problem]


def say(page: Page, text: str) -> None:
    page.locator("#question").fill(text)
    page.locator("#question").press("Enter")


def test_the_page_needs_no_key_and_may_load_nothing_from_elsewhere(server: Running):
    with server.http() as http:
        answer = http.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; connect-src 'self'" in policy and "unsafe" not in policy
    assert not re.findall(r"https?://|src=|href=", answer.text)


@needs_browser
def test_two_turns_are_answered_with_their_speed(page: Page):
    say(page, "What is the capital of France?")
    answers = page.locator("article.assistant")
    expect(answers.first).to_contain_text("The capital of France is Paris.", timeout=SECONDS)
    expect(answers.first.locator("small")).to_contain_text(re.compile(r"8 tokens, [\d.]+ tokens/s"), timeout=SECONDS)
    page.locator("#most").fill("5")
    with page.expect_request("**/v1/chat/completions") as asked:
        say(page, "And of Italy?")
    assert [turn["role"] for turn in asked.value.post_data_json["messages"]] == ["user", "assistant", "user"]
    expect(answers.nth(1).locator("small")).to_contain_text("longest answer reached", timeout=SECONDS)


@needs_browser
def test_an_answer_can_be_stopped(page: Page):
    page.locator("#most").fill("4000")
    say(page, "Write a very long story about a ship.")
    expect(page.locator("article.assistant")).not_to_have_text("…", timeout=SECONDS)
    page.locator("#stop").click()
    expect(page.locator("article.assistant small")).to_contain_text("stopped", timeout=SECONDS)
    expect(page.locator("#send")).to_be_enabled()


@needs_browser
def test_an_error_is_told_in_the_servers_words(page: Page):
    page.locator("#most").fill("90000")
    say(page, "Hello")
    expect(page.locator("article.error")).to_contain_text("together more than the context of 8192", timeout=SECONDS)


@needs_browser
def test_a_key_is_asked_for_and_kept_in_memory_alone(browser: Browser, tmp_path: Path, tiny_model: Path):
    (tmp_path / "keys").write_text("right-key\n")
    with running(tmp_path, "--api-key-file", str(tmp_path / "keys"), model=str(tiny_model)) as locked:
        page = browser.new_page()
        page.goto(locked.url)
        expect(page.locator("article.error")).to_contain_text("a valid API key is needed", timeout=SECONDS)
        page.locator("summary").click()
        page.locator("#key").fill("right-key")
        page.locator("#key").press("Tab")
        expect(page.locator("#model")).to_have_value("tiny", timeout=SECONDS)
        assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        page.close()
