"""One question to a name server; needs the extra 'dns'."""

import socket

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from redrill.model.deadline import Deadline


def ask_name_server(host: str, port: int, name: str, kind: str, deadline: Deadline) -> tuple[str, ...]:
    """Return the texts of the records of a kind, such as 'A', that a name server has for a name.

    OSError when there is no answer in time, or it is an error. Over UDP, and over TCP what does not fit.
    """
    address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4][0]
    try:
        wanted = dns.rdatatype.from_text(kind)
        question = dns.message.make_query(name, wanted)
        answer, _ = dns.query.udp_with_fallback(question, str(address), max(deadline.remaining, 0.001), port)
    except dns.exception.Timeout:
        raise TimeoutError(f"no answer within {deadline.budget:g} s") from None
    except dns.exception.DNSException as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    if answer.rcode() != dns.rcode.NOERROR:
        raise OSError(f"the name server answers {dns.rcode.to_text(answer.rcode())}")
    return tuple(record.to_text() for rrset in answer.answer if rrset.rdtype == wanted for record in rrset)
