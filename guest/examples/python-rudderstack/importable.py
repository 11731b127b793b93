"""The modules that transformations can import.

A component has no files, so all modules must be imported while it is built. To let
transformations import a further one, add it to `STANDARD_MODULES` and build again.
"""

import contextlib
import importlib
import time
import types

import web_requests

# What transformations can import. RudderStack has a list of its own, and rejects the rest.
STANDARD_MODULES = """
    abc base64 binascii bisect calendar cmath collections collections.abc contextlib copy csv
    dataclasses datetime decimal difflib email.utils enum fractions functools hashlib heapq hmac
    html html.entities html.parser io ipaddress itertools json json.decoder json.encoder math
    numbers operator pprint random re secrets statistics string struct textwrap time types typing
    unicodedata urllib urllib.parse uuid warnings xml xml.etree xml.etree.ElementTree zlib
""".split()
# Modules of packages that need not be installed where the component is built.
PACKAGE_MODULES = """
    dateutil dateutil.parser dateutil.relativedelta dateutil.rrule dateutil.tz
    pytz
""".split()
# What functions of the modules above import when they are first called. Functions in C, such
# as `datetime.strptime`, import with the `__import__` of the code that calls them.
INDIRECT_MODULES = """
    _strptime encodings.ascii encodings.cp1252 encodings.hex_codec encodings.idna
    encodings.iso8859_15 encodings.latin_1 encodings.punycode encodings.rot_13
    encodings.unicode_escape encodings.utf_16 encodings.utf_16_be encodings.utf_16_le
    encodings.utf_8_sig stringprep
""".split()


def sleep(seconds):
    raise RuntimeError("time.sleep() is not possible: a mapping plugin must not wait")


# It would trap, and the error would not say where.
time.sleep = sleep


def load_modules() -> dict:
    modules = web_requests.create_modules()
    for name in STANDARD_MODULES + PACKAGE_MODULES + INDIRECT_MODULES:
        # `find_module` has an error for those that are not there.
        with contextlib.suppress(ImportError):
            modules[name] = importlib.import_module(name)
    return modules


MODULES = load_modules()


def find_module(name: str) -> types.ModuleType:
    """The module of a name. Raises ImportError if transformations cannot import it."""
    module = MODULES.get(name)
    if module is not None:
        return module
    if name in PACKAGE_MODULES:
        package = name.partition(".")[0]
        raise ImportError(
            f"Import of '{name}' is not possible: install {package} with pip, "
            "and build the component again"
        )
    if name in STANDARD_MODULES:
        raise ImportError(f"Import of '{name}' is not possible: Python in WebAssembly lacks it")
    raise ImportError(f"Import of '{name}' is not allowed.")


def check_members(module: types.ModuleType, names):
    """Raises ImportError if `from module import names` would give access to a module that
    cannot be imported, such as `from json import codecs`."""
    for name in names:
        member = module.__dict__.get(name)
        if isinstance(member, types.ModuleType) and member.__name__ not in MODULES:
            raise ImportError(
                f"Importing '{name}' from '{module.__name__}' is not allowed: "
                f"it resolves to the non-importable module '{member.__name__}'."
            )
