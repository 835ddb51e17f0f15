"""A scheduler without pybatsim that starts each job at once, and goes wrong at the second."""

import json
import os
import sys
import time

import zmq


def wrong(how, now_s, job):
    """Return the reply to the second submission that is wrong in the way asked for."""
    alloc = {"busy": "0", "over": "1-3", "under": "", "beyond": "7", "words": "one"}.get(how, "1")
    start = {"job_id": job, "alloc": alloc}
    events = [{"timestamp": now_s, "type": "EXECUTE_JOB", "data": start}]
    if how == "past":
        events[0]["timestamp"] = now_s - 1
    if how == "call":
        events = [{"timestamp": now_s, "type": "CALL_ME_LATER", "data": {"timestamp": now_s - 5}}]
    if how == "type":
        events[0]["type"] = "FLY"
    if how == "job":
        start["job_id"] = "w0!77"
    if how == "idle":
        events = []
    if how == "die":
        sys.exit("no more strength")
    if how == "hang":
        time.sleep(600)
    text = json.dumps({"now": now_s, "events": events})
    return "garbage{" if how == "garbage" else text


how, endpoint = sys.argv[1], sys.argv[sys.argv.index("-s") + 1]
print("pid", os.getpid(), flush=True)
if how == "early":
    sys.exit("no strength at all")
socket = zmq.Context().socket(zmq.REP)
socket.bind(endpoint)
while True:
    message = json.loads(socket.recv())
    reply = json.dumps({"now": message["now"], "events": []})
    for event in message["events"]:
        if event["type"] == "JOB_SUBMITTED":
            job = event["data"]["job_id"]
            if job == "w0!0":
                start = {"job_id": job, "alloc": "0"}
                events = [{"timestamp": message["now"], "type": "EXECUTE_JOB", "data": start}]
                reply = json.dumps({"now": message["now"], "events": events})
            else:
                reply = wrong(how, message["now"], job)
    socket.send_string(reply)
    if message["events"][0]["type"] == "SIMULATION_ENDS":
        if how == "stay":
            time.sleep(600)
        if how == "end":
            sys.exit("no strength in the end")
        break
