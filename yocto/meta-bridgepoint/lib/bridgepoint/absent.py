# SPDX-License-Identifier: MIT OR Apache-2.0
"""Crates that Cargo.lock names and the agent is not made of.

cargo resolves a whole workspace for every platform before it compiles a part of it for one: it wants the manifest of
each crate in Cargo.lock, also of those that only the server, the tests or Windows need. They get their manifest, an
empty library and the checksum that Cargo.lock holds; were one compiled after all, the build would fail.

Run as a program: absent.py LISTING FOLDER
"""

import json
import os
import sys


def unpack(listing, folder):
    """Writes what `listing` holds into cargo's vendor `folder`; gives how many crates that were.

    A crate begins with a line `#: name version checksum`, its manifest follows.
    """
    crates = 0
    with open(listing, encoding="utf-8") as lines:
        text = lines.read()
    for crate in text.split("\n#: ")[1:]:
        head, manifest = crate.split("\n", 1)
        name, version, checksum = head.split()
        place = os.path.join(folder, f"{name}-{version}")
        os.makedirs(place, exist_ok=True)
        files = {
            "Cargo.toml": manifest,
            "lib.rs": f'compile_error!("{name} is listed as absent: cargo xtask yocto --update-crates");\n',
            ".cargo-checksum.json": json.dumps({"files": {}, "package": checksum}),
        }
        for file, content in files.items():
            with open(os.path.join(place, file), "w", encoding="utf-8") as out:
                out.write(content)
        crates += 1
    return crates


if __name__ == "__main__":
    print(unpack(sys.argv[1], sys.argv[2]))
