# A transformation of RudderStack in Python. Change it as you like: the runner needs no new build.

from text import masked


def transformEvent(event, metadata):
    if event.get("type") == "screen":
        return None
    traits = event.get("context", {}).get("traits", {})
    if "email" in traits:
        traits["email"] = masked(traits["email"])
    event["environment"] = getCredential("environment")
    return event
