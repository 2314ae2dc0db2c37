# SPDX-License-Identifier: MIT OR Apache-2.0
"""Users and groups of a sysusers.d file, as parameters of useradd and groupadd (useradd.bbclass).

The slot is read-only: systemd-sysusers could not make them on the box, so they are made with the image, from the same
file. Only what our file uses is known: lines u, g and m, ids left open. Source: sysusers.d(5).
"""

import shlex


def parse(path):
    """Gives (users, groups, members): {name: (home, shell)}, [name], {user: [group]}."""
    users, groups, members = {}, [], {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            words = shlex.split(line, comments=True)
            if not words:
                continue
            kind, name, ident = words[0], words[1], words[2]
            if kind == "m":
                members.setdefault(name, []).append(ident)
            elif ident != "-":
                raise ValueError(f"{path}: {line.strip()}: an id of its own is not supported here")
            elif kind == "u":
                users[name] = (words[4], words[5])
            elif kind == "g":
                groups.append(name)
            else:
                raise ValueError(f"{path}: {line.strip()}: only u, g and m are supported here")
    return users, groups, members


def groupadd(path):
    """GROUPADD_PARAM: the groups, each a system group."""
    return "; ".join(f"-r {group}" for group in parse(path)[1])


def useradd(path, uid):
    """USERADD_PARAM: the users, from `uid` on: what they own on the disk must be theirs after each update."""
    users, _, members = parse(path)
    params = []
    for number, (name, (home, shell)) in enumerate(users.items()):
        groups = ",".join(members.get(name, []))
        extra = f" -G {groups}" if groups else ""
        params.append(f"-r -u {uid + number} -U -M -d {home} -s {shell}{extra} {name}")
    return "; ".join(params)
