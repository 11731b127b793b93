# A library: `text.py` is imported as `text`.


def masked(address):
    name, _, domain = address.partition("@")
    return f"{name[:1]}***@{domain}"
