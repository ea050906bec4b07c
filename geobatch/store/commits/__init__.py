"""The line of commits: refs, history, pins, commits that gc dropped."""
