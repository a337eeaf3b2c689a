"""The commands that the newcomer runs, each with the page that has it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.docs.blocks import Block, blocks
from tests.servers import REPO

_COMMENT = "  #"


@dataclass(frozen=True, slots=True)
class Command:
    """Whole lines of a block of a page, or all of an inline code."""

    page: str
    text: str

    @property
    def is_documented(self) -> bool:
        path = REPO / self.page
        inline = f"`{self.text}`" in path.read_text("utf-8")
        return inline or any(self._is_in(block) for block in blocks(path) if block.language == "sh")

    def _is_in(self, block: Block) -> bool:
        lines = [line.split(_COMMENT)[0].rstrip() for line in block.text.splitlines()]
        return f"\n{self.text}\n" in "\n".join(["", *lines, ""])


_README, _START, _ALARMS = "README.md", "docs/getting-started.md", "docs/alarms.md"
_TROUBLE, _ACCESS = "docs/troubleshooting.md", "docs/access.md"

RUN = Command(_README, "make run")
FIND_COMMANDS = Command(_START, 'export PATH="$PWD/.venv/bin:$PATH"')
PUBLISH = Command(_README, """mosquitto_pub -q 1 -t sensors/mine/data -m '{"temperature": 21.5, "eco2": 640}'""")
POST = Command(
    _README,
    'curl -fsS -H \'Content-Type: application/json\' -d \'{"deviceId": "mine", "temperature": 21.6}\''
    " http://localhost:3000/api/v1/readings",
)
CHECK = Command(_TROUBLE, "sensor-bridge check || true")
PUBLISH_WRONG = Command(_TROUBLE, """mosquitto_pub -q 1 -t sensors/mine/data -m '{"temprature": 21.5}'""")
LIST_REJECTED = Command(_TROUBLE, "sensor-bridge rejected list")
EXPORT = Command(_START, "sensor-bridge export mine.csv --device mine --from 7d")
WRITE_RULES = Command(
    _ALARMS,
    """cat > rules.toml <<'END'
[rules.warm]
field = "temperature"
above = 28
clear = 26
END""",
)
TRY_RULES = Command(_ALARMS, "sensor-bridge alarms try --since 30d --rules rules.toml")
RUN_WITH_RULES = Command(_ALARMS, "BRIDGE_ALARMS__FILE=rules.toml make run")
PUBLISH_WARM = Command(_ALARMS, """mosquitto_pub -q 1 -t sensors/mine/data -m '{"temperature": 29}'""")
LIST_ALARMS = Command(_ALARMS, "sensor-bridge alarms list")
CLOSE = Command(_ACCESS, "BRIDGE_ACCESS__MODE=required make run")
USE_SERVERS = Command(_START, "export BRIDGE_MQTT__URL=mqtt://broker:1883 BRIDGE_STORE__URL=mongodb://db:27017/sensors")
CHECK_SERVERS = Command(_START, ".venv/bin/sensor-bridge check")
RUN_ALONE = Command(_START, ".venv/bin/sensor-bridge run")

COMMANDS = tuple(one for one in list(globals().values()) if isinstance(one, Command))

[BROWSER_SNIPPET] = [block for block in blocks(REPO / _README) if block.language == "html"]
