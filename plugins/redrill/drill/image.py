"""The image that an endpoint would be rebuilt from: an endpoint without one has no way back."""

import threading
from collections.abc import Callable
from typing import TypeVar

from redrill.drill.bench import Bench
from redrill.drill.evidence import SUFFIX, write_manifest
from redrill.errors import BackupError, GuardError, RedrillError
from redrill.model.record import ImageFacts
from redrill.provisioners.protocol import Lineage, Provisioner

T = TypeVar("T")

_IMAGES = threading.Lock()


def learn_image(bench: Bench, provisioner: Provisioner) -> ImageFacts:
    """Return the wanted image; endpoints that share it share the evidence file of what it holds.

    In a mode that destroys, an image that cannot be read is a BackupError; else it is what the provisioner raises.
    """
    image = _read(bench, provisioner.describe_image)
    file = bench.run_dir / "images" / f"{image.digest.removeprefix('sha256:')}{SUFFIX}"
    with _IMAGES:
        if not file.exists():
            write_manifest(_read(bench, provisioner.read_image_manifest), file)
    return image.model_copy(update={"manifest": bench.relative(file)})


def learn_running_image(bench: Bench, provisioner: Provisioner) -> ImageFacts | None:
    """Return the image that the endpoint runs now, whose name nobody remembers; None when it is not known."""
    if not isinstance(provisioner, Lineage) or (digest := provisioner.read_running_digest()) is None:
        return None
    file = bench.run_dir / "images" / f"{digest.removeprefix('sha256:')}{SUFFIX}"
    with _IMAGES:
        if not file.exists():
            manifest = provisioner.read_running_manifest()
            if manifest is None:
                return None
            write_manifest(manifest, file)
    return ImageFacts(name="", version="", digest=digest, manifest=bench.relative(file))


def require_image(bench: Bench, provisioner: Provisioner, planned: ImageFacts) -> None:
    """Raise BackupError when the image can no longer be read, GuardError when it is not the planned one any more."""
    found = _read(bench, provisioner.describe_image)
    if found.digest != planned.digest:
        raise GuardError(
            f"Endpoint '{bench.endpoint.name}' must not be wiped: its image is '{found.digest}' now, and the plan was "
            f"made for '{planned.digest}'. Plan again."
        )


def _read(bench: Bench, read: Callable[[], T]) -> T:
    try:
        return read()
    except (RedrillError, OSError, ValueError, TypeError) as error:  # also of an index that is no JSON any more
        if not bench.mode.is_destructive:
            raise
        raise BackupError(
            f"Endpoint '{bench.endpoint.name}' has no way back, for the image that it would be rebuilt from cannot be "
            f"read: {error} Nothing was wiped. Provide the image, then drill again."
        ) from error
