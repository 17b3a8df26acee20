"""A model of the whole query: ``Annotated[Filters, Query()]``. Imported by apps that have one."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.http.binding import Misfit
from portable.http.form_models import model_reader
from portable.http.parameters import place_of
from portable.jsontext import ModelError
from portable.signatures import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portable.events import Request
    from portable.http.parameters import Binding
    from portable.triggers import HTTPRoute

__all__ = ["query_model_getter"]


def query_model_getter(route: HTTPRoute, binding: Binding) -> Callable[[Request], Any]:
    """A function from a request to its query as a model. It raises Misfit.

    A field that is a list has every value of its name, any other the last. Names the model does not have are ignored.
    """
    try:
        convert = model_reader(binding.annotation, blanks=False)
    except Exception as error:  # whatever msgspec or pydantic has against the type
        raise ConfigError(
            f"{place_of(route)}: {binding.parameter!r} cannot be read from a query as {binding.annotation!r}: {error}"
        ) from error
    default = binding.default

    def get(request: Request) -> Any:
        query = request.query
        names = {name for name, _ in query.items()}
        if not names and default is not MISSING:
            return default
        try:
            return convert({name: query.get_all(name) for name in names})
        except ModelError as error:
            raise Misfit(400, "query", error.field, error.detail) from error

    return get
