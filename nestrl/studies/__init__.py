"""Many runs: every method on every sequence and seed, planned in one file, run side by side, kept in one ledger."""
