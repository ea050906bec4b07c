"""The files that specs name: globs, prefixes, spec files in folders, files that are missing."""
