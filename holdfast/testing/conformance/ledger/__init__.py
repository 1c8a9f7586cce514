"""The behaviour of a ledger. A test class of an adapter inherits LedgerContract and has a fixture `subject`."""

from .deciding import DecidingContract
from .holding import HoldingContract
from .leasing import LeasingContract
from .listing import ListingContract
from .settling import SettlingContract
from .support import CAPACITY, RETENTION, Subject
from .tallying import TallyingContract


class LedgerContract(
    HoldingContract, LeasingContract, SettlingContract, ListingContract, DecidingContract, TallyingContract
):
    """Every sentence of the port, as a test."""


__all__ = ["CAPACITY", "RETENTION", "LedgerContract", "Subject"]
