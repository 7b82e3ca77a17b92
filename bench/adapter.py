"""spanreel as one more instrumentation of the call-path harness (`overhead_worker.py` in the shared bench folder).

Where the peers' exporters drop their spans, ours writes its spool for real: the comparison leans against us.
At the end every call is read back and compared byte for byte with what was sent and served; a difference fails
the run.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import overhead_worker
from overhead_worker import Adapter, http_module


class Spanreel(Adapter):
    """`spanreel.instrument()` at its defaults, on a fresh store."""

    span = ("send", "transport")

    def _points(self):
        client = http_module().Client
        return [*super()._points(), (client, "_send_handling_auth"), (client, "send")]

    def setup(self, exporter):
        import spanreel

        self.store = Path(tempfile.mkdtemp(prefix="spanreel-bench-")) / "spans.db"
        self.sent: set[bytes] = set()
        self.calls = 0
        self._watch_transport()
        self.handle = spanreel.instrument("bench", store=self.store)
        self._exit, overhead_worker.os._exit = (
            os._exit,
            self._leave,
        )  # the worker leaves by os._exit: check first

    def _watch_transport(self):
        """Note what reaches the transport, in the ON and the OFF blocks alike."""
        transport = http_module().MockTransport
        inner = transport.handle_request

        def handle_request(mock, request):
            self.sent.add(request.content)
            self.calls += self._is_on
            return inner(mock, request)

        transport.handle_request = handle_request

    _is_on = True

    def on(self):
        super().on()
        self._is_on = True

    def off(self):
        super().off()
        self._is_on = False

    def flush(self):
        self.handle.flush()

    def _leave(self, code: int):
        self.handle.uninstrument()
        problem = self._read_back()
        if problem:
            print(problem, file=sys.stderr)
        self._exit(1 if problem else code)

    def _read_back(self) -> str:
        import workloads

        from spanreel.collector.store import open_reader
        from spanreel.wire import attributes as names

        served = {workloads.chat_completion_body(), b"".join(workloads.chat_completion_sse(200))}
        whole = 0
        with open_reader(self.store) as reader:
            for trace_id in {run.trace_id for run in reader.runs()}:
                for span in reader.spans(trace_id):
                    bodies = [
                        span.attributes.get(name)
                        for name in (names.HTTP_REQUEST_BODY, names.HTTP_RESPONSE_BODY)
                    ]
                    request, reply = (body.encode() if isinstance(body, str) else body for body in bodies)
                    whole += request in self.sent and reply in served
        print(f"spanreel: {whole} of {self.calls} calls read back, every byte equal", file=sys.stderr)
        return (
            ""
            if whole == self.calls
            else f"spanreel: only {whole} of {self.calls} calls were read back as they were"
        )
