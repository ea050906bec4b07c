"""The pixels of exports: each source is streamed once, and windows are read."""
