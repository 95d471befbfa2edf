"""What a request for predictions asks for, in its query.

Read here and not by FastAPI's dependencies, which take a third of the time of a request.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import QueryParams

from boxless.serving.faults import RequestError


class Options(BaseModel):
    """What a request for predictions asks for, in its query."""

    model_config = ConfigDict(extra="forbid")

    boxes: bool = Field(False, description="Add a box for each present label.")
    maps: bool = Field(False, description="Add a heat map for each label in the answer.")
    top: int | None = Field(
        None, ge=1, le=10_000, description="Most labels in the answer; all where left out."
    )


def read_options(query: QueryParams) -> Options:
    """Read and check a query.

    Args:
        query: Of the request.

    Returns:
        The options, defaults filled in.

    Raises:
        RequestError: 422 for an unknown or repeated parameter or a wrong value.
    """
    given = dict(query)
    if len(given) < len(query.multi_items()):
        raise RequestError(422, "invalid_parameter", "a parameter stands in the query twice")
    try:
        return Options.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])[:80]
        found = str(first["input"])[:80]
        raise RequestError(
            422,
            "invalid_parameter",
            f"{name}: {first['msg']}, found {found!r}",
            hint=f"there are {', '.join(Options.model_fields)}",
        ) from None


def query_parameters() -> list[dict[str, Any]]:
    """The same for the OpenAPI document."""
    fields = Options.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": field.pop("description"),
            "schema": field,
        }
        for name, field in fields.items()
    ]
