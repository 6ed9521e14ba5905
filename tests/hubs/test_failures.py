"""What the libraries of hubs raise, as sentences."""

from __future__ import annotations

import pytest

from leafgraft.hubs.failures import refused
from leafgraft.hubs.request import Request

HF, TFDS = Request("hf", "owner/name"), Request("tfds", "flowers")


class DatasetNotFoundError(FileNotFoundError):
    """Called as that of the library."""


@pytest.mark.parametrize(
    ("request_", "error", "sentence"),
    [
        (HF, ConnectionError("Couldn't reach it"), "could not be fetched (Couldn't reach it): see to the network"),
        (TFDS, TimeoutError("too slow"), "could not be fetched (too slow)"),
        (
            HF,
            DatasetNotFoundError("gone"),
            "Hugging Face has no data set hf:owner/name: look its name up there, or log in",
        ),
        (
            TFDS,
            DatasetNotFoundError("gone"),
            "TensorFlow Datasets has no data set tfds:flowers: look its name up there.",
        ),
        (HF, OSError("Not enough disk space. Needed: 9 TB"), "free some, or set HF_HOME to a larger one."),
        (TFDS, OSError(28, "No space left on device"), "free some, or set TFDS_DATA_DIR to a larger one."),
        (HF, ModuleNotFoundError("no", name="datasets"), "pip install 'leafgraft[hub]'."),
        (TFDS, ModuleNotFoundError("no", name="apache_beam.io"), "pip install apache_beam."),
        (HF, RuntimeError("Dataset scripts are no longer supported, but found x.py"), "none from a hub is run"),
        (TFDS, ValueError("odd\n" * 500), "cannot be opened (ValueError: odd odd"),
    ],
)
def test_failures_become_one_sentence_with_a_way_out(request_: Request, error: Exception, sentence: str) -> None:
    said = str(refused(request_, error))
    assert sentence in said
    assert "\n" not in said
    assert len(said) < 400
    assert said.endswith(".")


def test_what_brought_a_failure_about_counts() -> None:
    outer = RuntimeError("An error occurred while generating the dataset")
    outer.__cause__ = ConnectionError("no route")
    assert "could not be fetched (no route)" in str(refused(HF, outer))
    unknown = DatasetNotFoundError("gone")
    unknown.__cause__ = ConnectionError("404")
    assert "has no data set" in str(refused(HF, unknown))


def test_offline_the_network_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAFGRAFT_OFFLINE", "1")
    assert "LEAFGRAFT_OFFLINE prevents its download" in str(refused(HF, ConnectionError("offline mode")))
