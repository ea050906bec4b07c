"""Pictures of published pixels: from levels that fit, with stretch, palettes and masks."""
