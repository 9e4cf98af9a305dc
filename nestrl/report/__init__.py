"""What finished runs say: tables and pictures."""
