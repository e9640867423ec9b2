"""What is unusual for the time of the day or of the week, of slow rows."""
