"""Standing alarms as retained messages of a real broker."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from bridge.alarms.record import AlarmState
from bridge.core.decode import Decoder
from bridge.core.message import Ignored
from bridge.mqtt_out import retained
from bridge.settings import Settings
from bridge.sources.mqtt.client import mqtt_sender
from tests.fakes import MemoryStore
from tests.mqtt_out.rig import Rig, changed, kept, kept_bodies, record, settings_for
from tests.senders import patient
from tests.servers import Mosquitto, until


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_standing_alarm_is_a_retained_message_with_its_record(broker_url: str, protocol: str) -> None:
    rig = Rig(settings_for(broker_url, protocol=protocol))
    async with rig.running():
        event = changed()
        await rig.publish(event)
        assert await kept_bodies(broker_url, "alarms/#") == {"alarms/kitchen/co-ceiling": dict(event.record)}
        assert rig.out.events == [event]


@pytest.mark.parametrize(
    ("kind", "more", "stays"),
    [
        ("acknowledged", {"state": AlarmState.ACKNOWLEDGED}, True),
        ("cleared", {"state": AlarmState.RETURNED}, True),
        ("cleared", {"state": AlarmState.LATCHED}, True),
        ("shelved", {"state": AlarmState.NORMAL, "shelved_until_ms": 1}, True),
        ("past", {"state": AlarmState.NORMAL}, True),
        ("acknowledged", {"state": AlarmState.NORMAL}, False),
        ("unshelved", {"state": AlarmState.NORMAL}, False),
        ("removed", {"state": AlarmState.ACKNOWLEDGED}, False),
    ],
)
async def test_message_is_removed_when_the_alarm_is_normal_again_and_not_shelved(
    broker_url: str, kind: str, more: dict[str, Any], *, stays: bool
) -> None:
    rig = Rig(settings_for(broker_url))
    async with rig.running():
        await rig.publish(changed())
        await rig.publish(changed(kind=kind, **more))
        assert list(await kept(broker_url, "alarms/#")) == ["alarms/kitchen/co-ceiling"] * stays
        assert len(rig.retained) == stays


async def test_device_ids_with_slashes_and_any_characters_have_their_own_topics(broker_url: str) -> None:
    ids = ["floor1/kitchen/air", "floor1/kitchen", "Küche 2", "日本/温度", "a{b}", "$SYS/x", "co-ceiling", "😀"]
    rig = Rig(settings_for(broker_url))
    async with rig.running():
        await rig.publish(*(changed(device_id) for device_id in ids), changed(None, "store-unavailable"))
        bodies = await kept_bodies(broker_url, "alarms/#")
        assert bodies.pop("alarms/bridge/store-unavailable")["deviceId"] is None
        assert {topic: body["deviceId"] for topic, body in bodies.items()} == {f"alarms/{one}/co-ceiling": one for one in ids}
        await rig.publish(*(changed(one, kind="reset", state=AlarmState.NORMAL) for one in ids))
        assert list(await kept(broker_url, "alarms/#")) == ["alarms/bridge/store-unavailable"]


async def test_everything_is_published_again_to_a_broker_that_has_lost_it(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    rig = Rig(settings_for(broker.url))
    try:
        async with rig.running():
            await rig.publish(changed("a"), changed("b"), changed("c"))
            broker.kill()
            await until(lambda: not rig.health.ready)
            (tmp_path / "broker" / "mosquitto.db").unlink(missing_ok=True)
            rig.stage.publish([changed("b", kind="reset", state=AlarmState.NORMAL), changed("d")])
            broker.start()
            await until(lambda: rig.health.ready)
            await rig.sent()
            assert sorted(await kept(broker.url, "alarms/#")) == [f"alarms/{one}/co-ceiling" for one in "acd"]
    finally:
        broker.kill()


async def test_alarms_that_stand_at_the_start_are_published_and_those_of_earlier_runs_removed(broker_url: str) -> None:
    memory = MemoryStore()
    first = Rig(settings_for(broker_url), memory)
    async with first.running():
        await first.publish(changed("a"), changed("b"))
    second = Rig(settings_for(broker_url), memory)
    second.standing = [record("b"), record("c")]
    async with second.running():
        await second.sent()
        assert sorted(await kept(broker_url, "alarms/#")) == ["alarms/b/co-ceiling", "alarms/c/co-ceiling"]
    off = Rig(settings_for(broker_url), memory, alarms=None)
    async with off.running():
        await off.sent()
        assert await kept(broker_url, "alarms/#") == {}
        assert off.retained.counts.removed == 2


async def test_messages_of_others_below_the_topic_are_left_alone(broker_url: str) -> None:
    async with mqtt_sender(patient(broker_url)) as sender:
        await sender.publish("alarms/of/others", b"1", retain=True)
    rig = Rig(settings_for(broker_url))
    async with rig.running():
        await rig.publish(changed())
        await rig.publish(changed(kind="reset", state=AlarmState.NORMAL))
    assert await kept(broker_url, "alarms/#") == {"alarms/of/others": b"1"}


async def test_alarm_that_changes_while_the_broker_is_unavailable_is_published_once(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    rig = Rig(settings_for(broker.url))
    try:
        async with rig.running(connected=False):
            for value in range(1000):
                rig.stage.publish([changed(value=float(value))])
            assert rig.retained.waiting == 1
            broker.start()
            await until(lambda: rig.health.ready)
            await rig.sent()
            (body,) = (await kept_bodies(broker.url, "alarms/#")).values()
            assert body["value"] == 999
            assert rig.retained.counts.published == 1
    finally:
        broker.kill()


async def test_a_broker_that_hangs_delays_nobody_and_is_told_when_it_answers(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    rig = Rig(settings_for(broker.url, timeout_seconds=0.3))
    try:
        async with rig.running():
            broker.freeze()
            rig.stage.publish([changed("a"), changed("b")])
            assert len(rig.out.events) == 2
            await until(lambda: rig.retained.counts.failed >= 2, what="the deadline")
            broker.thaw()
            await rig.sent()
            assert sorted(await kept(broker.url, "alarms/#")) == ["alarms/a/co-ceiling", "alarms/b/co-ceiling"]
    finally:
        broker.thaw()
        broker.kill()


async def test_refusals_of_the_broker_are_counted(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read #\ntopic write marker/#\n")
    acl.chmod(0o600)
    broker = Mosquitto(tmp_path / "broker", f"acl_file {acl}")
    broker.start()
    rig = Rig(settings_for(broker.url))
    try:
        async with rig.running():
            await rig.publish(changed("a"), changed("b"))
            assert rig.source.publications_refused == 2
            assert await kept(broker.url, "alarms/#") == {}
    finally:
        broker.kill()


async def test_topics_beyond_the_limit_are_counted(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retained, "TOPICS_LIMIT", 10)
    rig = Rig(settings_for(broker_url))
    async with rig.running():
        await rig.publish(*(changed(str(number)) for number in range(15)))
        assert rig.retained.counts.over_limit == 5
        assert len(await kept(broker_url, "alarms/#")) == 10


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_bridge_is_unavailable_by_its_last_will_and_after_a_clean_end(broker_url: str, protocol: str) -> None:
    rig = Rig(settings_for(broker_url, protocol=protocol), will=True)

    async def is_offline() -> bool:
        return await kept(broker_url, "status") == {"status": b"offline"}

    async with rig.running():
        await rig.source.publish_retained("status", b"online")
        assert not await is_offline()
        connection = rig.source._connection
        assert connection is not None
        sock: Any = connection._paho.socket()
        with socket.socket(fileno=os.dup(sock.fileno())) as cut:
            cut.shutdown(socket.SHUT_RDWR)
        await until(is_offline, what="the last will")
        await until(lambda: rig.source._connection not in (None, connection), what="another connection")
        await rig.source.publish_retained("status", b"online")
    assert await is_offline()


def own(**more: object) -> Settings:
    return Settings.model_validate(
        {"alarms": {"mqtt": {"enabled": True}}, "mqtt": {"subscriptions": [{"pattern": "#"}, {"pattern": "{deviceId...}"}]}}
        | more
    )


async def test_own_messages_that_a_wildcard_delivers_are_ignored_as_commands_are(broker_url: str) -> None:
    settings = own()
    decoder = Decoder(settings.routes)
    rig = Rig(settings_for(broker_url, subscriptions=[{"pattern": "#"}]))
    async with rig.running():
        await rig.publish(changed("floor/kitchen"))
        await until(lambda: len(rig.intake) >= 1, what="our own message")
        (message,) = await anext(rig.intake)
        assert message.topic == "alarms/floor/kitchen/co-ceiling"
        assert decoder.decode(message) == Ignored("one of the bridge's own messages")
        await asyncio.sleep(0)
        assert len(rig.intake) == 0


def test_topics_of_a_subscription_cannot_be_those_of_own_messages() -> None:
    subscriptions = {"mqtt": {"subscriptions": [{"pattern": "alarms/{deviceId}/data"}]}}
    with pytest.raises(
        ValueError, match=r"alarms.mqtt.topic: alarms/# has topics of the subscription alarms/\{deviceId\}/data"
    ):
        own(**subscriptions)
    with pytest.raises(ValueError, match=r"alarms.mqtt.topic: sensors/# has topics of mqtt.commands too"):
        own(alarms={"mqtt": {"enabled": True, "topic": "sensors"}})
    with pytest.raises(ValueError, match=r"home_assistant.topic: alarms/# has topics of alarms.mqtt.topic too"):
        own(home_assistant={"discovery": True, "topic": "alarms"})


@pytest.mark.parametrize("topic", ["", "/a", "a/", "a+", "#", "$SYS/a", "a\n", "{deviceId}"])
def test_topic_with_a_wildcard_or_an_empty_level_is_refused(topic: str) -> None:
    with pytest.raises(ValueError, match=r"alarms\.mqtt\.topic"):
        own(alarms={"mqtt": {"enabled": True, "topic": topic}})
