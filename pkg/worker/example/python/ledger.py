#!/usr/bin/env python3
"""A function of somebody's own, without Go and without our libraries: example.Ledger enters each copy in a CSV file.

    ledger.py HOST:PORT FILE

It needs python3-grpcio and python3-protobuf, and reads the contract from proto/gen/task.binpb. See README.md.
"""
import csv, json, os, pathlib, secrets, signal, socket, sys, threading, time
import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

orchestrator, ledger = sys.argv[1:]
worker = f"ledger@{socket.gethostname()[:30]}/{os.getpid()}/{secrets.token_hex(2)}"
stop, held, lost = threading.Event(), [], set()

contract = pathlib.Path(__file__).resolve().parents[4] / "proto/gen/task.binpb"
pool = descriptor_pool.DescriptorPool()
for file in descriptor_pb2.FileDescriptorSet.FromString(contract.read_bytes()).file:
    pool.AddSerializedFile(file.SerializeToString())
make = getattr(message_factory, "GetMessageClass", None) or message_factory.MessageFactory(pool).GetPrototype
message = lambda name: make(pool.FindMessageTypeByName("filigree." + name))

channel = grpc.insecure_channel(orchestrator)
# Each call says who makes it: a service, role 4. With TLS the certificate must be for that name, ledger.filigree.
me = message("access.v1.Principal")(subject="service:ledger", role=4).SerializeToString()

def call(method, timeout, **fields):
    """Starts a call; result() waits for its answer."""
    request, response = message(f"task.v1.{method}Request"), message(f"task.v1.{method}Response")
    stub = channel.unary_unary("/filigree.task.v1.TaskService/" + method, request.SerializeToString, response.FromString)
    return stub.future(request(worker=worker, **fields), timeout, (("filigree-principal-bin", me),))

def insist(method, **fields):
    """Calls until there is an answer. Every call may be repeated."""
    while True:
        try:
            return call(method, 10, **fields).result()
        except grpc.RpcError as error:
            print(method, error.code(), error.details(), file=sys.stderr)
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise
        time.sleep(1)

def renew():
    """Prolongs the leases of all that is held, every three seconds."""
    while not time.sleep(3):
        if held:
            answer = insist("Renew", tasks=list(held))
            lost.update(answer.lost, answer.cancelled)

def attempt(task):
    """The step: a line for the copy. Its output is how long the ledger is now."""
    result = {"task": task.id}
    try:
        of = json.loads(task.request_json)
        # From here on the world sees it: may we still? 1 is VERDICT_OK.
        if task.id in lost or insist("Checkpoint", task=task.id, state="ledger").verdict != 1:
            return {**result, "hand_back": {}}
        with open(ledger, "a", newline="") as file:
            csv.writer(file).writerow([of[field] for field in ("item", "file", "name", "email", "sha256")])
            file.flush()
            os.fsync(file.fileno())
            return {**result, "output_json": json.dumps({"bytes": file.tell()})}
    except OSError as error:  # 2: repeating may help; 1 below: it cannot
        return {**result, "failure": {"class": 2, "code": "LEDGER_UNAVAILABLE", "message": f"the ledger: {error}"[:900]}}
    except (KeyError, ValueError) as error:
        return {**result, "failure": {"class": 1, "code": "TASK_INVALID", "message": f"the definition's request: {error}"[:900]}}

for sign in signal.SIGTERM, signal.SIGINT:
    signal.signal(sign, lambda *_: (stop.set(), pull.cancel()))
threading.Thread(target=renew, daemon=True).start()
while not stop.is_set():
    pull = call("Pull", 25, functions=["example.Ledger"], slots=8, wait={"seconds": 20})
    if stop.is_set():
        pull.cancel()  # the signal was a moment ahead
    try:
        held = [task.id for task in pull.result().tasks]
    except (grpc.RpcError, grpc.FutureCancelledError) as error:
        if not stop.wait(1):
            print("Pull", error, file=sys.stderr)
        continue
    if held:
        insist("Report", results=[attempt(task) for task in pull.result().tasks])
        held = []
insist("Renew", leaving=True)  # what was handed out and never seen goes to others at once
