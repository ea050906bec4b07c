"""Pictures of published pixels for maps: tiles of Web Mercator, and of an image's own grid."""
