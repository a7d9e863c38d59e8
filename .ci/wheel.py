"""The package as others install it: build it, and use what was installed.

python wheel.py build FOLDER      the sdist and the wheel, compared with
                                  the checkout
python wheel.py use               in the wheel's own environment: every
                                  module and every public name
"""

import importlib
import importlib.util
import pathlib
import pkgutil
import shutil
import subprocess
import sys
import zipfile

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = "keras_restpg"
# What the package is built from. A folder with more, such as an old `build/`,
# would put files into the wheel that the checkout no longer has.
SOURCES = ("pyproject.toml", "setup.cfg", "README.md", "LICENSE")
# Bytes.
LARGEST = 1_000_000


def copy_sources(folder):
    """A copy of what the package is built from, in a new `folder`."""
    shutil.copytree(
        CHECKOUT / PACKAGE,
        folder / PACKAGE,
        ignore=shutil.ignore_patterns("__pycache__", "*.pyc"),
    )
    for name in SOURCES:
        shutil.copy(CHECKOUT / name, folder)


def build_wheel(source, folder, *options):
    """The wheel, made by pip from a folder or an sdist."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        + [*options, "--wheel-dir", folder, source],
        check=True,
    )
    return next(folder.glob("*.whl"))


def contents(wheel):
    """The package's files in a wheel: `{path in it: bytes}`."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: archive.read(name)
            for name in archive.namelist()
            if name.startswith(f"{PACKAGE}/")
        }


def difference(found, wanted):
    """What tells two sets of files apart, a line for each; `[]`: nothing."""
    lines = [f"missing: {name}" for name in sorted(wanted.keys() - found)]
    lines += [f"too much: {name}" for name in sorted(found.keys() - wanted)]
    both = sorted(found.keys() & wanted)
    lines += [f"other: {name}" for name in both if found[name] != wanted[name]]
    return lines


def of_folder(folder):
    """The package's files in a folder of sources, as `contents` has them."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in (folder / PACKAGE).rglob("*")
        if path.is_file()
    }


def build(folder):
    """`folder` with the sdist and the wheel; ends with what is wrong."""
    source = folder / "source"
    copy_sources(source)
    wanted = of_folder(source)
    subprocess.run(
        [sys.executable, "-m", "build", "--sdist", "--outdir", folder, source],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    wheel = build_wheel(source, folder)
    sdist = next(folder.glob("*.tar.gz"))
    again = build_wheel(sdist, folder / "from_sdist")
    wrong = difference(contents(wheel), wanted)
    wrong += [f"sdist: {w}" for w in difference(contents(again), wanted)]
    size = wheel.stat().st_size
    if size > LARGEST:
        wrong.append(f"{wheel.name} has {size} bytes, over {LARGEST}")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{wheel.name}: {len(wanted)} files, {size} bytes, as its sdist's")


def use():
    """Imports every module and gets every public name."""
    package = importlib.import_module(PACKAGE)
    if CHECKOUT in pathlib.Path(package.__file__).parents:
        sys.exit(f"This is the checkout's package: {package.__file__}")
    modules, names = [package], 0
    for found in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."):
        # PyTorch is one of three backends, and the one that is not required.
        if found.name == f"{PACKAGE}.backend.torch":
            if importlib.util.find_spec("torch") is None:
                continue
        modules.append(importlib.import_module(found.name))
    for module in modules:
        for name in getattr(module, "__all__", ()):
            getattr(module, name)
            names += 1
    print(f"{len(modules)} modules, {names} public names")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["build", folder]:
            build(pathlib.Path(folder))
        case ["use"]:
            use()
        case _:
            sys.exit(__doc__)
