"""Tables as the tests of their dialects read them."""

from boxless.data import table


def read(path, *options):
    return table.read(",".join((str(path), *options)))


def tags_of(manifest):
    """Tags by image, in file order."""
    return [
        tuple(sorted(n for n, value in zip(manifest.classes, r.labels, strict=True) if value == 1))
        for r in manifest.records
    ]
