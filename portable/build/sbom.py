"""The bill of materials of an artifact: CycloneDX 1.6, ``dist/<target>/sbom.json``.

Equal artifacts have equal bills: no instant stands in it, and its serial number follows from what it says. Fields:
https://cyclonedx.org/docs/1.6/json.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from email.parser import HeaderParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import portable
from portable.build.dependencies import Dependencies
from portable.build.requirements import OWN, canonical
from portable.build.vendor import Pin

__all__ = ["bill_of_materials"]

_NAMESPACE = uuid.UUID("8a3f0a5e-5d0d-5c8b-9a44-0a6a2f7f8f0b")
_LONGEST_LICENCE = 100
"""Characters: what is longer is the licence itself, not its name."""

_APP = "app"


def bill_of_materials(app: str, target: str, inputs: Mapping[str, Any], found: Dependencies, folder: str) -> bytes:
    """The document. ``folder``: where in the bundle the dependencies are. ``inputs``: those the manifest records."""
    metadata = _metadata(found.layer.folder / "files" / folder)
    components = [_component(pin, metadata.get(pin.name, {})) for pin in found.pins]
    own = _reference(OWN, portable.__version__)
    components.append({"type": "framework", "bom-ref": own, "name": OWN, "version": portable.__version__, "purl": own})
    references = {pin.name: _component(pin, metadata.get(pin.name, {}))["bom-ref"] for pin in found.pins}
    needs: dict[str, list[str]] = {reference: [] for reference in (_APP, own, *references.values())}
    needs[_APP].append(own)
    for pin in found.pins:
        for user in pin.needed_by:
            if user == "" or user in references:
                needs[references[user] if user else _APP].append(references[pin.name])
    properties = {"target": target, "python": inputs["python"], "platform": inputs["platform"]}
    properties |= {"arch": inputs["arch"] or "this machine", "lock": found.locked.file if found.locked else "none"}
    properties |= {f"left_out:{pin.name}": pin.version for pin in found.left_out}
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": OWN, "version": portable.__version__}]},
            "component": {"type": "application", "bom-ref": _APP, "name": app},
            "properties": [{"name": f"portable:{key}", "value": value} for key, value in sorted(properties.items())],
        },
        "components": sorted(components, key=lambda one: str(one["bom-ref"])),
        "dependencies": [{"ref": ref, "dependsOn": sorted(set(used))} for ref, used in sorted(needs.items())],
    }
    said = json.dumps([document, inputs], sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(_NAMESPACE, hashlib.sha256(said.encode()).hexdigest())}"
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def _component(pin: Pin, said: Mapping[str, Any]) -> dict[str, Any]:
    version = pin.version or said.get("version", "")
    reference = _reference(pin.name, version)
    found: dict[str, Any] = {"type": "library", "bom-ref": reference, "name": said.get("name", pin.name)}
    if version:
        found["version"] = version
    if summary := said.get("summary"):
        found["description"] = summary
    found["scope"] = "required"
    address = pin.text.partition("@")[2].strip() if not pin.version else ""
    known = [one for one in pin.hashes if one.startswith("sha256:")]
    if len(known) == 1:  # of several, nobody wrote down which file it was
        found["hashes"] = [{"alg": "SHA-256", "content": known[0].partition(":")[2]}]
    if licences := _licences(said):
        found["licenses"] = licences
    found["purl"] = _reference(pin.name, version)
    if address.startswith(("http:", "https:")):
        parts = urlsplit(address)
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{unquote(parts.path)}"
        found["externalReferences"] = [{"type": "distribution", "url": quote(shown, safe=":/")}]
    return found


def _reference(name: str, version: str) -> str:
    """The package URL: https://github.com/package-url/purl-spec."""
    return f"pkg:pypi/{name}@{quote(version)}" if version else f"pkg:pypi/{name}"


def _licences(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    if expression := said.get("expression"):
        return [{"expression": expression}]
    named = said.get("license", "").strip()
    if named and "\n" not in named and len(named) <= _LONGEST_LICENCE and named != "UNKNOWN":
        return [{"license": {"name": named}}]
    return [{"license": {"name": one}} for one in said.get("classifiers", ())]


def _metadata(folder: Path) -> dict[str, dict[str, Any]]:
    """What the installed distributions say of themselves, by canonical name."""
    found = {}
    for file in sorted(folder.glob("*.dist-info/METADATA")):
        message = HeaderParser().parsestr(file.read_text("utf-8", "replace").partition("\n\n")[0])
        kinds = [one.split(" :: ") for one in message.get_all("Classifier", ())]
        classifiers = [kind[-1] for kind in kinds if kind[0] == "License"]
        found[canonical(message.get("Name", ""))] = {
            "name": message.get("Name", ""),
            "version": message.get("Version", ""),
            "summary": message.get("Summary", ""),
            "expression": message.get("License-Expression", ""),
            "license": message.get("License", ""),
            "classifiers": sorted(classifiers),
        }
    return found
