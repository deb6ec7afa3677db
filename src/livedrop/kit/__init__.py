"""What every slice stands on: database, batches, facts, clock, ids, refusals. Knows no domain."""
