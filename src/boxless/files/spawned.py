"""New processes of this one, which may be a user's script."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def main_left_alone() -> Iterator[None]:
    """Keep new processes from running the user's script again: all they call is in this package.

    So a script needs no ``if __name__ == "__main__":`` around `boxless.train`.
    """
    main = sys.modules["__main__"].__dict__
    names: tuple[str, ...] = ("__file__", "__spec__")
    kept = {name: main[name] for name in names if name in main}
    main.pop("__file__", None)
    main["__spec__"] = None  # what multiprocessing.spawn looks at
    try:
        yield
    finally:
        main.update(kept)
