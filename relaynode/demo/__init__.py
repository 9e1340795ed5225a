"""`relaynode demo`: two nodes, a thin line between them, and mail in both directions."""
