"""Published assets as files for other tools: TFRecord shards with their mixer, and COGs."""
