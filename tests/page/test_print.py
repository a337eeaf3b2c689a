"""What is printed."""

from __future__ import annotations

from playwright.async_api import expect

from tests.page.conftest import Dashboard

WHITE, BLACK = "rgb(255, 255, 255)", "rgb(0, 0, 0)"

VIEWS = (
    ("#/?view=cards", "No alarm"),
    ("#/?view=table", "No alarm"),
    ("#/device/hall", "hall"),
    ("#/compare?measurement=temperature&with=hall", "Compare"),
    ("#/alarms", "Alarms"),
)


async def test_views_are_printed_black_on_white_with_time_and_address(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="hall", temperature=21.5, humidity=40)
    async with dashboard.session.patch(
        f"{dashboard.base}/api/v1/devices/hall", json={"site": "Home", "room": "Entrance"}
    ) as answer:
        assert answer.status == 200, await answer.text()
    page = dashboard.page
    await page.emulate_media(color_scheme="dark")
    for view, heading in VIEWS:
        await dashboard.go(view)
        await page.emulate_media(media="print")
        await expect(page.locator("h1")).to_contain_text(heading)
        await expect(page.locator(".print-only")).to_contain_text(dashboard.base)
        await expect(page.locator("body")).to_have_css("background-color", WHITE)
        await expect(page.locator("h1")).to_have_css("color", BLACK)
        for absent in ("nav", ".tools", ".footer", "select", "input", "button:not([aria-pressed=true], h2 *, th *)"):
            await expect(page.locator(f"{absent}:visible")).to_have_count(0)
        if view.startswith("#/?view=cards"):
            await expect(page.get_by_role("heading", name="Entrance").get_by_text("Entrance")).to_be_visible()
        if view.startswith("#/?view=table"):
            await expect(page.get_by_role("columnheader", name="Temperature").get_by_text("Temperature")).to_be_visible()
        await page.emulate_media(media="screen")
    await dashboard.go("#/device/hall")
    await expect(page.locator(".plot canvas").first).to_be_visible()
    await page.emulate_media(media="print")
    plot = await page.locator(".plot").first.bounding_box()
    canvas = await page.locator(".plot canvas").first.bounding_box()
    assert plot is not None
    assert canvas is not None
    assert canvas["width"] <= plot["width"] + 1
    await expect(page.locator(".plot canvas").first).to_have_css("filter", "invert(1) hue-rotate(180deg)")
