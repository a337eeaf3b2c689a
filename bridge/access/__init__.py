"""Who comes in: people by password, programs and devices by key or secret, and those whom an identity provider vouches for.

`Control` is the whole of it, behind `ports.Access`.
"""

from bridge.access.service import Control

__all__ = ["Control"]
