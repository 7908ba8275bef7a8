#!/usr/bin/env python3
"""A travel agency: books and cancels, for `reveille worker`. The task is on standard input.

A real one keeps bookings by the task token (REVEILLE_TASK_TOKEN): a task that comes twice books once.
"""
import json
import sys

order = json.load(sys.stdin)
if order.get("book") == "car" and order["city"] == "Venice":
    print(json.dumps({"error": "Car.NoneLeft", "cause": "there are no cars in Venice"}))
    sys.exit(1)
if "book" in order:
    print(json.dumps({"booking": f"{order['book']} in {order['city']}"}))
else:
    print(json.dumps({"cancelled": order["cancel"]}))
