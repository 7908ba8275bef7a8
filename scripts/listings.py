#!/usr/bin/env python3
"""Keeps the listings in docs/*.md equal to the files they show.

A listing is a line `<!-- listing: PATH -->` with a fenced block below it. Without arguments: writes the files into the documents.
With --check: changes nothing, exit status 1 if one differs.
"""
import pathlib
import re
import sys

LISTING = re.compile(r"(<!-- listing: (\S+) -->\n```\w*\n)(.*?)(^```$)", re.S | re.M)
root = pathlib.Path(__file__).resolve().parent.parent
stale = []
for document in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
    old = document.read_text()
    new = LISTING.sub(lambda m: m[1] + (root / m[2]).read_text() + m[4], old)
    if new != old:
        stale.append(str(document.relative_to(root)))
        if "--check" not in sys.argv:
            document.write_text(new)
if stale:
    print("listings", "differ from their files in" if "--check" in sys.argv else "renewed in", ", ".join(stale))
sys.exit(bool(stale) and "--check" in sys.argv)
