#!/usr/bin/env python3
"""Writes src/api/model.json: the Step Functions API as a compact table, for the checks of src/api/validate.rs.

Source: botocore's data/stepfunctions/2016-11-23/service-2.json (Copyright Amazon.com, Inc., Apache License 2.0).
Kept: operations with their errors; of each shape its type, members, required, enum, pattern, range, and whether it is
sensitive. Left out: all documentation.

    pip install botocore && python3 scripts/api-model.py > src/api/model.json
"""

import json
import sys

import botocore
import botocore.loaders

# AWS's own validation lists the values of an enum in its internal order, which the model does not tell.
# These orders were recorded from AWS's answers; the others are listed in the order of the model.
RECORDED_ENUM_ORDERS = {
    "ExecutionStatus": ["SUCCEEDED", "TIMED_OUT", "PENDING_REDRIVE", "ABORTED", "FAILED", "RUNNING"],
}


def compact(name, shape):
    out = {"type": shape["type"]}
    if "members" in shape:
        out["members"] = {member: target["shape"] for member, target in shape["members"].items()}
    for key in ("required", "min", "max", "pattern", "enum"):
        if key in shape:
            out[key] = shape[key]
    if name in RECORDED_ENUM_ORDERS:
        assert sorted(out["enum"]) == sorted(RECORDED_ENUM_ORDERS[name]), f"AWS changed the enum {name}"
        out["enum"] = RECORDED_ENUM_ORDERS[name]
    if shape.get("sensitive"):
        out["sensitive"] = True
    for key in ("member", "key", "value"):
        if key in shape:
            out[key] = shape[key]["shape"]
    return out


def main():
    model = botocore.loaders.Loader().load_service_model("stepfunctions", "service-2", "2016-11-23")
    shapes = model["shapes"]
    operations = {
        name: {
            "input": operation["input"]["shape"],
            "output": operation["output"]["shape"],
            "errors": [error["shape"] for error in operation.get("errors", [])],
        }
        for name, operation in model["operations"].items()
    }

    reached, todo = {}, [o[side] for o in operations.values() for side in ("input", "output")]
    while todo:
        name = todo.pop(0)
        if name in reached:
            continue
        reached[name] = compact(name, shapes[name])
        todo += reached[name].get("members", {}).values()
        todo += [reached[name][key] for key in ("member", "key", "value") if key in reached[name]]

    lines = [
        "{",
        f'"source": "botocore {botocore.__version__}, stepfunctions/2016-11-23/service-2.json, Apache-2.0; '
        'made by scripts/api-model.py",',
        f'"targetPrefix": {json.dumps(model["metadata"]["targetPrefix"])},',
    ]
    for head, table, last in (("operations", operations, False), ("shapes", reached, True)):
        rows = [f"  {json.dumps(name)}: {json.dumps(table[name])}" for name in sorted(table)]
        lines.append(f'"{head}": {{\n' + ",\n".join(rows) + ("\n}" if last else "\n},"))
    lines.append("}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
