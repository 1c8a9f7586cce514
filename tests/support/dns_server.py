"""A DNS server that answers from records which the test writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class Zone(asyncio.DatagramProtocol):
    """records: texts by name and type, as in a zone file. silent: it answers nothing at all."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.ttl = 30
        self.rcode = dns.rcode.NOERROR
        self.silent = False
        self.asked: list[tuple[str, str]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        key = (question.name.to_text(), dns.rdatatype.to_text(question.rdtype))
        self.asked.append(key)
        if self.silent:
            return
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        reply.set_rcode(self.rcode)
        if not any(name == key[0] for name, _ in self.records) and self.rcode == dns.rcode.NOERROR:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        if key in self.records and self.rcode == dns.rcode.NOERROR:
            reply.answer.append(dns.rrset.from_text_list(question.name, self.ttl, "IN", key[1], self.records[key]))
        self._transport.sendto(reply.to_wire(), address)


@asynccontextmanager
async def dns_server() -> AsyncIterator[tuple[Zone, dns.asyncresolver.Resolver]]:
    """The zone, and a resolver that asks for it."""
    loop = asyncio.get_running_loop()
    transport, zone = await loop.create_datagram_endpoint(Zone, local_addr=("127.0.0.1", 0))
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.timeout = 20.0  # else who is asked and stands still for a moment is asked twice
    resolver.port = transport.get_extra_info("sockname")[1]
    try:
        yield zone, resolver
    finally:
        transport.close()
