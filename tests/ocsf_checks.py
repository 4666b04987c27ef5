"""What is wrong with an OCSF 1.8.0 event: by its JSON Schema, and by the rules that no JSON Schema checks."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from streams.flow import ocsf

VERSION = "1.8.0"


@functools.cache
def schema() -> dict[str, Any]:
    """The schema of OCSF as its authors publish it."""
    return get_ocsf_schema(version=VERSION)  # type: ignore[no-any-return]  # the package has no types


@functools.cache
def validator() -> jsonschema_rs.Draft202012Validator:
    """Of Detection Findings under the profiles that alerts name."""
    packaged = OcsfJsonSchemaEmbedded(schema())
    found = packaged.get_class_schema(class_name="detection_finding", profiles=list(ocsf.PROFILES))
    return jsonschema_rs.Draft202012Validator(found)


def problems(event: dict[str, Any]) -> list[str]:
    """What is wrong with a Detection Finding; nothing when it is good."""
    found = [f"{error.instance_path}: {error.message}" for error in validator().iter_errors(event)]
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        found.append("type_uid is not class_uid * 100 + activity_id")
    found += _siblings(event, schema()["classes"]["detection_finding"]["attributes"], "")
    for observable in event["observables"]:
        if observable["value"] not in _values(event, observable["name"]):
            found.append(f"observables: {observable['name']} has no such value")
    return found


def leaves(event: Any, path: str = "") -> Iterator[str]:
    """The path of every value that is no object, `[]` for an array; what OCSF leaves open is one leaf."""
    if isinstance(event, dict) and not path.endswith((".measures", ".baseline")):
        for name, value in event.items():
            yield from leaves(value, f"{path}.{name}" if path else name)
    elif isinstance(event, list) and event and isinstance(event[0], dict):
        for value in event:
            yield from leaves(value, f"{path}[]")
    else:
        yield path


def _siblings(value: dict[str, Any], attributes: dict[str, Any], path: str) -> list[str]:
    """Numbers whose sibling has another caption than OCSF gives them, here and in every object below."""
    found = []
    for name, inner in value.items():
        attribute, here = attributes.get(name, {}), f"{path}{name}"
        sibling, captions = attribute.get("sibling"), attribute.get("enum")
        if sibling in value and captions:
            caption = captions.get(str(inner), {}).get("caption")
            if value[sibling] != caption:
                found.append(f"{path}{sibling} is {value[sibling]!r}; {name} {inner} is {caption!r}")
        elif sibling and captions and sibling not in value:
            found.append(f"{here} has no {sibling} beside it")
        if attribute.get("type") == "object_t" and attribute["object_type"] != "object":
            below = schema()["objects"][attribute["object_type"]]["attributes"]
            for one in inner if isinstance(inner, list) else [inner]:
                found += _siblings(one, below, f"{here}.")
    return found


def _values(event: Any, path: str) -> list[Any]:
    values = [event]
    for name in path.split("."):
        values = [value.get(name.removesuffix("[]")) for value in values if isinstance(value, dict)]
        if name.endswith("[]"):
            values = [one for many in values for one in many or []]
    return values


def personal(event: bytes) -> list[str]:
    """What looks like a phone number or a clear parcel or staff id in an encoded alert."""
    return re.findall(r"(?:\+84|\b0)\d{9}\b|\b(?:VN|NV|nv)\d{3,}", event.decode())
