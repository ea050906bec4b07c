"""Views of a store in a bucket: copies made by the service, or references to objects."""
