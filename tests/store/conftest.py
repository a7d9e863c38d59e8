"""What these tests write need not outlast the machine."""

import os

import pytest


@pytest.fixture(scope="package", autouse=True)
def no_waiting_for_the_disk():
    """It would be most of their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield
