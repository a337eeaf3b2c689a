"""The order of records between bridges that share one store: ranges of cursors, followers and the closing of ranges. Pure code.

The rules that a store and a bridge keep, so that every follower delivers the same records in the same order:

1. A cursor is written at most once: `seq` is unique in the store, and a range is closed by tombstones in its free cursors.
2. A range leaves `Order.open` once nothing can be written into it any more: its owner knows the result of every attempt to
   write, or each of its cursors is occupied. With an attempt of unknown result it stays open until it is rewritten or closed.
3. A range is announced with exactly the records that were stored in it, also those that an earlier attempt stored.
4. `Order.final_until` is read before the records up to it, and the read of the records sees every write that was durable by
   then: read concern majority on the primary, not on a secondary that may lag.
5. Each step relies only on durable steps (write concern majority): a range is used once it was handed out, and announced,
   acknowledged and removed once its records or tombstones were written. If the primary fails in between, the step is repeated.
"""
