"""Stream Manager for the local core: what an unmodified `stream-manager` client needs of AWS's component."""
