"""Wall mode."""

from __future__ import annotations

import re

from playwright.async_api import Browser, CDPSession, Route, expect

from tests.faults.proxy import Fault, FaultyProxy
from tests.page.conftest import Dashboard
from tests.page.test_accessibility import violations
from tests.servers import until

SCREENS = ((360, 780), (1024, 768), (768, 1024), (1920, 1080), (3840, 2160))
FITS = """() => {
    const { scrollWidth, scrollHeight } = document.documentElement;
    return scrollWidth <= innerWidth && (innerWidth <= 360 || scrollHeight <= innerHeight);
}"""


async def furnish(dashboard: Dashboard, **rooms: str) -> None:
    """Devices with a reading each, in these rooms."""
    for device, room in rooms.items():
        await dashboard.post(deviceId=device, temperature=21.5, humidity=40, co2=640)
        changes = {"site": "Home", "room": room}
        async with dashboard.session.patch(f"{dashboard.base}/api/v1/devices/{device}", json=changes) as answer:
            assert answer.status == 200


async def test_wall_rotates_rooms_and_holds_the_one_with_an_alarm(dashboard: Dashboard) -> None:
    await furnish(dashboard, bed="Bedroom", stove="Kitchen", sofa="Lounge")
    page = dashboard.page
    room, position = page.locator("h1"), page.locator(".wall-position")
    await dashboard.go("?wall&every=10")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await expect(page.locator(".wall-tile").first).to_contain_text("21.5")
    await expect(room).to_contain_text("Bedroom")
    await expect(room).to_contain_text("Kitchen")
    await page.keyboard.press("Space")
    await expect(position).to_contain_text("Paused")
    await page.keyboard.press("ArrowRight")
    await expect(room).to_contain_text("Lounge")
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("ArrowLeft")
    await expect(room).to_contain_text("Bedroom")
    for _ in range(2):
        await dashboard.post(deviceId="stove", ch4Ppm=9500)
    await expect(room).to_contain_text("Kitchen")
    await expect(page.locator(".wall-alarms")).to_contain_text("stove")
    await expect(position).to_contain_text("Stays until the alarm is over or acknowledged")


async def test_wall_shows_only_the_rooms_in_its_address(dashboard: Dashboard) -> None:
    await furnish(dashboard, bed="Bedroom", stove="Kitchen")
    await dashboard.go("?wall&room=Kitchen&theme=light")
    await expect(dashboard.page.locator("h1")).to_have_text(re.compile("Kitchen"))
    await expect(dashboard.page.locator("html")).to_have_attribute("data-theme", "light")
    await expect(dashboard.page.locator(".wall-position")).to_have_text("")


async def test_wall_is_accessible_fits_every_screen_and_says_whether_the_screen_stays_on(dashboard: Dashboard) -> None:
    await furnish(dashboard, **{f"device{number}": "Hall" for number in range(6)})
    for _ in range(2):
        await dashboard.post(deviceId="device1", ch4Ppm=9500)
    page = dashboard.page
    await dashboard.go("?wall&theme=auto")
    await expect(page.locator(".wall-tile")).to_have_count(6)
    await expect(page.locator(".wall-alarms")).to_be_visible()
    await expect(page.locator(".wall-tile").first.locator("dd").first).to_contain_text("9,500")
    await expect(page.locator(".wall-controls .lock")).to_have_text(re.compile("^The screen (stays on|may turn off)"))
    await page.locator(".wall-controls button").first.focus()
    await expect(page.locator(".wall-controls")).to_have_css("opacity", "1")  # they fade while nobody uses the page
    assert await violations(page) == []

    async def fits() -> bool:
        return bool(await page.evaluate(FITS))

    for width, height in SCREENS:
        await page.set_viewport_size({"width": width, "height": height})
        await until(fits, 30, f"a wall that fits {width} x {height}")
    await page.set_viewport_size({"width": 1920, "height": 1080})
    sizes = [
        await page.locator(f".wall {one}").first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
        for one in ("dd", "dt")
    ]
    assert sizes[0] >= 0.04 * 1080, "a value can be read from three metres"
    assert sizes[1] >= 0.028 * 1080


async def test_wall_loads_itself_again_when_the_bridge_serves_a_new_version(browser: Browser, dashboard: Dashboard) -> None:
    await furnish(dashboard, bed="Bedroom")
    context = await browser.new_context()
    page = await context.new_page()

    async def newer(route: Route) -> None:
        if route.request.resource_type == "fetch":
            answer = await route.fetch()
            text = re.sub(r"assets/index-[^.\"]+\.js", "assets/index-NEWER.js", await answer.text())
            await route.fulfill(response=answer, body=text)
        else:
            await route.continue_()

    await page.route(f"{dashboard.base}/", newer)
    await page.goto(f"{dashboard.base}/?wall")
    await expect(page.locator(".wall-tile")).to_have_count(1)
    await page.wait_for_event("load")  # it asks within 10 s of each connection
    await expect(page.locator(".wall-tile")).to_have_count(1)
    await page.unroute_all(behavior="ignoreErrors")
    await context.close()


async def test_wall_keeps_nothing_of_connections_that_were_reset(dashboard: Dashboard) -> None:
    await furnish(dashboard, bed="Bedroom")
    page, proxy = dashboard.page, FaultyProxy(int(dashboard.base.rpartition(":")[2]))
    devtools = await page.context.new_cdp_session(page)
    sockets = "this.filter((one) => one instanceof WebSocket || Object.hasOwn(one, 'writeBuffer')).length"

    async def is_only_the_open_one_left() -> bool:
        return await count_objects(devtools, sockets) == 2  # a WebSocket, and the Engine.IO socket that uses it

    async with proxy.serving():
        await page.goto(f"http://127.0.0.1:{proxy.port}/?wall")
        for _ in range(5):
            await expect(page.locator(".wall[data-connected=true]")).to_be_visible()
            proxy.set(Fault.RESET)
            proxy.set(Fault.REFUSE)  # until it is seen
            await expect(page.locator(".wall[data-connected=false]")).to_be_attached()
            proxy.set(Fault.NONE)
        await expect(page.locator(".wall[data-connected=true]")).to_be_visible()
        await until(is_only_the_open_one_left, what="the end of four sockets")
    await devtools.detach()


async def count_objects(devtools: CDPSession, expression: str) -> int:
    """Return what a JavaScript expression says of `this`, all objects of the page after a garbage collection."""
    prototype = await devtools.send("Runtime.evaluate", {"expression": "Object.prototype", "objectGroup": "counted"})
    where = {"prototypeObjectId": prototype["result"]["objectId"], "objectGroup": "counted"}
    objects = (await devtools.send("Runtime.queryObjects", where))["objects"]["objectId"]
    count = {"functionDeclaration": f"function () {{ return {expression}; }}", "objectId": objects, "returnByValue": True}
    answer = await devtools.send("Runtime.callFunctionOn", count)
    await devtools.send("Runtime.releaseObjectGroup", {"objectGroup": "counted"})
    return int(answer["result"]["value"])
