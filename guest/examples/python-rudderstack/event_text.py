"""Events as Python values and as JSON text.

A transformation gets an event as a plain `dict`. The text of an event that comes back
without a change is the text as received. In an event that comes back changed, each
member that did not change keeps its text: the digits of its numbers, its escapes and its
spaces.
"""

import json
import marshal
import re
from json.decoder import scanstring

WHITESPACE = re.compile(r"[ \t\n\r]*")
SURROGATE = re.compile("[\ud800-\udfff]")
# The version before `marshal` writes references, which depend on more than the value.
MARSHAL_VERSION = 2


class NumberTexts:
    """The numbers whose text Python would print in another way, such as `1.50`.

    A transformation gets an ordinary `float`. The text is found again by the identity of
    this object, so it also survives when the number moves to another member or event.
    """

    def __init__(self):
        # By `id`. The number is kept beside its text, so that no other object gets its id.
        self.texts = {}

    def clear(self):
        """Forgets the numbers of the batch before."""
        self.texts.clear()

    def parse(self, text: str) -> float:
        number = float(text)
        if repr(number) != text:
            self.texts[id(number)] = (number, text)
        return number

    def text_of(self, number: float):
        known = self.texts.get(id(number))
        return None if known is None else known[1]


number_texts = NumberTexts()
# Both are the C implementations of the module `json`, made once.
scan_value = json.JSONDecoder(parse_float=number_texts.parse).scan_once
# Its numbers are only compared, so their texts are not kept.
scan_for_comparison = json.JSONDecoder().scan_once
encode_value = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":")
).encode


class ReceivedEvent:
    """An event as received, with the value that a transformation gets."""

    __slots__ = ("text", "value", "members", "fingerprint")

    def __init__(self, text: str):
        self.text = text
        # The text is one JSON object, perhaps between spaces.
        self.value, _ = scan_value(text, text.index("{"))
        self.members = len(self.value)
        # The transformation can change the value in place, so this is taken before.
        self.fingerprint = fingerprint(self.value)

    def changed_text(self, event: dict):
        """The JSON text of an event that a transformation has made of this one. None if it
        is unchanged. Raises what `json.dumps` raises for values that JSON does not have."""
        after = fingerprint(event)
        if after is not None and after == self.fingerprint:
            return None
        if has_only_additions(after, self.fingerprint):
            text = append_members(self.text, self.text.index("{"), event, self.members)
            return with_escaped_surrogates(text)
        parts = []
        print_object(event, self.text, self.text.index("{"), parts)
        return with_escaped_surrogates("".join(parts))


def fingerprint(value):
    """Bytes that are equal only for values of equal types, contents and key order. None
    for a value that JSON text cannot produce."""
    try:
        return marshal.dumps(value, MARSHAL_VERSION)
    except ValueError:
        return None


def has_only_additions(after, before) -> bool:
    """Whether an object has all members that it had, and further ones after them, by its
    fingerprints. That of a `dict` is a byte, those of its members one after the other, and
    a byte at the end."""
    return after is not None and before is not None and after.startswith(before[:-1])


def with_escaped_surrogates(text: str) -> str:
    # UTF-8 has no lone surrogates: they stay escaped, as they came.
    return text if text.isascii() else SURROGATE.sub(escape, text)


def escape(found) -> str:
    return f"\\u{ord(found[0]):04x}"


def print_object(value: dict, received: str, start: int, parts: list):
    """Prints an object. `start` is where the received text has an object in its place."""
    members = scan_members(received, start)
    parts.append("{")
    comma = ""
    for key, item in value.items():
        parts.append(comma)
        comma = ","
        member = members.get(key)
        if member is None:
            parts.append(print_key(key) + print_value(item))
            continue
        key_start, value_start, end, before = member
        parts.append(received[key_start:value_start])
        print_in_place(item, before, received, value_start, end, parts)
    parts.append("}")


def print_array(value: list, received: str, start: int, parts: list):
    elements = scan_elements(received, start)
    parts.append("[")
    for index, item in enumerate(value):
        if index > 0:
            parts.append(",")
        if index >= len(elements):
            parts.append(print_value(item))
            continue
        value_start, end, before = elements[index]
        print_in_place(item, before, received, value_start, end, parts)
    parts.append("]")


def print_in_place(value, before, received: str, start: int, end: int, parts: list):
    """Prints a value in the place of the one before it, which the received text has from
    `start` to `end`. Its text stays if it is the same value."""
    kind = type(value)
    if kind is type(before):
        if kind is dict or kind is list or kind is float:
            # Of floats, `==` does not tell 0.0 and -0.0 apart.
            after, earlier = fingerprint(value), fingerprint(before)
            is_same = after is not None and after == earlier
        else:
            is_same = value == before
        if is_same:
            parts.append(received[start:end])
            return
        if kind is dict and has_only_additions(after, earlier):
            parts.append(append_members(received[start:end], 0, value, len(before)))
            return
    if isinstance(value, dict) and type(before) is dict:
        print_object(value, received, start, parts)
    elif isinstance(value, list) and type(before) is list:
        print_array(value, received, start, parts)
    else:
        parts.append(print_value(value))


def append_members(text: str, start: int, value: dict, members: int) -> str:
    """The text of an object with further members at its end: those of a value that the
    text, which has the given number of them, does not have."""
    end = text.rindex("}")
    added = print_value(dict(list(value.items())[members:]))[1:-1]
    comma = "," if text[start + 1 : end].strip() else ""
    return f"{text[:end]}{comma}{added}{text[end:]}"


def print_value(value) -> str:
    """The text of a value that is not in the received text at this place."""
    if not number_texts.texts:
        return encode_value(value)
    if type(value) is float:
        return number_texts.text_of(value) or encode_value(value)
    if isinstance(value, dict):
        members = (print_key(key) + print_value(item) for key, item in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(print_value, value)) + "]"
    return encode_value(value)


def print_key(key) -> str:
    """The text of a key with the colon."""
    if type(key) is str:
        return encode_value(key) + ":"
    # `json` turns numbers, booleans and None into strings.
    return encode_value({key: 0})[1:-2]


def scan_members(text: str, start: int) -> dict:
    """The members of an object by their keys: where the key begins, where the value
    begins, where it ends, and the value. Of equal keys, the last one counts."""
    members = {}
    position = skip_whitespace(text, start + 1)
    if text[position] == "}":
        return members
    while True:
        key_start = position
        key, position = scanstring(text, position + 1)
        colon = skip_whitespace(text, position)
        value_start = skip_whitespace(text, colon + 1)
        value, position = scan_for_comparison(text, value_start)
        members[key] = (key_start, value_start, position, value)
        position = skip_whitespace(text, position)
        if text[position] == "}":
            return members
        position = skip_whitespace(text, position + 1)


def scan_elements(text: str, start: int) -> list:
    """The elements of an array: where each begins, where it ends, and the value."""
    elements = []
    position = skip_whitespace(text, start + 1)
    if text[position] == "]":
        return elements
    while True:
        value_start = position
        value, position = scan_for_comparison(text, value_start)
        elements.append((value_start, position, value))
        position = skip_whitespace(text, position)
        if text[position] == "]":
            return elements
        position = skip_whitespace(text, position + 1)


def skip_whitespace(text: str, position: int) -> int:
    # Most texts have no whitespace, and a look is cheaper than a regular expression.
    if text[position] > " ":
        return position
    return WHITESPACE.match(text, position).end()
