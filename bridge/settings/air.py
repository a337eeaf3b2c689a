"""By which standard the air is judged."""

from typing import Literal

from bridge.settings.section import Section


class AirSettings(Section):
    """`scale` is the index for particles, ozone, nitrogen and sulphur dioxide."""

    scale: Literal["us-epa", "european"] = "us-epa"
