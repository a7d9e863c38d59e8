"""The command line as a user meets it: a child process."""

import time

import pytest

from keras_restpg.cli import main as cli
from tests.cli.process import keras_restpg


def test_help_comes_in_a_second():
    begun = time.monotonic()
    done = keras_restpg("--help")
    assert time.monotonic() - begun < 1.0
    assert done.returncode == 0 and "demo" in done.stdout


def test_a_change_of_backend_is_allowed_on_request():
    parser, command = cli._parser(), ["run", "recipe.toml"]
    assert not parser.parse_args(command).allow_backend_change
    command = [*command, "--allow-backend-change"]
    assert parser.parse_args(command).allow_backend_change


def test_a_missing_package_is_named_and_our_own_fault_is_not_one(capsys):
    assert cli._missing(ModuleNotFoundError(name="keras_hub.models")) == 2
    assert "pip install keras_hub" in capsys.readouterr().err
    with pytest.raises(ModuleNotFoundError):
        cli._missing(ModuleNotFoundError(name="keras_restpg.training"))
