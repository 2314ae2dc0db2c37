"""Checks kas files against kas's own schema and gives what they hold as JSON: boards.py BASE BOARD...

Printed is a list of {"file", "machine", "layers"}; a layer is a path below the folder of clones, of this clone `.`.
"""

import json
import re
import sys
from pathlib import Path

import jsonschema
import yaml
from kas.configschema import CONFIGSCHEMA


def read(path):
    config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    try:
        jsonschema.validate(config, CONFIGSCHEMA)
    except jsonschema.ValidationError as error:
        sys.exit(f"{path}: {error.json_path}: {error.message}")
    for name, repo in config.get("repos", {}).items():
        if "url" in repo and not re.fullmatch("[0-9a-f]{40}", repo.get("commit", "")):
            sys.exit(f"{path}: repos.{name}: a release needs its commit")
    return config


def layers(config):
    for name, repo in config.get("repos", {}).items():
        for layer, state in (repo.get("layers") or {".": None}).items():
            if state != "disabled":
                place = Path(name if "url" in repo else ".") / layer
                yield str(place)


base = read(sys.argv[1])
boards = []
for path in sys.argv[2:]:
    config = read(path)
    if not any(include.endswith(Path(sys.argv[1]).name) for include in config["header"].get("includes", [])):
        sys.exit(f"{path}: header.includes lacks {sys.argv[1]}")
    boards.append({
        "file": Path(path).stem,
        "machine": config.get("machine", ""),
        # Ours last, as in bblayers.conf.
        "layers": [layer for layer in [*layers(base), *layers(config)] if not layer.startswith("yocto/")]
        + [layer for layer in layers(base) if layer.startswith("yocto/")],
    })
json.dump(boards, sys.stdout)
