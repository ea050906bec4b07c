"""Where a store keeps its bytes: one protocol, a local disk, memory."""
