# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a recipe has to know of a board, from its profile (board/<name>/board.toml, docs/ref/board.md)."""

import re


def read(path):
    """Gives {"section.key": value as text} of what is written as `key = "text"` or `key = number`.

    No TOML library: bitbake runs on hosts whose Python has none yet. Tables in one line are left out.
    """
    facts, section = {}, ""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            head = re.fullmatch(r"\[+([\w.-]+)\]+\s*(#.*)?", line.strip())
            fact = re.fullmatch(r'([\w-]+)\s*=\s*(?:"([^"]*)"|(\d+))\s*(#.*)?', line.strip())
            if head:
                section = head[1] + "."
            elif fact:
                facts[section + fact[1]] = fact[2] if fact[2] is not None else fact[3]
    return facts


def fact(path, key):
    """One of them; a board without it cannot be built for."""
    facts = read(path)
    if key not in facts:
        raise KeyError(f"{path}: {key} is missing")
    return facts[key]


def fill(path, text):
    """Replaces @BOARD@, @BOOTLOADER@, @SLOT_A@ and @SLOT_B@ in `text` by what the board says."""
    facts = {
        "BOARD": fact(path, "name"),
        "BOOTLOADER": fact(path, "storage.bootloader"),
        "SLOT_A": fact(path, "storage.slot_a"),
        "SLOT_B": fact(path, "storage.slot_b"),
    }
    for name, value in facts.items():
        text = text.replace(f"@{name}@", value)
    return text


def watchdog(path, at_most_s):
    """system.conf.d of systemd where the board's watchdog cannot wait as long as `at_most_s`; else nothing."""
    seconds = int(read(path).get("watchdog.timeout_s", at_most_s))
    if seconds >= at_most_s:
        return ""
    return f"# The longest that this board's watchdog can wait.\n[Manager]\nRuntimeWatchdogSec={seconds}s\n"
