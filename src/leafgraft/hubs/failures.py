"""What the libraries of hubs raise, as sentences."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from leafgraft.errors import UserError
from leafgraft.hubs.request import Request
from leafgraft.machine import offline

HUBS = {"hf": "Hugging Face", "tfds": "TensorFlow Datasets"}
_CACHES = {"hf": "HF_HOME", "tfds": "TFDS_DATA_DIR"}
_NETWORK = {"httpx", "httpcore", "requests", "urllib3", "aiohttp"}
_UNKNOWN = {
    "DatasetNotFoundError",
    "EmptyDatasetError",
    "DataFilesNotFoundError",
    "HFValidationError",
    "FileNotFoundError",
}


def refused(request: Request, error: Exception) -> UserError:
    """Say in a sentence why a data set cannot be had, and what may help.

    Args:
        request: what was asked for.
        error: what its library raised.
    """
    causes = list(_causes(error))
    said = textwrap.shorten(str(causes[-1]), 240, placeholder=" ...").rstrip(".:, ")
    if found := re.search(r"(?:Available|configs): \[(.*?)\]", str(error)):
        configs = found[1].replace("'", "")
        return UserError(f"{request} has the configurations {configs}; choose one with ,config=NAME behind the name.")
    if any("Dataset scripts are no longer supported" in str(cause) for cause in causes):
        return UserError(f"{request} is a program, and none from a hub is run; look for a copy of it in Parquet files.")
    if any("disk space" in str(cause) or "No space left" in str(cause) for cause in causes):
        return UserError(
            f"{request} does not fit on the disk ({said}): free some, or set {_CACHES[request.hub]} to a larger one."
        )
    if lacking := next((cause.name for cause in causes if isinstance(cause, ImportError) and cause.name), None):
        package = lacking.partition(".")[0]
        package = "'leafgraft[hub]'" if package in ("datasets", "tensorflow_datasets") else package
        return UserError(f"{request} needs a package that is not here: pip install {package}.")
    # Before the network, of which an unknown name is a failure too.
    if any(type(cause).__name__ in _UNKNOWN for cause in causes):
        if request.local:
            return UserError(f"{request} holds no data set ({said}); name a folder that `datasets` can load.")
        hint = ", or log in with `hf auth login` if it is not open to all" if request.hub == "hf" else ""
        return UserError(f"{HUBS[request.hub]} has no data set {request}: look its name up there{hint}.")
    if any(_of_network(cause) for cause in causes):
        if offline():
            return not_here(request)
        return UserError(f"{request} could not be fetched ({said}): see to the network and give the command again.")
    kind = type(causes[-1]).__name__
    return UserError(f"{request} cannot be opened ({kind}: {said}); see to that, or choose another data set.")


def not_here(request: Request) -> UserError:
    """Say that a data set would have to be fetched, and must not be."""
    return UserError(
        f"{request} is not on this disk, and LEAFGRAFT_OFFLINE prevents its download: give the command once without it."
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what brought it about, back to the first."""
    while error is not None:
        yield error
        error = error.__cause__


def _of_network(error: BaseException) -> bool:
    return (
        isinstance(error, ConnectionError | TimeoutError)
        or type(error).__module__.partition(".")[0] in _NETWORK
        or type(error).__name__ in ("DownloadError", "LocalEntryNotFoundError")
    )
