"""``python -m boxless``."""

from boxless.cli.app import main

if __name__ == "__main__":
    main()
