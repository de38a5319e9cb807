"""An association is agreed upon, rejected, released, or ended because the peer broke the protocol (PS3.8 7, 9.2).

Rules of this file: what is decided is told before it is sent, so that the journal has it before the peer reacts.
"""

from __future__ import annotations

from simulators.dicom.arrival import Arrival
from simulators.dicom.faults import ASSOCIATE, RELEASE
from simulators.dicom.negotiation import decide
from simulators.wire import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ReleaseResponse,
    RemoteProtocolError,
)


class Agreement(Arrival):
    """A connection on which an association is made and ended."""

    def _associate(self, request: AssociateRequest) -> None:
        self._calling, self._called = request.calling, request.called
        answer: AssociateAccept | AssociateReject
        if self.crowded:
            answer = AssociateReject(2, 3, 2)
        else:
            answer = decide(request, self._service.policy())
        if self._faults.active:
            self._faults.requested(ASSOCIATE, self.number)
            for fault in self._faults.occasion(ASSOCIATE, self._calling):
                if fault.kind == "reject":
                    values = (fault.args.get(k, 1) for k in ("result", "source", "reason"))
                    answer = AssociateReject(*values)
                    self._faults.fire(fault, assoc=self.number, on=ASSOCIATE)
                else:
                    self._do(fault, on=ASSOCIATE)
        data = self._connection.send(answer)
        if isinstance(answer, AssociateReject):
            self._tell_reject(answer)
        else:
            self._established = True
            self.half_open = False
            self._deadline = None
            contexts = [
                {
                    "id": asked.context_id,
                    "abstract": asked.abstract_syntax,
                    "transfer": given.transfer_syntax if given.result == 0 else None,
                    "result": given.result,
                }
                for asked, given in zip(request.contexts, answer.contexts, strict=True)
            ]
            self._emit(
                "wire.associate",
                assoc=self.number,
                calling=request.calling,
                called=request.called,
                contexts=contexts,
                max_pdu=request.max_length,
                own_max_pdu=self._config.max_pdu,
                implementation=request.implementation_class_uid,
                version=request.implementation_version,
            )
        self._send(data)

    def _tell_reject(self, reject: AssociateReject) -> None:
        self._emit(
            "wire.reject",
            assoc=self.number,
            result=reject.result,
            source=reject.source,
            reason=reject.reason,
            by="self",
            calling=self._calling,
            called=self._called,
        )

    def _release(self) -> None:
        if self._faults.active:
            self._faults.requested(RELEASE, self.number)
            for fault in self._faults.occasion(RELEASE, self._calling):
                self._do(fault, on=RELEASE)
        data = self._connection.send(ReleaseResponse())
        self._emit("wire.release", assoc=self.number, by="peer")
        self._established = False
        self._send(data)

    def _garbage(self, error: RemoteProtocolError) -> None:
        """The peer broke the protocol: tell, answer as the standard has it, wait for the peer to close."""
        self._tell_cut()
        answer = self._connection.refuse(error)
        if isinstance(error.answer, AssociateReject):
            reject = error.answer
            self._tell_reject(reject)
        else:
            self._emit_garbage(str(error))
            if isinstance(error.answer, Abort):
                self._emit(
                    "wire.abort",
                    assoc=self.number,
                    by="self",
                    source=error.answer.source,
                    reason=error.answer.reason,
                )
        self._established = False
        self._drop_current()
        if answer:
            self._send(answer)
