"""The real engine, gateway and projections on adapters in memory, in virtual time, with seeded accidents."""
