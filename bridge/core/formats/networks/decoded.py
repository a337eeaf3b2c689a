"""What the payload decoder of a LoRaWAN device gave: the object of a known maker, or any JSON."""

from bridge.core.formats.format import Parsed
from bridge.core.formats.json import read_json
from bridge.core.formats.leaves import untaken
from bridge.core.formats.networks.dragino import is_dragino, read_dragino
from bridge.core.formats.networks.milesight import is_milesight, read_milesight
from bridge.core.readings.leaf import DEVICE_ID, TIMESTAMP, Leaf
from bridge.core.timestamp import EARLIEST_MS, parse_time


def read_decoded(decoded: object, path: str) -> Parsed:
    """Return the samples of a decoded payload at `path` of its message. A payload that is no object, and no list of objects,
    is not taken.
    """
    if is_milesight(decoded) and isinstance(decoded, dict):
        parsed = read_milesight(decoded, path)
    elif is_dragino(decoded) and isinstance(decoded, dict):
        parsed = read_dragino(decoded, path)
    elif decoded and (
        isinstance(decoded, dict) or (isinstance(decoded, list) and all(isinstance(one, dict) for one in decoded))
    ):
        parsed = read_json(decoded)
        for sample in parsed.samples:
            sample.leaves = [leaf._replace(path=f"{path}.{leaf.path}") for leaf in sample.leaves]
        parsed.common = [leaf._replace(path=f"{path}.{leaf.path}") for leaf in parsed.common]
    else:
        return Parsed([], untaken(decoded, path))
    for sample in parsed.samples:
        sample.device_id = None
        sample.leaves = [_of_network(leaf) for leaf in sample.leaves]
    parsed.common = [_of_network(leaf) for leaf in parsed.common]
    return parsed


def _of_network(leaf: Leaf) -> Leaf:
    """Return the leaf, not taken if it names the device, or is no time where the network gives one."""
    if leaf.field == DEVICE_ID:
        return leaf._replace(field=None, reason="the network names the device")
    if leaf.field == TIMESTAMP and (parse_time(leaf.value) or 0) < EARLIEST_MS:
        return leaf._replace(field=None, reason="not a time: that of the network is taken")
    return leaf


def best_signal(gateways: object, path: str) -> dict[str, str]:
    """Return a table with the path of the strongest `rssi` among the gateways that received an uplink."""
    if not isinstance(gateways, list):
        return {}
    signals = [
        (one["rssi"], index)
        for index, one in enumerate(gateways)
        if isinstance(one, dict) and isinstance(one.get("rssi"), int | float) and not isinstance(one["rssi"], bool)
    ]
    return {f"{path}.{max(signals)[1]}.rssi": "rssi"} if signals else {}
