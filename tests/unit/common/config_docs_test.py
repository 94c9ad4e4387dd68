#!/usr/bin/env python3
"""docs/configuration.md names every setting of the table, and no other."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def main():
    table = (ROOT / "common/config/setting_table.cc").read_text()
    settings = set(re.findall(r'\b(?:Text|Flag|List|Secret|Choice|Ranged)\((?:k\w+, )?"([A-Z0-9_]+)"', table))
    documented = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", (ROOT / "docs/configuration.md").read_text(), re.M))
    assert len(settings) > 40, "the table is not read any more"
    for name in sorted(settings - documented):
        print(f"docs/configuration.md lacks {name}")
    for name in sorted(documented - settings):
        print(f"docs/configuration.md names {name}, which is no setting")
    print(f"{len(settings & documented)} settings are documented")
    return settings != documented


if __name__ == "__main__":
    sys.exit(main())
