#!/usr/bin/env python3
"""Writes src/integrations/shapes.json: what the answers of AWS services look like, for the mocks of TestState.

    python3 scripts/service-shapes.py > src/integrations/shapes.json     # needs botocore

Source: the service models that ship in botocore (Apache License 2.0). Only what a check of an answer needs is kept: per service
its operations' output shapes, and of each shape its kind, its members, and the bounds of texts and numbers. Names of members begin
with a capital, as the SDK integrations of Step Functions write them.
"""
import gzip
import json
import pathlib

import botocore

SERVICES = ["batch", "dynamodb", "events", "kms", "lambda", "s3", "secretsmanager", "sns", "sqs", "stepfunctions"]
KINDS = {
    "string": "s", "blob": "s", "timestamp": "s", "character": "s",
    "integer": "n", "long": "n", "float": "n", "double": "n",
    "boolean": "b",
}
# Bounds that AWS was recorded to hold mocks against, where the newest models are wider.
RECORDED = {("lambda", "MemorySize"): {"max": 10240}}


def model(service):
    folder = pathlib.Path(botocore.__file__).parent / "data" / service
    path = sorted(folder.glob("*/service-2.json*"))[-1]
    return json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())


def capital(name):
    return name[:1].upper() + name[1:]


def service(name):
    source = model(name)
    shapes = source["shapes"]
    kept = {}

    def reference(shape):
        kind = KINDS.get(shapes[shape]["type"])
        bounds = [shapes[shape].get("min"), shapes[shape].get("max")]
        if kind and (bounds == [None, None] or kind == "b"):
            return "$" + kind
        keep(shape)
        return shape

    def keep(shape):
        if shape in kept:
            return
        of = shapes[shape]
        out = kept[shape] = {}
        if of["type"] == "structure":
            out["members"] = {capital(m): reference(v["shape"]) for m, v in of["members"].items()}
            if of.get("required"):
                out["required"] = [capital(m) for m in of["required"]]
        elif of["type"] == "list":
            out["items"] = reference(of["member"]["shape"])
        elif of["type"] == "map":
            out["values"] = reference(of["value"]["shape"])
        else:
            out["kind"] = KINDS[of["type"]]
            out.update({bound: of[bound] for bound in ("min", "max") if bound in of})
            out.update(RECORDED.get((name, shape), {}))

    operations = {}
    for operation, of in source["operations"].items():
        if "output" in of:
            operations[operation] = of["output"]["shape"]
            keep(of["output"]["shape"])
    return {"operations": operations, "shapes": kept}


if __name__ == "__main__":
    lines = [f'"{name}":{json.dumps(service(name), separators=(",", ":"), sort_keys=True)}' for name in SERVICES]
    print("{" + ",\n".join(lines) + "}")
