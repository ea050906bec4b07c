"""How plans, assets, stores and explanations are printed, for people and for machines."""
