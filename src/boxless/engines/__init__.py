"""Where work is done that falls into independent units: on this machine, or on a Ray cluster."""
