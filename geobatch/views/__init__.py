"""How published assets appear to other tools."""
