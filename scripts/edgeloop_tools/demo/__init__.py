"""The whole loop on one machine, shown live and measured from outside."""
