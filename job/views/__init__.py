"""What a person sees: tables and documents on stdout."""
