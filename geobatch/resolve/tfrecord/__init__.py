"""TFRecord exports: shards and mixers as sources of an image."""
