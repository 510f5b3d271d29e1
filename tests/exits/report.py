# SPDX-License-Identifier: MIT
#
# Reads an exit report, JSON or a page with it, checks what must hold in each, and evaluates expressions that must be true. `r` is the report,
# device(NAME) the row of that name, reason(NAME) its exits, names the functions. Usage: report.py FILE [EXPRESSION]...
import json
import re
import sys

text = open(sys.argv[1], encoding="ascii" if sys.argv[1].endswith(".json") else "utf-8").read()
if sys.argv[1].endswith(".html"):
    (text,) = re.findall(r'<script type="application/json" id="report">([^<]*)</script>', text)
r = json.loads(text)
wrong = []


def must(what, holds):
    if not holds:
        wrong.append(what)


def device(name):
    return next((d for d in r["devices"] if d["name"] == name), {"reads": 0, "writes": 0, "exits": 0, "ns": 0})


def total(rows, key="exits"):
    return sum(row[key] for row in rows)


def reason(name):
    return next((x["exits"] for x in r["reasons"] if x["name"] == name), 0)


names = [a["symbol"] for a in r["addresses"] if a["symbol"] is not None]
accesses = total(d for d in r["devices"] if d["reason"] in ("pio", "mmio", "-"))

must("schema", r["schema"] == 1)
must("reasons' sum", total(r["reasons"]) == r["exits"])
must("looks <= exits", r["looks"] <= r["exits"])
must("devices' sum", total(r["devices"]) == r["exits"])
must("devices' time", total(r["devices"], "ns") == r["ns"])
must("timelines' sums", all(sum(d["timeline"]) == d["exits"] for d in r["devices"]))
must("timelines' lengths", {len(d["timeline"]) for d in r["devices"]} == {r["run_ns"] // r["slice_ns"] + 1})
must("addresses' sum", total(r["addresses"]) + r["elsewhere"]["exits"] == accesses)
must("addresses' devices", all(0 <= a["device"] < len(r["devices"]) for a in r["addresses"]))
must("longest", all(a["longest_ns"] * a["exits"] >= a["ns"] for a in r["addresses"]))
must("addresses are hexadecimal", all(re.fullmatch("0x[0-9a-f]+|0", a["rip"]) for a in r["addresses"]))
for expression in sys.argv[2:]:
    must(expression, eval(expression))
if wrong:
    print("does not hold:", *wrong, sep="\n  ")
    del r["devices"], r["addresses"]
    print(json.dumps(r))
