"""Run the command line: `python -m bridge` is `sensor-bridge`."""

from bridge.cli.main import main

if __name__ == "__main__":
    main()
