"""``boxless`` with a tiny VGG16 that timm knows by name; run as a command of its own."""

import tiny_vgg  # noqa: F401  (registers the network)
from boxless.cli.app import main

if __name__ == "__main__":
    main()
