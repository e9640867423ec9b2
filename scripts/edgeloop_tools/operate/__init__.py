"""What operators do: alarms."""
