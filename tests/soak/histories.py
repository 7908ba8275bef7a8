"""Judges what the clients of a cluster were told against what its store and its histories say. No server is needed to try it:

    python tests/soak/histories.py        # plants each fault in a good record, and fails where one is not found

What must hold:

  - each acknowledged start exists once, and ended; the next look at any server found it
  - each acknowledged answer took effect, none took effect twice, and none that was not given
  - each scheduled task ended once; the ids of each history are 1..n
  - each acknowledged stop ended its execution, each acknowledged redrive is counted
  - in the order of a journal epochs never go back, and each is one that the partition had
  - epochs of a partition grow, and each has one owner
  - no entry was written under an epoch that its partition had no more, or by an owner that was declared dead
"""
import collections
import copy
import sys

# What was done: lists of dicts.
#   starts   {"arn", "told": "ok" | "unknown", "seen": bool}         seen: a look at another server after "ok" found it
#   answers  {"arn", "reply", "told": "ok" | "refused" | "unknown"}  unknown: no answer, or a reply over AMQP
#   stops    {"arn", "told"};  redrives {"arn", "told"}
# What is there:
#   executions {arn: {"status", "copies", "partition", "redrives", "epochs": [in the order of its journal], "events": [...]}}
#   owners     [(partition, epoch, owner)] in the order of their changes
#   strays     [(arn, epoch, epoch of the partition at that moment, whether its owner lived)], as the database saw them
OPEN = "RUNNING"


def judge(record):
    wrong = []
    executions = record["executions"]
    for start in record["starts"]:
        row = executions.get(start["arn"])
        if start["told"] == "ok" and row is None:
            wrong.append(f"{start['arn']}: the start was acknowledged, and there is no such execution")
        if start["told"] == "ok" and not start.get("seen", True):
            wrong.append(f"{start['arn']}: another server did not know it after its start was acknowledged")
    given = collections.defaultdict(set)
    for answer in record["answers"]:
        given[answer["arn"]].add(answer["reply"])
    effects = {arn: collections.Counter(replies_of(row["events"])) for arn, row in executions.items()}
    for arn, row in executions.items():
        wrong += [f"{arn}: {why}" for why in of_one(row, effects[arn], given[arn])]
    for answer in record["answers"]:
        if answer["told"] == "ok" and not effects.get(answer["arn"], {}).get(answer["reply"]):
            wrong.append(f"{answer['arn']}: the answer {answer['reply']} was acknowledged and took no effect")
    for stop in record["stops"]:
        if stop["told"] == "ok" and executions.get(stop["arn"], {}).get("status", OPEN) == OPEN:
            wrong.append(f"{stop['arn']}: the stop was acknowledged, and it runs")
    for redrive in record["redrives"]:
        if redrive["told"] == "ok" and executions.get(redrive["arn"], {}).get("redrives", 0) < 1:
            wrong.append(f"{redrive['arn']}: the redrive was acknowledged, and is not counted")
    wrong += [f"{arn}: an entry of epoch {epoch} was written when its partition had {newest}" + ("" if lives else ", and its owner was dead")
              for arn, epoch, newest, lives in record["strays"]]
    return wrong + of_owners(record["owners"], executions)


def replies_of(events):
    return [event["reply"] for event in events if event.get("reply")]


def of_one(row, effects, given):
    wrong = []
    if row["copies"] != 1:
        wrong.append(f"{row['copies']} executions have this name")
    if row["status"] == OPEN:
        wrong.append("it has not ended")
    events = row["events"]
    if [event["id"] for event in events] != list(range(1, len(events) + 1)):
        wrong.append("the ids of its history are not 1..n")
    by_id, ends = {event["id"]: event for event in events}, collections.Counter()
    for event in events:
        if event["type"] in ("TaskSucceeded", "TaskFailed", "TaskTimedOut"):
            at = event
            while at and at["type"] != "TaskScheduled":
                at = by_id.get(at["previous"])
            ends[at["id"] if at else None] += 1
    scheduled = [event["id"] for event in events if event["type"] == "TaskScheduled"]
    most = 1
    least = 0 if row["status"] == "ABORTED" or row["redrives"] else 1
    wrong += [f"the task of event {i} ended {ends[i]} times" for i in scheduled if not least <= ends[i] <= most]
    wrong += [f"the answer {reply} took effect {n} times" for reply, n in effects.items() if n > 1]
    wrong += [f"the answer {reply} was never given" for reply in effects if reply not in given]
    if row["epochs"] != sorted(row["epochs"]):
        wrong.append(f"an entry of an older epoch stands after one of a newer: {row['epochs']}")
    return wrong


def of_owners(owners, executions):
    wrong, known, last = [], {}, {}
    for partition, epoch, owner in owners:
        if known.setdefault((partition, epoch), owner) != owner:
            wrong.append(f"epoch {epoch} of partition {partition} has two owners")
        if epoch < last.get(partition, 0):
            wrong.append(f"partition {partition} went back from epoch {last[partition]} to {epoch}")
        last[partition] = epoch
    for arn, row in executions.items():
        for epoch in set(row["epochs"]):
            if (row["partition"], epoch) not in known:
                wrong.append(f"{arn}: epoch {epoch} of its journal is none that partition {row['partition']} had")
    return wrong


def good():
    events = [{"id": 1, "type": "ExecutionStarted", "previous": 0}, {"id": 2, "type": "TaskScheduled", "previous": 1},
              {"id": 3, "type": "TaskSubmitted", "previous": 2}, {"id": 4, "type": "TaskSucceeded", "previous": 3, "reply": "r1"},
              {"id": 5, "type": "ExecutionSucceeded", "previous": 4}]
    row = {"status": "SUCCEEDED", "copies": 1, "partition": 3, "redrives": 0, "epochs": [1, 1, 2], "events": events}
    return {
        "starts": [{"arn": "a", "told": "ok", "seen": True}, {"arn": "never", "told": "unknown"}],
        "answers": [{"arn": "a", "reply": "r1", "told": "ok"}, {"arn": "a", "reply": "r2", "told": "refused"}],
        "stops": [{"arn": "b", "told": "ok"}], "redrives": [{"arn": "c", "told": "ok"}],
        "executions": {"a": row, "b": {**copy.deepcopy(row), "status": "ABORTED", "events": events[:2]},
                       "c": {**copy.deepcopy(row), "redrives": 1, "events": events[:2]}},
        "owners": [(3, 1, "x"), (3, 2, "y"), (4, 1, "x")], "strays": []}


def spoil(record, fault):
    row = record["executions"]["a"]
    if fault == "lost start":
        del record["executions"]["a"]
    elif fault == "stale read":
        record["starts"][0]["seen"] = False
    elif fault == "second execution":
        row["copies"] = 2
    elif fault == "open":
        row["status"] = OPEN
    elif fault == "hole":
        del row["events"][2]
    elif fault == "lost answer":
        record["answers"].append({"arn": "a", "reply": "r3", "told": "ok"})
    elif fault == "invented answer":
        row["events"][3]["reply"] = "r9"
    elif fault == "answer twice":
        row["events"].append({"id": 6, "type": "TaskSucceeded", "previous": 3, "reply": "r1"})
    elif fault == "task without an end":
        row["events"][3]["type"] = "Pass"
    elif fault == "stop without effect":
        record["executions"]["b"]["status"] = OPEN
    elif fault == "redrive without effect":
        record["executions"]["c"]["redrives"] = 0
    elif fault == "older epoch":
        row["epochs"] = [1, 2, 1]
    elif fault == "epoch of nobody":
        row["epochs"] = [1, 7]
    elif fault == "two owners":
        record["owners"].append((4, 1, "y"))
    elif fault == "stray":
        record["strays"].append(("a", 1, 2, True))
    elif fault == "epoch back":
        record["owners"].append((3, 1, "x"))
    else:
        raise KeyError(fault)


FAULTS = ["lost start", "stale read", "second execution", "open", "hole", "lost answer", "invented answer", "answer twice", "task without an end",
          "stop without effect", "redrive without effect", "older epoch", "epoch of nobody", "two owners", "epoch back", "stray"]

if __name__ == "__main__":
    if judge(good()):
        sys.exit(f"a good record is judged wrong: {judge(good())}")
    for fault in FAULTS:
        record = good()
        spoil(record, fault)
        if not judge(record):
            sys.exit(f"not found: {fault}")
        print(f"found: {fault}")
