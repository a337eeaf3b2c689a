"""The API reference at /api/docs, and the requests that it sends."""

from __future__ import annotations

from playwright.async_api import Browser, Locator, Page, expect

from tests.access.parts import PASSWORD, Guarded
from tests.page.conftest import Dashboard, expect_no_overflow, log_in
from tests.page.test_accessibility import violations


async def open_route(page: Page, route: str) -> Locator:
    """Open a route by its operation id."""
    item = page.locator(f"#{route}")
    await item.locator("summary").first.click()
    await expect(item.locator("form")).to_be_visible()
    return item


async def send(item: Locator, status: str) -> None:
    await item.locator("form button[type=submit]").click()
    await expect(item.locator(".answer strong")).to_contain_text(status)


async def test_reference_lists_each_route_once_and_sends_requests(dashboard: Dashboard) -> None:
    await dashboard.post(deviceId="hall", temperature=21.5)
    page = dashboard.page
    await dashboard.go("api/docs")
    await expect(page.locator(".rights").first).to_contain_text("Access is open")
    await page.locator("[type=search]").fill("sensors")
    await expect(page.locator("#get_api_v1_devices")).to_be_visible()
    await expect(page.locator("#get_health_live")).to_have_count(0)
    await expect(page.locator("#get_api_v1_sensors")).to_have_count(0)
    item = await open_route(page, "get_api_v1_devices_id")
    await expect(item).to_contain_text("GET /api/v1/sensors/{id}")
    await item.locator("form button[type=submit]").click()
    await expect(item.locator(".error")).to_have_text("Fill in what is required: id")
    await item.get_by_label("id required").fill("hall")
    await send(item, "200")
    await expect(item.locator(".answer")).to_contain_text('"id": "hall"')
    await item.locator(".schema summary").first.click()
    assert await violations(page) == []
    await page.set_viewport_size({"width": 360, "height": 780})
    await expect_no_overflow(page)
    await page.locator(".brand").click()
    await expect(dashboard.card("hall")).to_be_visible()


async def test_reference_uses_the_rights_of_the_session(browser: Browser, made: Guarded) -> None:
    context = await browser.new_context(base_url=made.base)
    page = await context.new_page()
    await page.goto("/api/docs")
    await expect(page.locator(".rights").first).to_contain_text("You are not logged in")
    item = await open_route(page, "get_api_v1_devices")
    await expect(item.locator(".rights")).to_contain_text("You are not logged in")
    await send(item, "401")
    for name, status, note in (("viewer", "403", "Your account lacks the right “manage”"), ("admin", "201", "")):
        await context.clear_cookies()
        await page.goto("/")
        await log_in(page, name, PASSWORD)
        await expect(page.locator(".account")).to_be_visible()
        await page.goto("/api/docs")
        await expect(page.locator(".rights").first).to_contain_text(f"sent as {name}")
        await send(await open_route(page, "get_api_v1_devices"), "200")
        item = await open_route(page, "post_api_v1_locations")
        await expect(item).to_contain_text(note)
        await item.locator("textarea").fill('{"name": "Hall"}')
        await send(item, status)
    await context.close()
