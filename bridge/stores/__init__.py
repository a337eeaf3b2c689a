"""Stores for readings and state. `open_store` picks the adapter by the scheme of the URL."""

from bridge.ports import Store
from bridge.settings import StoreSettings


def open_store(settings: StoreSettings) -> Store:
    """Return the configured store, not yet connected. Only the adapter in use is imported."""
    if settings.is_sqlite:
        from bridge.stores.sqlite.store import SqliteStore

        return SqliteStore(settings)
    from bridge.stores.mongo.store import MongoStore

    return MongoStore(settings)
