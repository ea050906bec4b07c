"""Objects on HTTP servers, read by exact byte ranges and in one state."""
