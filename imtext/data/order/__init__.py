"""Orders: how training batches are composed. Each is a setting `data/order=…`: `Neighbours`, `Curriculum`."""

from imtext.data.order.base import Order, Positions
from imtext.data.order.curriculum import Curriculum
from imtext.data.order.neighbours import Neighbours

__all__ = ["Curriculum", "Neighbours", "Order", "Positions"]
