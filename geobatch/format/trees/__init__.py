"""Trees in pages: which asset is on which page, and pages as documents."""
