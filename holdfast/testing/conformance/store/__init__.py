"""The behaviour of a store. A test class of an adapter inherits StoreContract and has a fixture `subject`.

RefusingContract is for those that do not take all data.
"""

from .applying import ApplyingContract
from .competing import CompetingContract
from .data import DataContract
from .keeping import KeepingContract
from .ordering import OrderingContract
from .reading import ReadingContract
from .refusing import RefusingContract
from .repeating import RepeatingContract
from .support import Subject


class StoreContract(
    ApplyingContract,
    OrderingContract,
    RepeatingContract,
    CompetingContract,
    DataContract,
    ReadingContract,
    KeepingContract,
):
    """Every sentence of the port, as a test."""


__all__ = ["RefusingContract", "StoreContract", "Subject"]
