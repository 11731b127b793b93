"""RudderStack's transformations in Python: `transformEvent` and `transformBatch`.

RudderStack documents these functions, their arguments and their errors. Where it aborts an
event or a batch, the events become dead letters here, which can be replayed.
"""

import ast
import builtins
import json
import re
import types

from event_text import ReceivedEvent, number_texts
from importable import check_members, find_module
from web_requests import geolocation

ENTRIES = ("transformEvent", "transformBatch")

# Functions for files, terminals and code in strings, which RudderStack does not have.
WITHHELD_BUILTINS = """
    breakpoint compile copyright credits eval exec exit help input license open quit
""".split()

# Attributes that lead from a generator or an exception to the code that runs it, and
# functions that read attributes by their names: RudderStack rejects code with them.
RESTRICTED_ATTRIBUTES = set("""
    tb_frame tb_next f_back f_builtins f_code f_globals f_locals f_trace co_code gi_frame
    gi_code gi_yieldfrom cr_await cr_frame cr_code cr_origin ag_await ag_frame ag_code
""".split())
LOOKUP_ATTRIBUTES = {"__getattribute__", "__getattr__"}

# The host keeps 1,024 characters of a reason: the rest is for the line of the code.
MESSAGE_CHARACTERS_MAX = 800

EVENT_IS_NO_OBJECT = "returned event from transformEvent(event) is not an object"
EVENT_IN_ARRAY_IS_NO_OBJECT = (
    "returned event in events array from transformEvent(event) is not an object"
)
BATCH_IS_NO_ARRAY = "returned events from transformBatch(event) is not an array"
EVENT_IN_BATCH_IS_NO_OBJECT = (
    "returned event in events array from transformBatch(events) is not an object"
)


class SettingsError(Exception):
    """What is wrong with the setting `script`, for the operator."""


class PassingEvent:
    """An event on its way through the transformations."""

    __slots__ = ("position", "text", "message_type", "name", "is_changed")

    def __init__(self, position: int, text: str, message_type, name, is_changed=False):
        # In the batch of the host.
        self.position = position
        self.text = text
        self.message_type = message_type
        self.name = name
        self.is_changed = is_changed


class Rejection:
    """An event that failed, and why."""

    __slots__ = ("position", "reason")

    def __init__(self, position: int, reason: str):
        self.position = position
        self.reason = reason


class Source:
    """A file of Python, compiled."""

    def __init__(self, name: str, code: str):
        self.name = name
        try:
            tree = ast.parse(code, name)
            check_attributes(tree)
            self.code = compile(tree, name, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise SettingsError(f"{type(error).__name__}: {error}") from None


def check_attributes(tree: ast.AST):
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        if node.attr in RESTRICTED_ATTRIBUTES:
            raise SyntaxError(
                f'Line {node.lineno}: "{node.attr}" is a restricted name, '
                "that is forbidden to access in RestrictedPython."
            )
        if node.attr in LOOKUP_ATTRIBUTES:
            raise SyntaxError(
                f"Line {node.lineno}: Accessing '{node.attr}' is not allowed: "
                "it is a raw attribute-access function"
            )


class Script:
    """The setting `script`: the files that events pass, and what their code uses."""

    def __init__(self, settings):
        settings = parse_settings(settings)
        self.credentials = settings["credentials"]
        self.keeps_globals = settings["globals"] == "keep"
        self.libraries = {}
        for name, code in settings["libraries"]:
            library = Source(library_file_name(name), code)
            for import_name in import_names(name):
                self.libraries[import_name] = library
        files = [Source(name, code) for name, code in settings["files"]]
        self.file_names = {file.name for file in [*files, *self.libraries.values()]}
        self.stages = [Stage(self, file) for file in files]

    def run(self, events: list, source: str):
        """Runs a batch through all files. Returns the events that come out, and rejections."""
        rejections = []
        for stage in self.stages:
            events = stage.run(events, source, rejections)
        return events, rejections

    def describe(self, error: BaseException) -> str:
        """The type and the message of an exception, and the innermost line in the user's
        code."""
        try:
            message = str(error)
        except Exception:
            message = ""
        if len(message) > MESSAGE_CHARACTERS_MAX:
            message = message[:MESSAGE_CHARACTERS_MAX] + "..."
        name = type(error).__name__
        text = f"{name}: {message}" if message else name
        place = None
        traceback = error.__traceback__
        while traceback is not None:
            code = traceback.tb_frame.f_code
            if code.co_filename in self.file_names:
                place = (code.co_filename, traceback.tb_lineno, code.co_name)
            traceback = traceback.tb_next
        if place is None:
            return text
        file, line, function = place
        where = f"{file}, line {line}"
        return f"{text} ({where})" if function == "<module>" else f"{text} ({where}, in {function})"


class Stage:
    """A file that events pass."""

    def __init__(self, script: Script, file: Source):
        self.script = script
        self.file = file
        # Of the next batch. Executing the code now finds its errors.
        try:
            self.session = Session(script, file)
        except SettingsError:
            raise
        except BaseException as error:
            raise SettingsError(script.describe(error)) from None

    def run(self, events: list, source: str, rejections: list) -> list:
        session, self.session = self.session, None
        # Only the numbers of one batch can be in the objects of a transformation.
        number_texts.clear()
        inputs = []
        for event in events:
            try:
                inputs.append(Input(event))
            except (ValueError, RecursionError) as error:
                reason = f"failed to read the event in Python: {type(error).__name__}: {error}"
                rejections.append(Rejection(event.position, reason))
        try:
            session = session or Session(self.script, self.file)
        except BaseException as error:
            reason = self.script.describe(error)
            rejections += [Rejection(event.position, reason) for event in inputs]
            return []
        metadata = create_metadata(inputs, source)
        outputs = []
        if session.entry == ENTRIES[0]:
            self.transform_events(session.function, inputs, metadata, outputs, rejections)
        else:
            self.transform_batch(session.function, inputs, metadata, outputs, rejections)
        if self.script.keeps_globals:
            self.session = session
        return outputs

    def transform_events(self, function, inputs, metadata, outputs, rejections):
        for event in inputs:
            try:
                result = function(event.received.value, metadata)
                if result is None:
                    continue
                if isinstance(result, dict):
                    outputs.append(event.convert(result))
                else:
                    outputs += convert_list(event, result)
            except InvalidResult as error:
                rejections.append(Rejection(event.position, str(error)))
            except BaseException as error:
                rejections.append(Rejection(event.position, self.script.describe(error)))

    def transform_batch(self, function, inputs, metadata, outputs, rejections):
        try:
            results = function([event.received.value for event in inputs], metadata)
            if not isinstance(results, (list, tuple)):
                raise InvalidResult(BATCH_IS_NO_ARRAY)
            origins = find_origins(results, inputs)
        except InvalidResult as error:
            rejections += [Rejection(event.position, str(error)) for event in inputs]
            return
        except BaseException as error:
            reason = self.script.describe(error)
            rejections += [Rejection(event.position, reason) for event in inputs]
            return
        reasons = []
        used = set()
        for result, origin in zip(results, origins):
            if origin is None:
                reasons.append(EVENT_IN_BATCH_IS_NO_OBJECT)
                continue
            used.add(origin.position)
            try:
                outputs.append(origin.convert(result))
            except BaseException as error:
                rejections.append(Rejection(origin.position, self.script.describe(error)))
        # Such a result belongs to no event: its error goes to events that came not back.
        free = [event.position for event in inputs if event.position not in used]
        for index, reason in enumerate(reasons):
            if index < len(free):
                rejections.append(Rejection(free[index], reason))
            else:
                print(reason, flush=True)


class Session:
    """The global variables of a file and its libraries. Each batch gets new ones, unless
    the settings keep them."""

    def __init__(self, script: Script, file: Source):
        self.script = script
        # By the file that they were executed from.
        self.modules = {}
        self.builtins = dict(BUILTINS)
        self.builtins["__import__"] = self.import_module
        # They are no arguments, so they are found as built-in functions are.
        self.builtins["getCredential"] = self.get_credential
        variables = self.execute(file, "transformation")
        found = [name for name in ENTRIES if callable(variables.get(name))]
        if len(found) != 1:
            raise SettingsError(f"Expected one of {','.join(ENTRIES)}. Found {','.join(found)}")
        [self.entry] = found
        self.function = variables[self.entry]

    def execute(self, file: Source, name: str) -> dict:
        module = types.ModuleType(name)
        module.__builtins__ = self.builtins
        # A library can import itself by way of another one.
        self.modules[file] = module
        exec(file.code, module.__dict__)
        return module.__dict__

    def import_module(self, name, variables=None, local_variables=None, members=(), level=0):
        if level > 0:
            raise ImportError("Relative imports are not allowed.")
        library = self.script.libraries.get(name)
        if library is not None:
            return self.import_library(library, name)
        module = find_module(name)
        if members:
            check_members(module, members)
            return module
        return find_module(name.partition(".")[0])

    def import_library(self, library: Source, name: str) -> types.ModuleType:
        if library not in self.modules:
            try:
                self.execute(library, name)
            except BaseException:
                # A second import must fail, too.
                del self.modules[library]
                raise
        return self.modules[library]

    def get_credential(self, *keys):
        if not keys:
            raise TypeError("Key should be valid and defined")
        key = keys[0]
        return self.script.credentials.get(key) if isinstance(key, str) else None


class InvalidResult(Exception):
    """A transformation has returned something that is not an event."""


class Input:
    """An event that a transformation gets, and what `metadata` says of it."""

    __slots__ = ("event", "position", "received", "message_id", "received_at", "rudder_id")

    def __init__(self, event: PassingEvent):
        self.event = event
        self.position = event.position
        self.received = ReceivedEvent(event.text)
        # The transformation can change them.
        member = self.received.value.get
        self.message_id = member("messageId")
        self.received_at = member("receivedAt")
        self.rudder_id = member("rudderId")

    def convert(self, result: dict) -> PassingEvent:
        text = self.received.changed_text(result)
        if text is None:
            return self.event
        message_type = text_or_none(result.get("type"))
        name = text_or_none(result.get("event"))
        return PassingEvent(self.position, text, message_type, name, True)


def convert_list(event: Input, results) -> list:
    if not isinstance(results, list):
        raise InvalidResult(EVENT_IS_NO_OBJECT)
    if not all(isinstance(result, dict) for result in results):
        raise InvalidResult(EVENT_IN_ARRAY_IS_NO_OBJECT)
    return [event.convert(result) for result in results]


def find_origins(results, inputs: list) -> list:
    """The event that each result comes from: the one whose object it is, or the one with
    its `messageId`. None for a result that is not an object."""
    by_object = {id(event.received.value): event for event in inputs}
    by_message_id = index_by_message_id(inputs)
    origins = []
    for result in results:
        if not isinstance(result, dict):
            origins.append(None)
            continue
        message_id = result.get("messageId")
        origin = by_object.get(id(result))
        if origin is None or origin.message_id != message_id:
            origin = by_message_id.get(message_id) if is_hashable(message_id) else None
        if origin is None:
            # RudderStack fails with a KeyError, too.
            raise InvalidResult(
                f"KeyError: {message_id!r}: transformBatch(events) returned an event with a "
                "messageId that no event of the batch has: keep the messageId"
            )
        origins.append(origin)
    return origins


def create_metadata(inputs: list, source: str):
    """The function `metadata`: of an event, by the `messageId` that it has at this moment.
    Keys without a value are absent."""
    by_message_id = None

    def metadata(event):
        nonlocal by_message_id
        if by_message_id is None:
            by_message_id = index_by_message_id(inputs)
        message_id = event.get("messageId") if isinstance(event, dict) else None
        if not isinstance(message_id, str) or message_id not in by_message_id:
            return {}
        found = by_message_id[message_id]
        values = {
            "sourceId": source,
            "sourceName": source,
            "destinationType": "FIREHOSE",
            "messageId": message_id,
            "receivedAt": found.received_at,
            "eventName": found.event.name,
            "eventType": found.event.message_type,
            "rudderId": found.rudder_id,
        }
        return {key: value for key, value in values.items() if text_or_none(value)}

    return metadata


def index_by_message_id(inputs: list) -> dict:
    """Of events with the same `messageId`, the last one counts."""
    return {event.message_id: event for event in inputs if is_hashable(event.message_id)}


def is_hashable(message_id) -> bool:
    return not isinstance(message_id, (dict, list))


def text_or_none(value):
    return value if isinstance(value, str) and value else None


def get_attribute(*arguments):
    raise NotImplementedError("getattr() is not supported in transformations")


def log(*values):
    """Prints values. The host turns printed lines into log lines."""
    print("Log:", *(shown(value) for value in values), flush=True)


def shown(value) -> str:
    if isinstance(value, (dict, list, tuple)) or value is None:
        try:
            return json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError):
            return repr(value)
    return str(value)


BUILTINS = {
    name: value for name, value in vars(builtins).items() if name not in WITHHELD_BUILTINS
}
BUILTINS.update(getattr=get_attribute, geolocation=geolocation, log=log)


def parse_settings(settings) -> dict:
    """The setting `script`, checked."""
    if settings is None:
        raise SettingsError(
            "`script` is missing: this component runs scripts: name one with `script` under "
            "[plugin], or with --runner and --plugin"
        )
    if not isinstance(settings, dict):
        raise SettingsError("`script` must be a table")
    known = ["files", "libraries", "dialect", "credentials", "settings", "globals"]
    for unknown in sorted(settings.keys() - known):
        raise SettingsError(f"`script` has the unknown key {unknown!r}: it has {', '.join(known)}")
    files = parse_files(settings, "files")
    if not files:
        raise SettingsError("`script` has no files: add a table with `name` and `code` to `files`")
    if settings.get("dialect") not in (None, "rudderstack"):
        raise SettingsError(
            f"`script` has the dialect {settings['dialect']!r}: in Python there is only "
            '"rudderstack"'
        )
    if settings.get("settings"):
        raise SettingsError("`script` has `settings`, which only functions of Segment get: remove it")
    credentials = settings.get("credentials") or {}
    if not isinstance(credentials, dict):
        raise SettingsError("`credentials` must be a table")
    lifetime = settings.get("globals") or "fresh"
    if lifetime not in ("fresh", "keep"):
        raise SettingsError('`globals` must be "fresh" or "keep"')
    return {
        "files": files,
        "libraries": parse_files(settings, "libraries"),
        "credentials": credentials,
        "globals": lifetime,
    }


def parse_files(settings: dict, key: str) -> list:
    tables = settings.get(key) or []
    if not isinstance(tables, list):
        raise SettingsError(f"`{key}` must be a list of tables with `name` and `code`")
    files = []
    for number, table in enumerate(tables, 1):
        is_table = isinstance(table, dict) and table.keys() == {"name", "code"}
        if not is_table or not all(isinstance(value, str) for value in table.values()):
            raise SettingsError(
                f"table {number} of `{key}` must have `name` and `code`, both strings, and no "
                "other key"
            )
        files.append((table["name"], table["code"]))
    return files


def library_file_name(name: str) -> str:
    return name if name.endswith(".py") else f"{name}.py"


def import_names(name: str) -> set:
    """The names by which a library is imported: its own without a directory and `.py`, and
    this in camel case, as RudderStack turns names such as "Math Helper" into `mathHelper`."""
    name = name.rpartition("/")[2].removesuffix(".py")
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]|[0-9]+", name)
    camel_case = "".join(word.capitalize() for word in words)
    camel_case = camel_case[:1].lower() + camel_case[1:]
    return {name, camel_case} - {""}
