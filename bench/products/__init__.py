"""What differs between the products that the bench can test: their front ends, their settings, their hands.

Rules of this file:

* Everything that is true of one product only stands in its module; plan and runner ask :data:`PRODUCTS`.
* A product has two halves: what is planned (pure) and what is wired once its devices are up (:meth:`Product.connect`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bench.products.model import ActorPlan, HostPlan, Place, PlanError, Product, VolumePlan
from bench.products.mx1 import MX1
from bench.products.vxvue import VXvue

__all__ = ["PRODUCTS", "ActorPlan", "HostPlan", "Place", "PlanError", "Product", "VolumePlan", "product_of"]

PRODUCTS: Final[Mapping[str, Product]] = {product.name: product for product in (VXvue(), MX1())}


def product_of(name: str) -> Product:
    """Return a product by its name; :class:`PlanError` when there is none."""
    try:
        return PRODUCTS[name]
    except KeyError:
        raise PlanError(f"the bench knows no product {name!r}; there are {', '.join(PRODUCTS)}") from None
