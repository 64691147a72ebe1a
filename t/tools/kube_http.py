# SPDX-License-Identifier: Apache-2.0
#
# HTTP/1.1 and HTTP/2 over TLS for kube_api.py, plain enough to be broken at
# any byte: serve() calls handle(exchange) for each request.
import asyncio
import re
import ssl

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions


class Exchange:
    """One request and the way to answer it."""

    def __init__(self, connection, method, target, headers):
        self.connection = connection
        self.method = method
        self.target = target
        self.headers = headers      # names in lower case
        self.status = 0             # of the answer, once it began

    async def answer(self, status, headers, body):
        await self.start(status, {**headers, "content-length": str(len(body))})
        await self.write(body)
        await self.end()

    async def start(self, status, headers):
        self.status = status
        await self._head(status, headers)

    async def write(self, data):
        """Slowly where the connection's server is slow."""
        size, pause = self.connection.server.pace
        size = size or len(data) or 1
        for at in range(0, len(data), size):
            await self.connection.thawed.wait()
            await self._body(data[at:at + size])
            if pause:
                await asyncio.sleep(pause)


class Connection:
    """A client's connection."""

    def __init__(self, reader, writer, server):
        self.reader = reader
        self.writer = writer
        self.server = server
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.tasks = set()
        peer = writer.get_extra_info("ssl_object").getpeercert() or {}
        names = [pair for rdn in peer.get("subject", ()) for pair in rdn]
        self.user = next((v for k, v in names if k == "commonName"), None)

    def freeze(self):
        """The connection stays open; nothing is read or written any more."""
        self.thawed.clear()

    def abort(self):
        for task in list(self.tasks):
            task.cancel()
        self.writer.transport.abort()

    async def flush(self, data):
        self.writer.write(data)
        await self.writer.drain()


class Http1(Connection):
    version = "1.1"

    class Exchange(Exchange):
        chunked = False

        async def _head(self, status, headers):
            self.chunked = "content-length" not in headers
            if self.chunked:
                headers = {**headers, "transfer-encoding": "chunked"}
            lines = ["HTTP/1.1 %d -" % status]
            lines += ["%s: %s" % pair for pair in headers.items()]
            await self.connection.flush("\r\n".join(lines + ["", ""]).encode())

        async def _body(self, data):
            if self.chunked:
                data = b"%x\r\n%b\r\n" % (len(data), data)
            await self.connection.flush(data)

        async def end(self):
            if self.chunked:
                await self.connection.flush(b"0\r\n\r\n")

        def abort(self):
            self.connection.abort()

    async def run(self, handle):
        while True:
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            await self.thawed.wait()
            lines = head.decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ")
            headers = {}
            for line in filter(None, lines[1:]):
                name, value = line.split(":", 1)
                headers[name.lower()] = value.strip()
            length = headers.get("content-length", "0")
            await self.reader.readexactly(int(length))
            exchange = self.Exchange(self, method, target, headers)
            await self.until_gone(handle(exchange))
            if headers.get("connection", "").lower() == "close":
                return

    async def until_gone(self, work):
        """Ends the work when the client closes in the middle of a watch; it
        does not send its next request before the answer's end."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        while not task.done():
            await asyncio.wait([task], timeout=0.2)
            if self.reader.at_eof():
                task.cancel()
        self.tasks.discard(task)
        if not task.cancelled():
            task.result()


class Http2(Connection):
    version = "2"

    class Exchange(Exchange):
        stream = 0

        async def _head(self, status, headers):
            pairs = [(":status", str(status)), *headers.items()]
            self.connection.h2.send_headers(self.stream, pairs)
            await self.connection.send()

        async def _body(self, data):
            await self.connection.body(self.stream, data)

        async def end(self):
            self.connection.h2.end_stream(self.stream)
            await self.connection.send()

        def abort(self):
            self.connection.h2.reset_stream(
                self.stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            self.connection.writer.write(self.connection.h2.data_to_send())

    def __init__(self, *args):
        super().__init__(*args)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8"))
        self.window = asyncio.Event()
        self.streams = {}

    async def send(self):
        await self.flush(self.h2.data_to_send())

    async def body(self, stream, data):
        data = memoryview(data)
        while data:
            room = min(self.h2.local_flow_control_window(stream),
                       self.h2.max_outbound_frame_size)
            if room <= 0:
                self.window.clear()
                await self.window.wait()
                continue
            self.h2.send_data(stream, bytes(data[:room]))
            data = data[room:]
            await self.send()

    async def run(self, handle):
        self.h2.initiate_connection()
        await self.send()
        while data := await self.reader.read(65536):
            await self.thawed.wait()
            for event in self.h2.receive_data(data):
                self.take(event, handle)
            await self.send()

    def take(self, event, handle):
        if isinstance(event, h2.events.RequestReceived):
            headers = dict(event.headers)
            exchange = self.Exchange(self, headers[":method"],
                                     headers[":path"], headers)
            exchange.stream = event.stream_id
            task = asyncio.ensure_future(self.work(handle, exchange))
            self.tasks.add(task)
            self.streams[event.stream_id] = task
            task.add_done_callback(self.tasks.discard)
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length,
                                              event.stream_id)
        elif isinstance(event, (h2.events.WindowUpdated,
                                h2.events.RemoteSettingsChanged)):
            self.window.set()
        elif isinstance(event, h2.events.StreamReset):
            self.streams[event.stream_id].cancel()

    async def work(self, handle, exchange):
        try:
            await handle(exchange)
        except (h2.exceptions.ProtocolError, ConnectionError):
            pass


class Server:
    """A listener on 127.0.0.1 whose certificate can be changed."""

    def __init__(self, port, ca, handle):
        self.port = port
        self.handle = handle
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_verify_locations(ca)
        self.context.verify_mode = ssl.CERT_OPTIONAL
        self.listener = None
        self.connections = set()
        self.pace = (0, 0)      # bytes a write (0: all), seconds between
        self.accepted = 0

    def certificate(self, cert, key):
        self.context.load_cert_chain(cert, key)

    def protocols(self, names):
        self.context.set_alpn_protocols(names)

    async def listen(self):
        self.listener = await asyncio.start_server(
            self.accept, "127.0.0.1", self.port, ssl=self.context,
            backlog=512, limit=1 << 20)

    def close(self):
        """Refuse new connections and drop those that are open."""
        self.listener.close()
        for connection in list(self.connections):
            connection.abort()

    async def accept(self, reader, writer):
        self.accepted += 1
        alpn = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        kind = Http2 if alpn == "h2" else Http1
        connection = kind(reader, writer, self)
        self.connections.add(connection)
        try:
            await connection.run(self.handle)
        except (ConnectionError, ValueError, ssl.SSLError,
                asyncio.CancelledError, asyncio.IncompleteReadError,
                h2.exceptions.ProtocolError):
            pass
        finally:
            self.connections.discard(connection)
            connection.abort()


def bearer(headers):
    found = re.fullmatch(r"Bearer (\S+)", headers.get("authorization", ""))
    return found[1] if found else None
