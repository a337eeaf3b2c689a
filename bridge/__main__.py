"""`python -m bridge` is `sensor-bridge`."""

from bridge.cli import main

if __name__ == "__main__":
    main()
