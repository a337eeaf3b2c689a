"""The eleven jobs."""

from __future__ import annotations

import asyncio
import csv
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.newcomer import commands
from tests.newcomer.commands import BROWSER_SNIPPET
from tests.newcomer.newcomer import Newcomer
from tests.servers import Mongod, Mosquitto

PASSWORD = "correct horse battery staple"
_SERVING = r"page +http://localhost:\d+"
_SETUP_LINK = re.compile(r"http://\S+/#setup=\S+")


async def run(newcomer: Newcomer) -> None:
    """The demo, with charts that mean something at once."""
    await newcomer.start(commands.RUN, _SERVING)
    await newcomer.open(newcomer.url)
    await newcomer.see(_status(newcomer.page), "Live")
    for room in ("Demo, Bedroom", "Demo, Kitchen", "Demo, Living room"):
        await newcomer.see(newcomer.find("region", room), re.compile(r"online.*\d+\.\d °C", re.DOTALL))


async def own_sensor(newcomer: Newcomer) -> None:
    """By MQTT, and by HTTP with the answer that it is stored."""
    await newcomer.run(commands.FIND_COMMANDS)
    await newcomer.run(commands.PUBLISH)
    card = newcomer.find("region", "No site or room")
    await newcomer.see(card, re.compile(r"mine.*21\.5", re.DOTALL))
    await newcomer.run(commands.POST, r'"status": ?"stored"')
    await newcomer.see(card, "21.6")


async def week_of_a_chart(newcomer: Newcomer) -> None:
    """The chart has values from days ago."""
    await newcomer.press("link", "Kitchen")
    await newcomer.see(newcomer.find("heading", "Kitchen"))
    await newcomer.press("button", "7 d")
    chart = newcomer.find("img", re.compile(r"^Chart of Temperature: .+ °C to .+ °C, now "))
    await newcomer.see(chart)
    await newcomer.see(newcomer.page.locator("main"), re.compile(r"mean per \d+ (min|h)"))
    lowest, highest = map(float, re.findall(r"(-?[\d.]+) °C", await chart.get_attribute("aria-label") or "")[:2])
    assert highest - lowest > 1, "a week of simulated temperatures differs by more than a degree"


async def name_and_room(newcomer: Newcomer) -> None:
    """The overview shows them."""
    await newcomer.press("link", "All devices")
    await newcomer.press("link", "mine")
    await newcomer.press("button", "Edit")
    for label, text in (("Name", "Desk"), ("Site", "Home"), ("Room", "Study")):
        await newcomer.fill(label, text)
    await newcomer.press("button", "Save")
    await newcomer.see(newcomer.find("heading", "Desk"))
    await newcomer.press("link", "All devices")
    await newcomer.see(newcomer.find("region", "Home, Study"), "Desk")


async def bad_payload(newcomer: Newcomer) -> None:
    """The page and the command name the key that is wrong."""
    await newcomer.run(commands.CHECK, r"ok +broker.*ok +store.*ok +port")
    await newcomer.run(commands.PUBLISH_WRONG)
    await newcomer.press("link", "Health")
    rejected = newcomer.find("region", "Rejected messages")
    await newcomer.see(rejected, "unknown key 'temprature'")
    await newcomer.unfold(rejected.locator("summary").filter(has_text="temprature"))
    await newcomer.press("button", "What would read it?", rejected)
    await newcomer.see(rejected, re.compile("No format finds a reading|best match"))
    await newcomer.run(commands.LIST_REJECTED, "no_measurement.*temprature")


async def compare_rooms(newcomer: Newcomer) -> None:
    """Two lines in one chart, at an address that shows them again."""
    await newcomer.press("link", "Compare")
    for room in ("Kitchen", "Bedroom"):
        await newcomer.choose("Add to the chart", await _option(newcomer.page, room))
    await newcomer.press("button", "24 h")
    legend = newcomer.page.get_by_label("Lines of the chart")
    both = re.compile(r"Kitchen.*\d+\.\d ?°C.*Bedroom.*\d+\.\d ?°C", re.DOTALL)
    await newcomer.see(legend, both)
    await newcomer.page.reload()
    await newcomer.see(legend, both)


async def export(newcomer: Newcomer) -> None:
    """The first columns of the page's file and of the command's are equal."""
    await newcomer.press("link", "Overview")
    await newcomer.press("link", "Desk")
    await newcomer.unfold(newcomer.page.get_by_label("Temperature: more"))
    async with newcomer.page.expect_download() as download:
        await newcomer.press("button", "Save the values as CSV")
    saved = newcomer.folder / (await download.value).suggested_filename
    await (await download.value).save_as(saved)
    await newcomer.run(commands.EXPORT, "3 readings exported|2 readings exported")
    of_page, of_command = _rows(saved), _rows(newcomer.folder / "mine.csv")
    for rows in (of_page, of_command):
        assert list(rows[0])[:4] == ["time", "device", "name", "room"], rows[0]
        assert {(row["device"], row["name"], row["room"]) for row in rows} == {("mine", "Desk", "Study")}, rows
    assert of_command[-1]["temperature (°C)"] == "21.6", of_command


async def alarm(newcomer: Newcomer) -> None:
    """A rule of their own fires, and is acknowledged."""
    await newcomer.run(commands.WRITE_RULES)
    await newcomer.run(commands.TRY_RULES)
    await newcomer.start(commands.RUN_WITH_RULES, _SERVING)
    await newcomer.see(_status(newcomer.page), "Live")
    await newcomer.run(commands.PUBLISH_WARM)
    await newcomer.run(commands.LIST_ALARMS)
    await newcomer.press("link", re.compile("^Alarms not acknowledged: 1"))
    item = newcomer.page.get_by_role("listitem").filter(has_text="Temperature 29")
    await newcomer.see(item, "not acknowledged")
    await newcomer.press("button", "Acknowledge", item)
    await newcomer.see(item, re.compile(r"(?<!not )acknowledged"))


async def browser_client(newcomer: Newcomer) -> None:
    """README's snippet in a file, opened from the disk."""
    file = newcomer.folder / "readings.html"
    text = BROWSER_SNIPPET.text
    file.write_text(text if newcomer.site.port == 3000 else newcomer.site.at(text), "utf-8")
    page = await newcomer.page.context.new_page()
    newcomer.watch(page)
    printed: list[str] = []
    page.on("console", lambda message: printed.append(message.text))
    page.on("websocket", lambda socket: socket.on("framereceived", lambda _: printed.append("")))
    await page.goto(file.as_uri())
    newcomer.steps += 2
    await _until(lambda: bool(printed), "the connection")
    await newcomer.run(commands.PUBLISH)
    await _until(lambda: "mine 21.5" in printed, "the reading")
    await page.close()


async def close_access(newcomer: Newcomer) -> None:
    """From the link of the first admin to a login after which a reload stays on the overview."""
    page = newcomer.page
    printed = await newcomer.start(commands.CLOSE, r"#setup=\S+")
    link = _SETUP_LINK.search(printed)
    assert link is not None, printed
    await newcomer.open("about:blank")
    await newcomer.open(link[0])
    await newcomer.see(newcomer.find("heading", "Create the first admin"))
    await newcomer.fill("Password", PASSWORD)
    await newcomer.press("button", "Set password")
    await newcomer.see(newcomer.find("region", "Home, Study"))
    await page.reload()
    await newcomer.see(newcomer.find("region", "Home, Study"))
    await newcomer.unfold(page.locator("summary").filter(has_text="Logged in as admin"))
    await newcomer.press("button", "Log out")
    await newcomer.fill("Name", "admin")
    await newcomer.fill("Password", PASSWORD)
    await newcomer.press("button", "Log in")
    await newcomer.see(newcomer.find("region", "Home, Study"))
    await page.reload()
    await newcomer.see(newcomer.find("region", "Home, Study"))


async def own_servers(newcomer: Newcomer) -> None:
    """A broker and a MongoDB as they are installed, with the settings of the docs."""
    await newcomer.stop()
    broker, mongod = Mosquitto(newcomer.folder / "mosquitto"), Mongod(newcomer.folder / "mongod", alone=True)
    try:
        await asyncio.gather(asyncio.to_thread(broker.start), asyncio.to_thread(mongod.start))
        newcomer.use_broker(broker.port)
        newcomer.places |= {"broker:1883": f"127.0.0.1:{broker.port}", "db:27017": mongod.address}
        await newcomer.run(commands.USE_SERVERS)
        await newcomer.run(commands.CHECK_SERVERS, r"ok +broker.*ok +store.*ok +port")
        await newcomer.start(commands.RUN_ALONE, "ready: page at")
        await newcomer.open(newcomer.url)
        await newcomer.see(newcomer.find("heading", "No devices yet"))
        await newcomer.run(commands.PUBLISH)
        await newcomer.see(newcomer.find("region", "No site or room"), re.compile(r"mine.*21\.5", re.DOTALL))
        await newcomer.stop()
    finally:
        mongod.kill()
        broker.kill()


JOBS: tuple[tuple[str, Callable[[Newcomer], Awaitable[None]]], ...] = (
    ("run it", run),
    ("see readings of an own sensor", own_sensor),
    ("look at a week of a chart", week_of_a_chart),
    ("give a device a name and a room", name_and_room),
    ("find out why a message was rejected", bad_payload),
    ("compare two rooms", compare_rooms),
    ("save readings as CSV, from the page and by command", export),
    ("let an alarm rule fire, and acknowledge", alarm),
    ("receive readings in a page of their own", browser_client),
    ("close access, create the first admin, log in", close_access),
    ("run it with a broker and MongoDB", own_servers),
)


def _status(page: Page) -> Locator:
    return page.get_by_role("banner").get_by_role("paragraph")


async def _option(page: Page, name: str) -> str:
    """The label of the first option with this name."""
    options = page.get_by_role("combobox", name="Add to the chart").get_by_role("option").filter(has_text=name)
    await expect(options.first).to_be_attached()
    return str(await options.first.inner_text()).strip()


def _rows(file: Path) -> list[dict[str, Any]]:
    with file.open(encoding="utf-8-sig", newline="") as text:
        return list(csv.DictReader(text))


async def _until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"{what} did not come within {seconds:g} s"
        await asyncio.sleep(0.02)
