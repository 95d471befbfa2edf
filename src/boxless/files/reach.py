"""The one way to a store: through fsspec, with errors a user can act on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from boxless.errors import BoxlessError, ConfigError, MissingExtraError, RunError


@contextmanager
def reached(url: str) -> Iterator[tuple[Any, str]]:
    """Use a store; what goes wrong is told to the user.

    Each package for a store has exceptions of its own, so all of them are told alike.

    Args:
        url: An object or folder.

    Yields:
        fsspec's file system, and the name that the URL has there.

    Raises:
        FileNotFoundError: There is no such object.
        ConfigError: There is no such kind of store.
        MissingExtraError: A package for it is not installed.
        RunError: It refuses, or cannot be reached.
    """
    try:
        from fsspec import get_filesystem_class  # noqa: PLC0415  (optional)
    except ImportError as error:
        raise MissingExtraError("fsspec", "cloud") from error
    try:
        kind = get_filesystem_class(url.partition("://")[0])
        # Not by fsspec's own `url_to_fs`, to which "::" in a name means a chain of stores.
        yield kind(**kind._get_kwargs_from_urls(url)), kind._strip_protocol(url)
    except (FileNotFoundError, BoxlessError):
        raise
    except ImportError as error:
        raise MissingExtraError(error.name or "s3fs", "cloud") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or "no reason given"
        if isinstance(error, ValueError) and "rotocol" in reason:
            raise ConfigError(f"{url}: {reason}", hint="s3://BUCKET/NAME, for example") from error
        raise RunError(
            f"cannot reach {url}: {type(error).__name__}: {reason}",
            hint="look at address, credentials and network (s3: AWS_ACCESS_KEY_ID,"
            " AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, or ~/.aws), then run the same command again:"
            " finished work is kept",
        ) from error
