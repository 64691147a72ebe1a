#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A gRPC server, and a client that makes one call of each kind.

grpc_calls.py serve PORT
grpc_calls.py call ADDRESS [NAME=VALUE ...]    with this metadata
grpc_calls.py call-tls CA ADDRESS              over TLS; CA: PEM of the authority

Messages are plain bytes. The client prints a line for each call.
"""

import sys
import time
from concurrent import futures

import grpc


def one(request, context):
    got = [name if name not in ("traceparent", "tracestate") else name + "=" + value
           for name, value in context.invocation_metadata()]
    context.set_trailing_metadata((("x-trailer", "t-" + request.decode()),))
    return (" ".join(sorted(got)) + "|" + request.decode()).encode()


def echo(requests, context):
    """Answers each message before it takes the next one."""
    for message in requests:
        yield b"re:" + message
    context.set_trailing_metadata((("x-trailer", "done"),))


def total(requests, context):
    return str(sum(len(message) for message in requests)).encode()


def fail(request, context):
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no more " + request.decode())


def serve(port):
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", {
        "One": grpc.unary_unary_rpc_method_handler(one),
        "Echo": grpc.stream_stream_rpc_method_handler(echo),
        "Total": grpc.stream_unary_rpc_method_handler(total),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
    }),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def trailer(call):
    return dict(call.trailing_metadata()).get("x-trailer")


def ping_pong(channel, metadata):
    """Sends a message only when the one before has been answered."""
    answered = []

    def messages():
        for i in range(3):
            deadline = time.time() + 10
            while len(answered) < i and time.time() < deadline:
                time.sleep(0.01)
            yield b"%d" % i

    call = channel.stream_stream("/t.T/Echo")(messages(), metadata=metadata, timeout=20)
    for message in call:
        answered.append(message.decode())
    print("echo", ",".join(answered), trailer(call))


def call_all(channel, metadata):
    with channel:
        answer, call = channel.unary_unary("/t.T/One").with_call(
            b"hello", metadata=metadata, timeout=20)
        print("one", answer.decode(), trailer(call))
        ping_pong(channel, metadata)
        size = channel.stream_unary("/t.T/Total")(
            (b"x" * 100000 for _ in range(50)), metadata=metadata, timeout=20)
        print("total", size.decode())
        try:
            channel.unary_unary("/t.T/Fail")(b"wool", metadata=metadata, timeout=20)
        except grpc.RpcError as error:
            print("fail", error.code().name, error.details())


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
elif sys.argv[1] == "call-tls":
    with open(sys.argv[2], "rb") as ca:
        credentials = grpc.ssl_channel_credentials(ca.read())
    call_all(grpc.secure_channel(sys.argv[3], credentials), [])
else:
    call_all(grpc.insecure_channel(sys.argv[2]), [tuple(pair.split("=", 1)) for pair in sys.argv[3:]])
