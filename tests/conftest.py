"""Settings of the tests: small compilations, each made once."""

import os
import tempfile

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Most of the tests' time is compiling small programs: do it fast, once.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")
_CACHE = tempfile.TemporaryDirectory(prefix="keras-restpg-tests-")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _CACHE.name)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")
