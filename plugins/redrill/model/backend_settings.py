"""What the fleet file says to a backend of an endpoint, as the backend's own model of it."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from redrill.errors import FleetError
from redrill.model.fleet import Endpoint

M = TypeVar("M", bound=BaseModel)


def checked_settings(model: type[M], endpoint: Endpoint, key: str) -> M:
    """Return the settings under ``key`` of an endpoint, such as 'repository'; FleetError when they are wrong."""
    backend = getattr(endpoint, key)
    try:
        return model.model_validate(backend.settings if backend else {})
    except ValidationError as error:
        raise FleetError(f"endpoints.{endpoint.name}.{key}: {error}") from error
