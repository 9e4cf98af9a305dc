"""What finished runs say: tables, pictures and videos."""
