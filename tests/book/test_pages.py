"""Every page of the built book in a browser: offline, quiet, whole, readable, searchable.

`make book` first: the page test looks at whatever book lies in `_build/html`.
"""

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn

import pytest
import yaml
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}

# Returns the faults that a reader would see on the loaded page, as sentences.
LOOK = """
async () => {
  const enough = new Promise(resolve => setTimeout(resolve, 20000));  // what hangs is seen below
  await Promise.race([window.MathJax?.startup?.promise, enough]);
  await Promise.all([...document.images].map(image => image.decode().catch(() => {})));
  await new Promise(requestAnimationFrame);
  for (const slide of document.getAnimations())  // the sidebars, after a change of width
    if (Number.isFinite(slide.effect.getComputedTiming().endTime)) slide.finish();
  const faults = [];
  const article = document.querySelector("article, .bd-article-container") ?? document.body;
  const name = node => {
    if (node.nodeType === Node.TEXT_NODE) return `text "${node.data.trim().slice(0, 40)}"`;
    const classes = node.getAttribute("class")?.trim().replace(/\\s+/g, ".") ?? "";
    const text = node.textContent.trim().replace(/\\s+/g, " ").slice(0, 40);
    return `<${node.localName}${classes && "." + classes}> "${text}"`;
  };

  for (const image of document.images) {
    const file = (image.getAttribute("src") ?? "").split("/").pop();
    if (!image.naturalWidth) faults.push(`image not loaded: ${file}`);
    const alt = image.alt.trim();
    if (!alt || alt.split("/").pop() === file) faults.push(`image without alt text: ${file}`);
  }

  for (const math of document.querySelectorAll(".math")) {
    const typeset = math.querySelector("mjx-container");
    if (!typeset) faults.push(`math not typeset: ${name(math)}`);
    else if (typeset.querySelector("[data-mml-node=merror], mjx-merror"))
      faults.push(`math with an error: ${name(math)}`);
  }

  const width = window.innerWidth;
  const page = document.scrollingElement.scrollWidth;
  if (page > width + 1) faults.push(`the page is ${page} px wide`);
  const scrolls = box => {
    for (; box && box !== article; box = box.parentElement)
      if (/auto|scroll/.test(getComputedStyle(box).overflowX)) return true;
    return false;
  };
  const walker = document.createTreeWalker(article, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  let told = null;  // of a box and what lies in it, the box is enough
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.nodeType === Node.TEXT_NODE;
    if ((text && !node.data.trim()) || told?.contains(node)) continue;
    if (node.ownerSVGElement || node.parentElement.closest("svg, mjx-assistive-mml")) continue;
    const range = document.createRange();
    if (text) range.selectNodeContents(node);
    const box = (text ? range : node).getBoundingClientRect();
    const seen = box.width > 1 && box.height > 1;
    if (seen && (box.left < -1 || box.right > width + 1) && !scrolls(node.parentElement)) {
      faults.push(`${name(node)} reaches from ${box.left | 0} to ${box.right | 0} px`);
      told = node;
    }
  }
  return faults.length > 9 ? [...faults.slice(0, 8), `and ${faults.length - 8} more`] : faults;
}
"""


def unavailable(reason: str) -> NoReturn:
    """Skip where a reader builds the book; in continuous integration nothing may be missing."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine; yield its address (the search page needs one)."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def reader(browser: Browser, site: str, mode: str = "") -> Iterator[BrowserContext]:
    """Open a window that reaches only this site; it remembers a mode as the theme does."""
    context = browser.new_context()
    if mode:
        context.add_init_script(f"localStorage.mode = localStorage.theme = '{mode}'")
    context.route(re.compile(f"^(?!{re.escape(site)}|data:|blob:)"), lambda route: route.abort())
    yield context
    context.close()


def faults(context: BrowserContext, site: str, path: str, devices: Iterable[str]) -> list[str]:
    """Load a page as the first device and look at it as each; return what is wrong."""
    found: list[str] = []
    page = context.new_page()

    def asked(address: str) -> None:
        if not address.startswith((site, "data:", "blob:")):
            found.append(f"asks another host: {address}")

    page.on("request", lambda request: asked(request.url))
    page.on("websocket", lambda socket: asked(socket.url))
    page.on("pageerror", lambda error: found.append(f"page error: {error.message}"))
    page.on(
        "console",
        lambda said: said.type == "error" and found.append(f"console error: {said.text}"),
    )
    page.on(
        "response",
        lambda answer: answer.status < 400 or found.append(f"{answer.status} for {answer.url}"),
    )
    seen = []
    for device in devices:
        width, height = SIZES[device]
        page.set_viewport_size({"width": width, "height": height})
        if page.url == "about:blank":
            page.goto(site + path, wait_until="load")
        seen += [f"{fault}, on a {device}" for fault in page.evaluate(LOOK)]
    page.close()
    return found + seen


def pages_of_the_book() -> list[str]:
    """Return the pages that the table of contents promises, and Sphinx's own two."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))

    def files(entry: dict) -> Iterator[str]:
        for key, value in entry.items():
            if key in ("file", "root"):
                yield value
            elif isinstance(value, list):  # parts, chapters, sections
                for inner in value:
                    yield from files(inner)

    return [f"{name}.html" for name in (*files(toc), "search", "genindex")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        unavailable("no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def book() -> Iterator[str]:
    """Serve the built book; return its address."""
    if not (HTML / "index.html").is_file():
        unavailable("the book is not built (make book)")
    with served(HTML) as site:
        yield site


@pytest.mark.slow
def test_every_page_is_whole_and_asks_nobody_else(browser, book):
    wrong = []
    for mode, devices in {"light": ("desktop", "phone"), "dark": ("phone", "desktop")}.items():
        with reader(browser, book, mode) as context:
            for path in pages_of_the_book():
                found = faults(context, book, path, devices)
                wrong += [f"{path} ({mode}): {fault}" for fault in found]
    assert not wrong, f"{len(wrong)} faults:\n" + "\n".join(wrong)


@pytest.mark.slow
def test_the_first_visit_is_quiet(browser, book):
    with reader(browser, book) as context:
        assert faults(context, book, "index.html", ["phone"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_theme_takes_the_mode(browser, book, mode):
    with reader(browser, book, mode) as context:
        page = context.new_page()
        page.goto(f"{book}genindex.html")
        expect(page.locator("html")).to_have_attribute("data-theme", mode)
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = max(map(int, re.findall(r"\d+", background)[:3]))
    assert (brightness < 128) == (mode == "dark")


@pytest.mark.slow
def test_a_search_for_backfilling_leads_to_the_replay_chapter(browser, book):
    with reader(browser, book) as context:
        page = context.new_page()
        page.goto(f"{book}index.html")
        page.keyboard.press("Control+k")
        page.keyboard.type("backfilling")
        page.keyboard.press("Enter")
        page.locator("#search-results a[href*='chapters/04-replay.html']").first.click()
        expect(page).to_have_url(re.compile("/chapters/04-replay.html"))
        expect(page.locator("article h1")).to_contain_text("eplay")


WORKS = '<img src="dot.svg" alt="A dot"><pre style="overflow-x: auto">' + "wide " * 200 + "</pre>"
DOT = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>'


@pytest.fixture
def look_at(browser: Browser, tmp_path: Path) -> Callable[[str], list[str]]:
    """Return the faults of a page with this article, on a phone."""

    def look(article: str) -> list[str]:
        head = '<!doctype html><title>Tiny</title><link rel="icon" href="dot.svg">'
        (tmp_path / "dot.svg").write_text(DOT)
        (tmp_path / "page.html").write_text(f"{head}<body><article>{article}</article>")
        with served(tmp_path) as site, reader(browser, site) as context:
            return faults(context, site, "page.html", ["phone"])

    return look


def test_a_page_that_works_has_no_faults(look_at):
    assert look_at(WORKS) == []


@pytest.mark.parametrize(
    ("article", "fault"),
    [
        ('<img src="http://example.org/a.svg" alt="A">', "asks another host: http://example.org/a"),
        ("<script>fetch('https://example.org/x')</script>", "asks another host: https://example"),
        ("<style>@import 'http://192.0.2.1/a.css'</style>", "asks another host: http://192.0.2.1"),
        ("<script>console.error('no such cell')</script>", "console error: no such cell"),
        ("<script>throw new Error('no kernel')</script>", "page error: no kernel"),
        ('<script src="missing.js"></script>', "404 for http://127.0.0.1"),
        ('<div style="width: 1000px">wide</div>', "the page is 1008 px wide"),
        ('<div style="width: 1000px">wide</div>', '<div> "wide" reaches from 8 to 1008 px'),
        ("<p>" + "long" * 99, 'text "longlong'),
        (
            '<div style="overflow: hidden"><p style="width: 500px">cut off</div>',
            '<p> "cut off" reaches from 8 to 508 px',
        ),
        ('<img src="missing.svg" alt="A">', "image not loaded: missing.svg"),
        ('<img src="dot.svg">', "image without alt text: dot.svg"),
        ('<img src="dot.svg" alt=" ">', "image without alt text: dot.svg"),
        ('<img src="./dot.svg" alt="_images/dot.svg">', "image without alt text: dot.svg"),
        (r'<span class="math">\(x\)</span>', "math not typeset"),
    ],
)
def test_a_fault_is_seen(look_at, article, fault):
    found = look_at(WORKS + article)
    assert any(line.startswith(fault) for line in found), found
