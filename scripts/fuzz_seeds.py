"""Good inputs of a fuzzing target, one file each, from the cases: python3 scripts/fuzz_seeds.py TARGET FOLDER"""
import hashlib
import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = pathlib.Path(os.environ.get("REVEILLE_SHARED", ROOT.parent / "shared"))
INPUT = '\0{"a":{"b":[1,2,3]},"items":[1,2,3],"x":"y"}'


def seeds(target, value):
    if isinstance(value, dict):
        if target == "definition" and "StartAt" in value and "States" in value:
            yield json.dumps(value) + INPUT
        if target == "intrinsic" and any(key.endswith(".$") for key in value):
            yield json.dumps(value)
        for field in value.values():
            yield from seeds(target, field)
    elif isinstance(value, list):
        for item in value:
            yield from seeds(target, item)
    elif isinstance(value, str):
        if target == "definition" and '"StartAt"' in value:
            yield value + INPUT
        if target == "jsonpath" and value.startswith("$") or target == "intrinsic" and value.startswith("States."):
            yield value
        if target == "jsonata" and value.startswith("{%"):
            yield value.removeprefix("{%").removesuffix("%}")


def main():
    target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    texts = {'{"v":1,"e":[]}' if target == "journal" else '{"error":"E","cause":"c","a":[1,2.5,null]}'}
    for cases in (ROOT / "tests/cases", SHARED / "conformance/cases"):
        for file in sorted(cases.glob("*/*.json")):
            texts.update(seeds(target, json.loads(file.read_text())))
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        if target == "reply":
            data = b"\1\1\1\1\1\1\0\3" + data
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


if __name__ == "__main__":
    main()
