"""Numbers that mean "no value": what a failed, absent or unready sensor leaves in the register that its firmware sends on.

They are full scales of a register, as sent or scaled by its resolution, and are told apart by the exact number only:

- 0xFFFF and 0x7FFF: Sensirion SEN5x and SEN6x, data sheets, "Read Measured Values", so that the first CO2 of a SEN66 is 65535
  (adafruit/Adafruit_Wippersnapper_Arduino, issue 678); Ruuvi, data formats 5, 6 and E1.
- 0xFFFE: Milesight, "SensorDecoders", a polluted sensor.
- Tenths and hundredths of these: 6553.5 µg/m³ of a SEN5x, 327.67 and 6553.5 of Dragino, 655.35 of Milesight.
- Full scales of 24 and 32 bits, and 999999, the fill value of a field of six digits.

No codes are the numbers at which sensors and displays stop, since the air may be worse: 5,000, 9,999, 10,000 and 40,000 ppm of
CO2 (MH-Z19, SCD30, SCD4x), 999.9 and 1,000 µg/m³ (SDS011, PMS5003), 999 ppm of CO.
"""

FAILED = "sensor failure"
"""How the fault of such a value begins. The value is stored as it was sent, and never judged."""

_SIXTEEN_BITS = (0x7FFF, 0xFFFE, 0xFFFF)
_MORE_BITS = (0x7F_FFFF, 0xFF_FFFF, 0x7FFF_FFFF, 0xFFFF_FFFF)
_DIVISORS = (1, 10, 100, 1000)
_FACTORS = (10, 100)
_FILL_VALUES = (999_999,)

_CODES = frozenset((
    *(number / divisor for number in (*_SIXTEEN_BITS, *_MORE_BITS) for divisor in _DIVISORS),
    *(number * factor for number in _SIXTEEN_BITS for factor in _FACTORS),
    *_FILL_VALUES,
))  # fmt: skip


def is_failure_code(number: float) -> bool:
    """Whether a number is a code, where no sensor can measure it."""
    return number in _CODES


def failure(number: float) -> str:
    return f"{FAILED}: {number:.12g} is a code, not a value"
